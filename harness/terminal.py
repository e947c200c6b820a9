"""What goes to a terminal: the one place through which every line passes, and where foreign text loses its force.

Names, texts and errors come from other people's manifests, files and models. A control character, an escape sequence,
a bell, a mark that turns the direction of writing or a character without width is shown as its code (``\\u001b``), so
that it can neither move the cursor nor hide what stands there. The codes are those of JSON: what was JSON stays JSON,
and means the same.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def clean(text: object, *, keep: str = "\t") -> str:
    r"""A text with everything that is not plain to see shown as its code; spaces of all widths stay.

    Args:
        text: anybody's.
        keep: characters that stay as they are all the same.

    >>> clean("a\x1b[2Jb\u202ec")
    'a\\u001b[2Jb\\u202ec'
    """
    given = str(text)
    if given.isprintable():
        return given
    return "".join(c if c.isprintable() or c in keep or _is_space(c) else _code(c) for c in given)


def _is_space(character: str) -> bool:
    """Whether a character is a space of some width, as in "1 000": it hides nothing."""
    import unicodedata

    return unicodedata.category(character) == "Zs"


def _code(character: str) -> str:
    r"""The code of a character in JSON; above U+FFFF it takes two."""
    number = ord(character)
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def say(line: object = "", *, err: bool = False) -> None:
    """Print one line; a line break inside it is shown as its code, or foreign text could make up lines of ours."""
    _print(clean(line), err)


def say_text(text: object, *, err: bool = False) -> None:
    """Print a text of several lines: JSON, help, a traceback."""
    _print(clean(text, keep="\t\n"), err)


def _print(text: str, err: bool) -> None:
    stream: Any = sys.stderr if err else sys.stdout
    if stream is None:  # closed by the caller (>&-): nobody wants to read it
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        # A terminal without UTF-8: what it cannot show is shown as its code.
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def say_styled(renderable: Any, width: int) -> None:
    """Print what ``rich`` draws on a terminal; its texts are clean already. With ``NO_COLOR`` without any style.

    Args:
        renderable: a table or a text of rich.
        width: columns to draw in.
    """
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(
        file=sys.stdout, force_terminal=True, width=width, color_system=None if plain else "auto", highlight=False,
        markup=False, emoji=False,
    )  # fmt: skip
    # By way of a text: rich itself fails where a terminal without UTF-8 cannot show a letter.
    with console.capture() as drawn:
        console.print(renderable)
    _print(drawn.get().removesuffix("\n"), False)


def clean_warning(message: Any, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """A warning of a library in one line, in the place of :func:`warnings.formatwarning`."""
    return f"{category.__name__}: {clean(' '.join(str(message).split()))}\n"


__all__ = ["clean", "clean_warning", "say", "say_styled", "say_text"]
