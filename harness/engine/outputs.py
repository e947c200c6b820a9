"""What a model gave, checked before it is stored: models are plugins, and their texts and regions are foreign data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from gi_bench.harness.errors import RunError
from gi_bench.harness.model import Answer, GroundAsk, Grounding
from gi_bench.harness.regions import fits

Said = TypeVar("Said", Answer, Grounding)
# A warning that is counted beside the scores.
REPLACED = "half of a surrogate pair replaced"


def checked_answer(said: Answer, where: str) -> Answer:
    """An answer or explanation that can be stored.

    Raises:
        RunError: its text is no text.
    """
    if not isinstance(said.text, str):
        raise RunError(
            f"the model gave {type(said.text).__name__} for a text", where=where, do="repair the model plugin"
        )
    return _writable(said)


def checked_grounding(said: Grounding, ask: GroundAsk) -> Grounding:
    """Regions that can be stored.

    Raises:
        RunError: a run-length code does not describe its mask, or a mask cannot lie on the image.
    """
    for region in said.regions:
        where, do = f"{ask.img_id}: {ask.phrase[:80]}", "repair the model plugin: masks of the image's size"
        try:
            region.check()
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(f"the model gave {error}", where=where, do=do) from error
        if not fits((region.width, region.height), (ask.width, ask.height)):
            raise RunError(
                f"the model gave a mask of {region.width} x {region.height} pixels for an image of "
                f"{ask.width} x {ask.height}",
                where=where,
                do=do,
            )
    return _writable(said)


def _writable(said: Said) -> Said:
    """The same with its texts as UTF-8 can hold them; what had to be replaced is among the warnings."""
    changed: dict[str, Any] = {}
    for name in ("text", "reply", "prompt"):
        value = getattr(said, name, None)
        if isinstance(value, str) and (plain := _plain(value)) != value:
            changed[name] = plain
    return replace(said, **changed, warnings=(*said.warnings, REPLACED)) if changed else said


def _plain(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


__all__ = ["REPLACED", "checked_answer", "checked_grounding"]
