"""The one interface that every model has, and what passes through it.

A model is given an image once and asked many things about it. The engine does all batching: the lists that a
model receives are aligned, one feature per question, with the same feature object repeated for questions of
the same image. A model never sees a reference answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gi_bench.harness.schema import REPLY_STATES, Region, ReplyState, Task

if TYPE_CHECKING:
    from PIL.Image import Image

    from gi_bench.harness.suites.base import Suite

Feature = Any
# The warning by which a ceiling says that it has no word on a row: the row is then no part of its run.
NOT_COVERED = "not-covered"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question as a model sees it: the public part of a row.

    ``options`` are the answers to choose from, in the order in which they are put; empty for an open question.
    """

    index: int
    img_id: str
    question: str
    question_class: tuple[str, ...]
    complexity: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundAsk:
    """A phrase to show in an image of the given size in pixels.

    ``index`` is the number of the suite's phrase; None where the phrase is an answer.
    """

    img_id: str
    phrase: str
    label: str
    width: int
    height: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer or an explanation.

    Attributes:
        text: the answer, as it is scored.
        confidence: in [0, 1]; None if the model has none.
        token_count: tokens it took.
        warnings: what had to be repaired in the model's output, a short slug each.
        log_prob: mean log-probability of the tokens, at most 0; None if the model does not say.
        margin: mean difference between the two likeliest tokens, in [0, 1]; None likewise.
        entropy: mean entropy of the tokens' distributions, as a share of that of a uniform choice over the vocabulary,
            in [0, 1]; None likewise.
        prompt: what the model was asked, as it was put; None if it takes no prompt.
        reply: what the model wrote, before anything was read from it; None if that is ``text``.
        state: why the text is empty, where the model knows (a server's filter: ``refused``). None leaves it to be read
            from the text, and a text that is not empty is read in any case when it is scored.
        token_log_probs: log-probability of every token, at most 0; None if the model does not say.
    """

    text: str
    confidence: float | None = None
    token_count: int = 0
    warnings: tuple[str, ...] = ()
    log_prob: float | None = None
    margin: float | None = None
    entropy: float | None = None
    prompt: str | None = None
    reply: str | None = None
    state: ReplyState | None = None
    token_log_probs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Grounding:
    """Regions for one phrase; empty if the model shows nothing.

    Attributes:
        regions: what is shown.
        confidence: of the regions, in [0, 1]; None if the model has none.
        token_count: tokens it took.
        warnings: what had to be repaired in the model's output, a short slug each.
        state: what the reply is. None if the model has no other replies than regions and denials: something shown is
            ``stated`` then, nothing is ``denied``. A model that writes text says more: ``refused`` ("I am sorry"),
            ``unreadable`` (text without a region in it), ``not given`` (no text at all).
        reply: what the model wrote, before anything was read from it; None if it writes no text.
        prompt: what the model was asked, as it was put; None if it takes no prompt.
        token_log_probs: log-probability of every token, at most 0; None if the model does not say.
    """

    regions: tuple[Region, ...]
    confidence: float | None = None
    token_count: int = 0
    warnings: tuple[str, ...] = ()
    state: ReplyState | None = None
    reply: str | None = None
    prompt: str | None = None
    token_log_probs: tuple[float, ...] | None = None

    def reply_state(self) -> ReplyState:
        """The state as given, or the one that follows from the regions.

        Raises:
            ValueError: an unknown state, or one that does not fit the regions.
        """
        shown = any(region.area for region in self.regions)
        if self.state is None:
            return "stated" if shown else "denied"
        check_state(self.state)
        if shown != (self.state == "stated"):
            raise ValueError(f"a reply called {self.state!r} shows {'a region' if shown else 'nothing'}")
        return self.state


def check_state(state: str) -> None:
    """Refuse what is no state of a reply.

    Raises:
        ValueError: it is none of :data:`gi_bench.harness.schema.REPLY_STATES`.
    """
    if state not in REPLY_STATES:
        raise ValueError(f"{state!r} is no state of a reply: use {', '.join(REPLY_STATES)}")


@runtime_checkable
class Model(Protocol):
    """What the engine asks of a model.

    Attributes:
        tasks: the tasks it has; the engine never calls a method whose task is not listed.
        needs_image: False for models that never look; they receive None as every feature.
        settings: what identifies its predictions (weights' digest, decoding, ...); goes into the recipe.
        batch_size: micro-batch to start with when the user leaves it to ``auto``.

    A variant that is a bound instead of a model says so in its settings: ``role`` is ``floor`` for one that never
    looks, ``ceiling`` for one that knows the references.

    A model that takes prompts may say which in an attribute ``prompts`` (task to its prompt); the manifest keeps them.

    A model that knows which images it was trained on says so in an attribute ``training_images`` (a frozenset of
    ids): scores are then given for seen and unseen images apart.
    """

    tasks: frozenset[Task]
    needs_image: bool
    settings: Mapping[str, Any]
    batch_size: int

    def encode(self, images: Sequence[Image]) -> Sequence[Feature]:
        """One feature per image (RGB, any size)."""
        ...

    def answer(self, features: Sequence[Feature], asks: Sequence[Ask]) -> Sequence[Answer]:
        """One answer per question."""
        ...

    def ground(self, features: Sequence[Feature], asks: Sequence[GroundAsk]) -> Sequence[Grounding]:
        """The regions of each phrase, in pixels of the original image."""
        ...

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> Sequence[Answer]:
        """An explanation of each given answer."""
        ...

    def close(self) -> None:
        """Give back what the model holds; a shared backbone returns to its first state."""
        ...


@dataclass
class BuildContext:
    """What a model may use to build itself.

    Attributes:
        suite: the suite that it will run on. Its references are for ceilings alone: variants that are registered with
            the role ``ceiling``, say so in their settings, and are marked as no model wherever their scores are shown.
            Everything else learns from ``train_suite``, never from here.
        train_suite: suite of the rows that floors and ceilings learn from; None if there is none. Rows of the image
            that is asked about never teach.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        seed: seed of everything random.
        checkpoint: folder or Hub id given by the user instead of the registered one.
        backbone: folder or Hub id given by the user instead of the registered one.
        beams: beam count given by the user instead of the registered one.
        ignore_rules: whether to go on without the decoding rules that a checkpoint brings along.
        shared: kept between the models of one call; a backbone that several variants use lives here.
    """

    suite: Suite
    train_suite: Suite | None = None
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    checkpoint: Path | str | None = None
    backbone: Path | str | None = None
    beams: int | None = None
    ignore_rules: bool = False
    shared: dict[str, Any] = field(default_factory=dict)
