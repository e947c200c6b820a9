"""The records that pass between the rooms: the contract of the whole project.

Records are frozen and typed. What is written to disk carries :data:`SCHEMA_VERSION`; a reader that meets
another major version refuses the file instead of guessing. The Arrow schemas of the stored records stand in
:mod:`gi_bench.harness.store`, next to the code that writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas

SCHEMA_VERSION = 2

Task = Literal["answer", "explain", "ground"]
TASKS: tuple[Task, ...] = ("answer", "ground", "explain")
Kind = Literal["question", "phrase"]
# What a reply is: it states something, denies it in the task's own way, refuses, cannot be read, or is not there.
ReplyState = Literal["stated", "denied", "refused", "unreadable", "not given"]
REPLY_STATES: tuple[ReplyState, ...] = ("stated", "denied", "refused", "unreadable", "not given")


@dataclass(frozen=True, slots=True)
class Region:
    """A binary mask of one image with a label, stored as COCO run-length code.

    Attributes:
        label: what the region shows, e.g. ``polyp``.
        height, width: size of the image in pixels.
        counts: COCO compressed run-length code (column-major), as text.
        score: confidence in [0, 1] where the model gives one.
    """

    label: str
    height: int
    width: int
    counts: str
    score: float | None = None

    @staticmethod
    def from_mask(label: str, mask: npt.NDArray[Any], score: float | None = None) -> Region:
        """Encode a mask of shape (height, width); non-zero pixels belong to the region."""
        import numpy as np
        from pycocotools import mask as coco

        code = coco.encode(np.asfortranarray(mask != 0).astype(np.uint8, order="F"))
        height, width = mask.shape
        return Region(label, int(height), int(width), code["counts"].decode("ascii"), score)

    def mask(self) -> npt.NDArray[np.bool_]:
        """The mask as booleans of shape (height, width).

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        import numpy as np
        from pycocotools import mask as coco

        decoded = coco.decode({"size": [self.height, self.width], "counts": self.counts.encode("ascii")})
        return np.ascontiguousarray(decoded).astype(bool)

    @property
    def area(self) -> int:
        """Number of pixels in the region."""
        from pycocotools import mask as coco

        return int(coco.area({"size": [self.height, self.width], "counts": self.counts.encode("ascii")}))

    def box(self) -> tuple[int, int, int, int] | None:
        """Smallest box around the region as (x1, y1, x2, y2) in pixels, x2/y2 exclusive; None if empty."""
        from pycocotools import mask as coco

        if self.area == 0:
            return None
        code = {"size": [self.height, self.width], "counts": self.counts.encode("ascii")}
        x, y, w, h = (int(v) for v in coco.toBbox(code))
        return x, y, x + w, y + h


