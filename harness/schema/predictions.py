"""What a model says: the raw reply of each task, and what was read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gi_bench.harness.schema.region import Region
from gi_bench.harness.schema.rows import Kind
from gi_bench.harness.schema.version import ADDED

# What a reply is: it states something, denies it in the task's own way, refuses, cannot be read, or is not there.
ReplyState = Literal["stated", "denied", "refused", "unreadable", "not given"]
REPLY_STATES: tuple[ReplyState, ...] = ("stated", "denied", "refused", "unreadable", "not given")


@dataclass(frozen=True, slots=True)
class Reply:
    """What went into a model and came out of it for one task of one row.

    Attributes:
        prompt: the text put to the model, as it was put; None if it takes none or does not say.
        text: what it wrote, before anything was read from it; None if nothing, or if it writes no text.
        state: what the reply is, as the model says or as it was read when the run was made. Texts are read again when
            they are scored; of a region, and of an empty text, this counts.
        token_count: tokens generated; None if the model does not say.
        token_log_probs: log-probability of every generated token, at most 0; None if the model gives none.
    """

    prompt: str | None = None
    text: str | None = None
    state: ReplyState | None = None
    token_count: int | None = None
    token_log_probs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model said of one question or phrase.

    Attributes:
        kind, index: which row of the suite this belongs to.
        img_id: image id of that row.
        answer: answer text; None if the task was not run.
        confidence: of the answer (for a phrase: of the region), in [0, 1]; None if the model gives none.
        explanation: explanation text; None if not asked for.
        phrase: the phrase that was grounded; None if nothing was grounded.
        regions: predicted regions; None if the task was not run, empty if the model shows nothing.
        token_count: tokens generated for this row over all tasks.
        warnings: what had to be repaired in the model's output, a short slug each.
        log_prob: mean log-probability of the answer's tokens, at most 0; None if the model gives none.
        margin: mean difference between the two likeliest tokens of the answer, in [0, 1]; None likewise.
        entropy: mean entropy of the distributions that the answer's tokens were chosen from, as a share of that of a
            uniform choice over the vocabulary, in [0, 1]; None likewise.
        answer_reply, ground_reply, explain_reply: prompt, raw reply, state and tokens of each task; None if the task
            was not run on this row, and in runs that were stored before these were kept.
    """

    kind: Kind
    index: int
    img_id: str
    answer: str | None = None
    confidence: float | None = None
    explanation: str | None = None
    phrase: str | None = None
    regions: tuple[Region, ...] | None = None
    token_count: int = 0
    warnings: tuple[str, ...] = ()
    log_prob: float | None = None
    margin: float | None = None
    entropy: float | None = field(default=None, metadata=ADDED)
    answer_reply: Reply | None = field(default=None, metadata=ADDED)
    ground_reply: Reply | None = field(default=None, metadata=ADDED)
    explain_reply: Reply | None = field(default=None, metadata=ADDED)
