"""The records that pass between the rooms: the contract of the whole project.

Records are frozen and typed, and each is declared here once: tables (:mod:`gi_bench.harness.tables`) and JSON
(:mod:`gi_bench.harness.files`) are made from its types. What is written to disk carries :data:`SCHEMA_VERSION`. The
version before is migrated in memory when it is read (:mod:`gi_bench.harness.migration`); any other is refused instead
of being guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas

SCHEMA_VERSION = 3
# Versions whose files are read.
READABLE_VERSIONS = (2, 3)

Task = Literal["answer", "explain", "ground"]
TASKS: tuple[Task, ...] = ("answer", "ground", "explain")
Kind = Literal["question", "phrase"]
# In which a model is asked where something is: in its answers' words, in regions, in its vision features.
WayOfSeeing = Literal[
    "place in words", "region as written", "region, locations forced", "probe: presence", "probe: cell"
]
WAYS_OF_SEEING: tuple[WayOfSeeing, ...] = get_args(WayOfSeeing)
# What a reply is: it states something, denies it in the task's own way, refuses, cannot be read, or is not there.
ReplyState = Literal["stated", "denied", "refused", "unreadable", "not given"]
REPLY_STATES: tuple[ReplyState, ...] = ("stated", "denied", "refused", "unreadable", "not given")
# (x1, y1, x2, y2) in pixels, x2 and y2 exclusive; (x, y) in pixels. Both may fall between pixels.
Box = tuple[float, float, float, float]
Point = tuple[float, float]


# Of a field that came after the first stored runs: files may lack it, and fingerprints leave out its default.
_ADDED = {"added": True}


@dataclass(frozen=True, slots=True)
class Region:
    """A binary mask of one image with a label, stored as COCO run-length code.

    A model may give a mask, a box (:meth:`from_box`) or a point (:meth:`from_point`). The mask is what is scored, and
    it is always there; a box or a point is kept beside it as it was given.

    Attributes:
        label: what the region shows, e.g. ``polyp``.
        height, width: size of the image in pixels.
        counts: COCO compressed run-length code (column-major), as text.
        score: confidence in [0, 1] where the model gives one.
        given_box: the box that the model gave; None if it gave none.
        given_point: the point that the model gave; None if it gave none.
    """

    label: str
    height: int
    width: int
    counts: str
    score: float | None = None
    given_box: Box | None = field(default=None, metadata=_ADDED)
    given_point: Point | None = field(default=None, metadata=_ADDED)

    @staticmethod
    def from_mask(label: str, mask: npt.NDArray[Any], score: float | None = None) -> Region:
        """Encode a mask of shape (height, width); non-zero pixels belong to the region."""
        import numpy as np
        from pycocotools import mask as coco

        code = coco.encode(np.asfortranarray(mask != 0).astype(np.uint8, order="F"))
        height, width = mask.shape
        return Region(label, int(height), int(width), code["counts"].decode("ascii"), score)

    @staticmethod
    def from_box(label: str, box: Box, height: int, width: int, score: float | None = None) -> Region:
        """A region given as a box; its mask holds the pixels whose centres lie inside.

        Args:
            label: what it shows.
            box: (x1, y1, x2, y2) in pixels, x2 and y2 exclusive; what lies outside the image is cut off the mask.
            height, width: size of the image in pixels.
            score: confidence in [0, 1].

        Raises:
            ValueError: a corner is no number, or the second lies before the first.

        >>> Region.from_box("polyp", (1, 1, 3, 2), 4, 4).area
        2
        """
        from dataclasses import replace

        import numpy as np

        corners = tuple(float(value) for value in box)
        if len(corners) != 4 or not np.isfinite(corners).all() or corners[2] < corners[0] or corners[3] < corners[1]:
            raise ValueError(f"not a box (x1, y1, x2, y2): {box}")
        mask = np.zeros((height, width), dtype=bool)
        left, top, right, bottom = np.clip(np.ceil(np.array(corners) - 0.5), 0, [width, height] * 2).astype(int)
        mask[top:bottom, left:right] = True
        return replace(Region.from_mask(label, mask, score), given_box=corners)

    @staticmethod
    def from_point(label: str, point: Point, height: int, width: int, score: float | None = None) -> Region:
        """A region given as a point; its mask is the one pixel under it.

        Raises:
            ValueError: the point is no pair of numbers, or lies outside the image.

        >>> Region.from_point("polyp", (1.5, 0), 4, 4).box()
        (1, 0, 2, 1)
        """
        from dataclasses import replace

        import numpy as np

        place = tuple(float(value) for value in point)
        if len(place) != 2 or not (0 <= place[0] < width and 0 <= place[1] < height):
            raise ValueError(f"not a point (x, y) of an image of {width} x {height} pixels: {point}")
        mask = np.zeros((height, width), dtype=bool)
        mask[int(place[1]), int(place[0])] = True
        return replace(Region.from_mask(label, mask, score), given_point=place)

    def mask(self) -> npt.NDArray[np.bool_]:
        """The mask as booleans of shape (height, width).

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        import numpy as np
        from pycocotools import mask as coco

        return np.ascontiguousarray(coco.decode(self._code())).astype(bool)

    def check(self) -> None:
        """Refuse a run-length code that nothing should decode.

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        from gi_bench.harness.run_lengths import check_code

        check_code(self.counts, self.height, self.width)

    def _code(self) -> dict[str, Any]:
        """The run-length code as pycocotools takes it, which checks nothing itself."""
        self.check()
        return {"size": [self.height, self.width], "counts": self.counts.encode("ascii")}

    @property
    def area(self) -> int:
        """Number of pixels in the region.

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        from pycocotools import mask as coco

        return int(coco.area(self._code()))

    def box(self) -> tuple[int, int, int, int] | None:
        """Smallest box around the region as (x1, y1, x2, y2) in pixels, x2/y2 exclusive; None if empty.

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        from pycocotools import mask as coco

        if self.area == 0:
            return None
        x, y, w, h = (int(v) for v in coco.toBbox(self._code()))
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
        options: the answers to choose from, in the order in which they are put; empty for an open question.
        also_accepted: reference answers that are as right as ``answer``; empty where it is the only one.
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
    options: tuple[str, ...] = field(default=(), metadata=_ADDED)
    also_accepted: tuple[str, ...] = field(default=(), metadata=_ADDED)


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
    entropy: float | None = field(default=None, metadata=_ADDED)
    answer_reply: Reply | None = field(default=None, metadata=_ADDED)
    ground_reply: Reply | None = field(default=None, metadata=_ADDED)
    explain_reply: Reply | None = field(default=None, metadata=_ADDED)


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of one image, for reports.

    Attributes:
        img_id: image id.
        width, height: size of the image itself, in pixels.
        data: the encoded picture: WebP, longest side 256 px (JPEG, 320 px, in runs of schema version 2).
    """

    img_id: str
    width: int
    height: int
    data: bytes


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

    @property
    def role(self) -> str:
        """``floor`` for a variant that never looks, ``ceiling`` for one that knows the references, else ``model``."""
        found = self.model.get("role")
        return str(found) if found in ("floor", "ceiling") else "model"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run covers: questions, phrases, and the images of both."""

    images: int = 0
    phrases: int = 0
    questions: int = 0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a run was made on.

    Attributes:
        cores: of the machine.
        cpu: name of the processor.
        device: as asked for: ``cpu``, ``cuda`` or ``cuda:N``.
        gpu_name: name of the GPU, or ``cpu``.
        threads: of torch; None if the model did not need it.
    """

    cores: int | None = None
    cpu: str | None = None
    device: str | None = None
    gpu_name: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True)
