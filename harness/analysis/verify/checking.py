"""Every number of a run's ``scores.json`` against a number that was computed again from what the run stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.analysis.verify import confidences, embeddings, overlaps, rates, texts
from gi_bench.harness.analysis.verify.methods import TOLERANCE, Method, Rows, Unavailable, library_version
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.schema import Score, Scores
from gi_bench.harness.store import Run, open_run

if TYPE_CHECKING:
    from gi_bench.harness.metrics.base import Metric

METHODS: dict[str, Method] = {
    method.metric: method
    for methods in (texts.METHODS, embeddings.METHODS, overlaps.METHODS, rates.METHODS, confidences.METHODS)
    for method in methods
}
# Metrics whose values come from a model that may not be on this machine, or from a server.
_OF_A_MODEL = ("bertscore", "bleurt", "judge_")


@dataclass(frozen=True)
class Number:
    """One number, as stored and as computed again.

    Attributes:
        metric, slice_by, slice_value: which number.
        stored, found: both values; None where there is none.
        stored_n, found_n: rows that they rest on; None where the number is missing on that side.
        library: what computed it again, with its version; ``gi-bench`` where the field has no implementation.
        tolerance: largest difference that counts as none.
        problem: what is wrong; empty if nothing is.
    """

    metric: str
    slice_by: str
    slice_value: str
    stored: float | None
    found: float | None
    stored_n: int | None
    found_n: int | None
    library: str
    tolerance: float
    problem: str = ""

    @property
    def difference(self) -> float | None:
        """Stored minus found; None where one of them is missing."""
        if self.stored is None or self.found is None:
            return None
        return self.stored - self.found


@dataclass(frozen=True)
class Verification:
    """What came of it.

    Attributes:
        run: the folder.
        suite, variant: of the run.
        verified: numbers that a library of the field computed again, by metric.
        own: numbers that only gi-bench's own definition gives, computed again by gi-bench; they prove no definition,
            only that the file belongs to the predictions.
        how: by metric, what was called.
        rests_on: by metric, what the library was told by gi-bench.
        unavailable: by metric, why its library cannot tell here.
        no_reference: metrics for which the field has no implementation.
        unknown: by metric, why not even gi-bench computed it again here.
        not_computed: by metric, why it has no value on this run; library and ``scores.json`` agree.
        absent: metrics that ``scores.json`` does not mention.
        problems: what else does not fit: another run's file, counts of rows and replies.
        notes: what to know beside the numbers.
    """

    run: Path
    suite: str
    variant: str
    verified: Mapping[str, tuple[Number, ...]]
    own: Mapping[str, tuple[Number, ...]]
    how: Mapping[str, str]
    rests_on: Mapping[str, str]
    unavailable: Mapping[str, str]
    no_reference: tuple[str, ...]
    unknown: Mapping[str, str]
    not_computed: Mapping[str, str]
    absent: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def differing(self) -> list[Number]:
        """All numbers with a problem."""
        both = (*self.verified.values(), *self.own.values())
        return [number for numbers in both for number in numbers if number.problem]

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.differing() and not self.problems


@dataclass
class _Found:
    """What is gathered on the way; see :class:`Verification`."""

    verified: dict[str, tuple[Number, ...]] = field(default_factory=dict)
    own: dict[str, tuple[Number, ...]] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    rests_on: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)


def verify_run(path: Path | str, *, settings: MetricSettings | None = None) -> Verification:
    """Compute a run's numbers again by the field's own implementations, from its predictions and references.

    Args:
        path: run folder with a ``scores.json``.
        settings: which encoder BERTScore was made with; None for the default.

    Raises:
        RunError: the folder is not a run, or has no scores.
    """
    from gi_bench.harness.registry import registered

    run = open_run(path)
    run = run if settings is None else replace(run, settings=settings)
    told = [*run.check_files(), run.digest_note]
    scores = run.scores
    stored = _by_metric(scores.scores)
    defined = {info.name for info in scores.metrics}
    metrics: Mapping[str, Metric] = registered("gi_bench.metrics")
    found = _Found()
    for name, method in METHODS.items():
        if name in stored or name in defined or name in scores.not_computed:
            _verify(run, method, stored.get(name, ()), scores, found)
    left = [name for name in dict.fromkeys((*stored, *(info.name for info in scores.metrics))) if name not in METHODS]
    for name in (*left, *found.unavailable):
        _again(run, name, stored.get(name, ()), metrics, found)
    known = {*stored, *defined, *scores.not_computed}
    others = {name: reason for name, reason in scores.not_computed.items() if name not in METHODS}
    return Verification(
        run=run.path,
        suite=run.suite,
        variant=run.variant,
        verified=found.verified,
        own=found.own,
        how=found.how,
        rests_on=found.rests_on,
        unavailable=found.unavailable,
        no_reference=tuple(left),
        unknown=found.unknown,
        not_computed={**found.not_computed, **others},
        absent=tuple(name for name in (*METHODS, *metrics) if name not in known),
        problems=tuple(_problems(run)),
        notes=(*filter(None, told), *_notes(scores, metrics)),
    )


def _by_metric(scores: Iterable[Score]) -> dict[str, tuple[Score, ...]]:
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(str(score.metric), []).append(score)
    return {name: tuple(values) for name, values in found.items()}


def _verify(run: Run, method: Method, stored: Sequence[Score], scores: Scores, found: _Found) -> None:
    """Compute one metric again by its library."""
    name = method.metric
    try:
        rows = method.make(run)
        if isinstance(rows, Rows) and run.seen_images:  # with none seen the slice would repeat the whole
            rows = replace(rows, slices={**rows.slices, "training": _training(rows.images, run.seen_images)})
        expected = list(_expected(rows)) if isinstance(rows, Rows) else []
    except ImportError as error:
        rows = Unavailable(f"{method.library} is not installed ({error})", f"pip install {method.library}")
    except Exception as error:  # a damaged row, or another version of a library, must not cost the other metrics
        rows = Unavailable(f"{method.library} cannot tell ({type(error).__name__}: {error})")
    if isinstance(rows, Unavailable):
        if stored:
            found.unavailable[name] = rows.line()
        elif name in scores.not_computed:
            found.not_computed[name] = scores.not_computed[name]
        return
    if isinstance(rows, str):
        if not stored:
            found.not_computed[name] = scores.not_computed.get(name, rows)
            return
    else:
        found.how[name] = rows.how
        if rows.rests_on:
            found.rests_on[name] = rows.rests_on
    why = f"not expected: {rows}" if isinstance(rows, str) else "not expected"
    missing = "missing in scores.json"
    if name in scores.not_computed:
        missing = f"not computed in scores.json: {scores.not_computed[name]}"
    found.verified[name] = tuple(
        _compared(name, stored, expected, library_version(method.library), method.tolerance, why, missing)
    )


@dataclass(frozen=True)
class _Expected:
    """A number computed again."""

    slice_by: str
    slice_value: str
    value: float | None
    n: int
    image_count: int


def _expected(rows: Rows) -> Iterator[_Expected]:
    for kind, label, chosen in rows.groups():
        value = rows.value(chosen) if chosen else math.nan
        yield _Expected(
            kind,
            label,
            value if math.isfinite(value) else None,
            len(chosen),
            len({rows.images[row] for row in chosen}),
        )


def _compared(
    name: str,
    stored: Sequence[Score],
    expected: Sequence[_Expected],
    library: str,
    tolerance: float,
    why: str = "not expected",
    missing: str = "missing in scores.json",
) -> Iterator[Number]:
    """Both sides beside each other: what is stored twice, missing or not expected is said too."""
    by_slice: dict[tuple[str, str], list[Score]] = {}
    for score in stored:
        by_slice.setdefault((str(score.slice_by), str(score.slice_value)), []).append(score)
    for one in expected:
        given = by_slice.pop((one.slice_by, one.slice_value), [])
        number = Number(name, one.slice_by, one.slice_value, None, one.value, None, one.n, library, tolerance)
        if not given:
            yield replace(number, problem=missing)
        for place, score in enumerate(given):
            yield replace(
                number,
                stored=_number(score.value),
                stored_n=score.n,
                problem="given twice" if place else _problem(score, one, tolerance),
            )
    for (slice_by, slice_value), given in by_slice.items():
        for score in given:
            value = _number(score.value)
            yield Number(name, slice_by, slice_value, value, None, score.n, None, library, tolerance, why)


def _number(value: object) -> float | None:
    """A value as JSON may hold it; whatever is no number is NaN, which equals nothing."""
    if value is None:
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _problem(score: Score, expected: _Expected, tolerance: float) -> str:
    problems = []
    value = _number(score.value)
    if (value is None) != (expected.value is None):
        problems.append("no value in scores.json" if value is None else "a value where there is none")
    elif value is not None and expected.value is not None and not abs(value - expected.value) <= tolerance:
        problems.append("value differs")
    if score.n != expected.n:
        problems.append(f"n is {score.n}, not {expected.n}")
    if score.image_count != expected.image_count:
        problems.append(f"images are {score.image_count}, not {expected.image_count}")
    return "; ".join(problems)


def _again(run: Run, name: str, stored: Sequence[Score], metrics: Mapping[str, Metric], found: _Found) -> None:
    """Compute one metric again by gi-bench itself."""
    from gi_bench.harness.analysis.scoring import metric_scores
    from gi_bench.harness.statistics import Bootstrap

    metric = metrics.get(name)
    if metric is None:
        found.unknown[name] = "nobody registered it here: give its plugin with --plugin"
        return
    if name.startswith(_OF_A_MODEL):
        found.unknown[name] = "it needs the model that it was made with"
        return
    try:
        statistics = metric.compute(run)
    except Exception as error:  # a metric of a plugin
        statistics = f"{type(error).__name__}: {error}"
    expected: list[_Expected] = []
    why = "not expected"
    if isinstance(statistics, str):
        why = f"not expected: {statistics}"
    else:
        if run.seen_images:
            statistics = replace(
                statistics, slices={**statistics.slices, "training": _training(statistics.images, run.seen_images)}
            )
        for score in metric_scores(name, statistics, Bootstrap(0, 0)):
            expected.append(_Expected(score.slice_by, score.slice_value, score.value, score.n, score.image_count))
    found.own[name] = tuple(_compared(name, stored, expected, "gi-bench", TOLERANCE, why))


def _training(images: Sequence[str], seen: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(("seen",) if img_id in seen else ("unseen",) for img_id in images)


def _problems(run: Run) -> Iterator[str]:
    """What does not fit although every score may: names of the run, counts of rows and of replies."""
    from gi_bench.harness.metrics.participation import tally

    scores = run.scores
    for what in ("suite", "fingerprint", "variant"):
        ours, theirs = getattr(scores, what), getattr(run, what)
        if ours != theirs:
            yield f"the scores are of another run: {what} {ours}, not {theirs}"
    questions, phrases = run.questions, run.phrases
    keys = [("question", q.index) for q in questions] + [("phrase", p.index) for p in phrases]
    warnings = Counter(f"output: {warning}" for p in run.predictions.values() for warning in p.warnings)
    expected = {
        "questions": len(questions),
        "phrases": len(phrases),
        "images": len({q.img_id for q in questions} | {p.img_id for p in phrases}),
        "missing predictions": sum(key not in run.predictions for key in keys),
        **warnings,
    }
    for what, count in expected.items():
        if scores.counts.get(what) != count:
            yield f"count of {what}: {scores.counts.get(what)} in scores.json, {count} in the run"
    states = tally(run)
    if scores.states and scores.states != states:
        changed = [task for task in {*states, *scores.states} if states.get(task) != scores.states.get(task)]
        yield f"replies counted by state differ: {', '.join(sorted(changed))}"


def _notes(scores: Scores, metrics: Mapping[str, Metric]) -> Iterator[str]:
    older = [
        f"{info.name} ({info.version}, now {metrics[info.name].info.version})"
        for info in scores.metrics
        if info.name in metrics and info.version != metrics[info.name].info.version
    ]
    if older:
        yield f"scored under another version of the definition, gi-bench score RUN scores again: {', '.join(older)}"


__all__ = ["METHODS", "Number", "Verification", "verify_run"]