@dataclass(frozen=True, slots=True)
class AtomicPair:
    """One atomic question with its atomic answer, as in Kvasir-VQA-x1's ``original``."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """One row to answer. Its key inside a suite is ``index``: (img_id, question) is not unique.

    Attributes:
        index: position in the suite, from 0.
        img_id: image id; never used as a path.
        question: the text put to the model.
        answer: reference answer; None on hidden sets.
        question_class: 1 to 3 slugs of :data:`gi_bench.harness.taxonomy.QUESTION_CLASSES`.
        complexity: 1 to 3; number of atomic questions merged into this one.
        original: atomic pairs in the order of ``question_class``.
        explanation: reference explanation, where the suite has one.
        is_negative: the finding asked about is absent, so that the right answer denies it.
        finding: the finding asked about where the row is about exactly one; else None.
        wants_explanation: the suite asks for an explanation (and a visual one) of this row.
    """

    index: int
    img_id: str
    question: str
    answer: str | None
    question_class: tuple[str, ...]
    complexity: int
    original: tuple[AtomicPair, ...] = ()
    explanation: str | None = None
    is_negative: bool = False
    finding: str | None = None
    wants_explanation: bool = False


@dataclass(frozen=True, slots=True)
class Phrase:
    """A referring phrase of one image, with the region it refers to.

    Attributes:
        index: position among the suite's phrases, from 0.
        img_id: image id.
        phrase: the text put to the model.
        label: class of the region: ``polyp``, ``instrument``, ``z-line``, ...
        region: reference region; None if the suite has no mask for it.
        is_negative: nothing in the image fits the phrase; the right region is empty.
    """

    index: int
    img_id: str
    phrase: str
    label: str
    region: Region | None = None
    is_negative: bool = False


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
        region_state: what the reply to ``phrase`` was; None if nothing was grounded, and in runs stored before states
            were.
        region_reply: what the model wrote where no region could be read from it; None if it says no more than the
            state does.
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
    entropy: float | None = None
    region_state: ReplyState | None = None
    region_reply: str | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's predictions. Its hash binds a run folder.

    Attributes:
        variant: registered name of the model.
        model: the model's own settings (backbone, checkpoint digest, rank, decoding, ...).
        suite: name of the suite.
        fingerprint: SHA-256 of the suite's rows and images.
        tasks: tasks that were run.
        limit: number of questions if the run was cut short, else None.
        seed: seed of everything random.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        code_version: version of gi-bench that made the predictions.
    """

    variant: str
    model: Mapping[str, Any]
    suite: str
    fingerprint: str
    tasks: tuple[Task, ...]
    limit: int | None
    seed: int
    dtype: str
    code_version: str

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields."""
        import hashlib
        import json
        from dataclasses import asdict

        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a metric means; stored beside its scores so that a number is never without its definition.

    Attributes:
        name: registered name, e.g. ``rougeL``.
        title: short heading for tables.
        definition: one or two sentences; says what makes it differ from other tools' numbers.
        source: where the definition comes from.
        higher_is_better: direction.
        low, high: range of possible values.
        group: ``answers``, ``facts``, ``regions``, ``negatives``, ``explanations``, ``confidence``.
        comparable: whether the number can be put beside the challenge's published one on the same rows.
        ranked: whether one direction is better at all; a length has none.
        headline: shown by default; the others with ``--all`` in the terminal, in a fold of the report, and in
            ``scores.json``.
        version: of the definition; a change of value, rows or interval raises it. Scores that were stored under a lower
            one stay readable, and whoever shows them says so.
    """

    name: str
    title: str
    definition: str
    source: str
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0
    group: str = "answers"
    comparable: bool = True
    headline: bool = True
    ranked: bool = True
    version: int = 1


@dataclass(frozen=True, slots=True)
class Score:
    """One number with all that belongs to it.

    Attributes:
        metric: name of the metric.
        slice_by: ``all``, ``question_class``, ``complexity``, ``label``, ``finding`` or ``training`` (whether the row's
            image is ``seen`` or ``unseen`` in training, where that is known).
        slice_value: value of the slice, e.g. ``polyp_count``; ``all`` for the whole suite.
        value: the score; None if the slice holds nothing that can be scored.
        n: number of rows (questions or phrases) that the value rests on.
        image_count: number of distinct images among them.
        interval_low, interval_high: bounds of the interval; None if n is too small for one.
        level: confidence level of the interval.
    """

    metric: str
    slice_by: str
    slice_value: str
    value: float | None
    n: int
    image_count: int
    interval_low: float | None = None
    interval_high: float | None = None
    level: float = 0.95


@dataclass(frozen=True)
class Scores:
    """Content of a run's ``scores.json``.

    Attributes:
        suite, fingerprint, variant, recipe_digest: what was scored.
        interval_method: how the intervals were made, with resamples and seed.
        metrics: definition of every metric that appears in ``scores``.
        scores: all scores of all slices.
        not_computed: reason by metric name, for metrics that could not be computed here.
        notes: warnings that belong beside the numbers (partial run, not comparable, ...).
        counts: rows by kind, missing predictions, missing reference masks and other counts.
        interval_version: of the way in which intervals were made; 1 where the file does not say.
        states: replies by what they are: task (``answers``, ``regions``, ``explanations``), then question class or
            region label (``all`` for every row), then one of :data:`REPLY_STATES`; empty in scores of before.
    """

    suite: str
    fingerprint: str
    variant: str
    recipe_digest: str
    interval_method: str
    metrics: tuple[MetricInfo, ...]
    scores: tuple[Score, ...]
    not_computed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    interval_version: int = 1
    states: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)

    def find(self, metric: str, slice_by: str = "all", slice_value: str = "all") -> Score | None:
        """The score of one metric and slice, or None."""
        for score in self.scores:
            if (score.metric, score.slice_by, score.slice_value) == (metric, slice_by, slice_value):
                return score
        return None

    def to_frame(self) -> pandas.DataFrame:
        """One row a score as a pandas frame; see :func:`gi_bench.harness.frames.scores_frame`."""
        from gi_bench.harness.frames import scores_frame

        return scores_frame(self)