class Code:
    """The code that made predictions. It is no part of the recipe, so that a fix does not move a run's folder.

    Attributes:
        version: of gi-bench.
        package: SHA-256 over the code and data of the installed package.
        plugins: SHA-256 of what a plugin brought to the run, by file or package: its file and the modules beside it.
        commit: of the checkout that the package ran from; empty where it is installed.
        command: the command line; empty where the run was started from Python.
        prompts: what the model is asked, by task, with places for question and phrase; empty where it does not say.
    """

    version: str = ""
    package: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    command: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Content of a run's ``manifest.json``: what was run, on what, and what came of it.

    Attributes:
        recipe: what decided the predictions.
        recipe_digest: of the recipe; names the folder and binds it.
        created: when the run was started, ISO 8601 in UTC.
        complete: whether every row has its prediction.
        counts: rows that the run covers.
        suite_note: what must be said wherever a score of this suite is shown; empty if nothing.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``none`` for predictions out of a file.
        batch_size: micro-batch at the end of the run; None for predictions out of a file.
        batch_halved_count: how often memory ran out.
        seconds: time in the model, over all parts; None until the run is complete.
        peak_memory_mb: highest memory, in 10^6 bytes: of the GPU's allocator, else of the whole process; None until the
            run is complete.
        model_memory_mb: memory in use once the model was loaded, counted alike; None in runs that do not say.
        hardware: the machine.
        system: Python and platform.
        packages: versions of what can change a number.
        parts: SHA-256 of every finished part of the predictions by file name; checked when a part is read. Empty in
            runs that do not say, and a part that is not named is not checked.
        references: SHA-256 of the tables of questions and phrases by file name, likewise.
        code: what made the predictions; empty in runs that do not say.
        remarks: what must be said beside the scores: predictions that were made by other code than was there when the
            run was asked for again, or by code of several versions.
    """

    recipe: Recipe
    recipe_digest: str
    created: str
    complete: bool
    counts: Counts
    suite_note: str = ""
    device: str = "none"
    batch_size: int | None = None
    batch_halved_count: int = 0
    seconds: float | None = None
    peak_memory_mb: float | None = None
    model_memory_mb: float | None = None
    hardware: Hardware = field(default_factory=Hardware)
    system: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    code: Code = field(default_factory=Code)
    remarks: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Timing:
    """Content of ``timings/part-*.json``: seconds by stage of one part, and how much it held."""

    seconds: Mapping[str, float]
    images: int = 0
    questions: int = 0
    phrases: int = 0
    batch_size: int = 0


@dataclass(frozen=True, slots=True)
class SeenImages:
    """Content of ``training.json``: which images of a run the model was trained on.

    Attributes:
        source: who says so: the model's own list, or the name of a file that the user gave.
        image_count: images in that list.
        seen: those among them that the run covers, sorted.
    """

    seen: tuple[str, ...]
    source: str = ""
    image_count: int = 0


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
        made_from: SHA-256 over the recipe and the digests of the files that were scored
            (:attr:`gi_bench.harness.store.Run.made_from`); empty in scores that do not say.
        digest: SHA-256 over everything else in the file, so that a number which is changed later is noticed; likewise.
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
    made_from: str = ""
    digest: str = ""

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


@dataclass(frozen=True, slots=True)
class ArmMade:
    """What the training of one arm of a study took; of several seeds, the mean.

    Attributes:
        steps: optimiser steps.
        rows: rows by task that the batches held over the whole training; one that was seen twice counts twice.
        images: images that were trained on.
        trainable_parameters: parameters that the training could change.
        seconds: wall-clock time of one training; None where it is not told, as in ``gi-bench study``, whose files are
            the same whenever they are made.
    """

    steps: int
    rows: Mapping[str, int]
    images: int
    trainable_parameters: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Seeing:
    """How far one training of an arm sees, asked in one way.

    Attributes:
        arm: name; empty for the backbone before any training.
        seed: of the training; None for the backbone.
        what: one of :data:`WAYS_OF_SEEING`.
        value: in [0, 1], more is better; NaN where there is none.
        low, high: its 95 % interval over images; NaN where there is none.
        n: rows that it rests on.
    """

    arm: str
    seed: int | None
    what: WayOfSeeing
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class GradientPair:
    """How the gradients of two tasks of one training stand to each other: means over the logged steps.

    Attributes:
        arm: name.
        seed: of the training.
        first, second: tasks; for norms of a task that has no other beside it, the second is empty.
        cosine: mean cosine of the two gradients, in [-1, 1]; NaN where there is no second task.
        negative_share: share of the logged steps with a cosine below 0.
        n: logged steps.
        first_norm, second_norm: mean Euclidean norm of each gradient over the trainable parameters.
    """

    arm: str
    seed: int
    first: str
    second: str
    cosine: float
    negative_share: float
    n: int
    first_norm: float
    second_norm: float
