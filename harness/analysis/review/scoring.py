"""What experts' ratings of a sheet say: means by run and stratum, differences of runs, agreement, correlations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from gi_bench.harness.analysis.review.agreement import Agreement, agreements
from gi_bench.harness.analysis.review.correlation import Correlation, Rated, correlations
from gi_bench.harness.analysis.review.key import CRITERIA, HIGHEST, LOWEST, SheetKey, open_runs, read_key
from gi_bench.harness.analysis.review.ratings import Floats, Ratings, read_ratings
from gi_bench.harness.analysis.scoring import metric_scores
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Statistics, ratio
from gi_bench.harness.schema import MetricInfo, Question, Score
from gi_bench.harness.statistics import (
    Bootstrap,
    encode,
    holm,
    paired,
    shared_bootstrap,
    sums_by_image,
)
from gi_bench.harness.store import Run, accepts_changes


@dataclass(frozen=True)
class RaterSummary:
    """One rater: how many items have a rating, missing ratings by criterion, and mean ratings (None without any)."""

    name: str
    rated: int
    missing: dict[str, int]
    means: dict[str, float | None]


@dataclass(frozen=True)
class Mean:
    """Mean rating of one run's items by one criterion in one stratum; ``score.metric`` is the criterion."""

    run: str
    score: Score


@dataclass(frozen=True)
class RunDifference:
    """Two runs on the questions of which both explanations were rated: mean of the first less that of the second.

    Attributes:
        first, second, criterion: what was compared.
        difference: of the means.
        low, high: 95 % interval over images; None where there is none.
        p, adjusted: of the permutation test over images, and after Holm's correction over all differences.
        n, images: questions, and their images.
    """

    first: str
    second: str
    criterion: str
    difference: float
    low: float | None
    high: float | None
    p: float
    adjusted: float
    n: int
    images: int


@dataclass(frozen=True)
class RatedItem:
    """One item unblinded: run, row and image, and by rater the three ratings (None where missing) and the comment."""

    item: int
    run: str
    row: int
    img_id: str
    ratings: dict[str, dict[str, int | None]]
    comments: dict[str, str]


@dataclass(frozen=True)
class Review:
    """Everything that ratings of one sheet say.

    Attributes:
        sheet, suite, fingerprint, stratify: of the key.
        runs: names, in the order of the key.
        raters, means, differences, agreement, correlations, items: see there.
        interval_method: how intervals were made.
        notes: what has to be said beside the numbers.
    """

    sheet: str
    suite: str
    fingerprint: str
    stratify: str
    runs: tuple[str, ...]
    raters: tuple[RaterSummary, ...]
    means: tuple[Mean, ...]
    differences: tuple[RunDifference, ...]
    agreement: tuple[Agreement, ...]
    correlations: tuple[Correlation, ...]
    items: tuple[RatedItem, ...]
    interval_method: str
    notes: tuple[str, ...]


def strata(question: Question, stratify: str) -> tuple[str, ...]:
    """The strata of a question: its classes, its complexity, or the one stratum of all."""
    if stratify == "question_class":
        return tuple(dict.fromkeys(question.question_class)) or ("no class",)
    return (str(question.complexity),) if stratify == "complexity" else ("all",)


def score_review(
    paths: Sequence[Path], key_path: Path, *, moved: Sequence[Path] = (), resamples: int = 1000, seed: int = 0
) -> Review:
    """Score the ratings of one sheet.

    Args:
        paths: CSV files, of one or more raters.
        key_path: the sheet's key.
        moved: folders of its runs, where they are no longer at their places.
        resamples: of the bootstrap, and permutations.
        seed: of both.

    Raises:
        GiBenchError: key, ratings or runs cannot be read, or do not belong together.
    """
    key = read_key(key_path)
    ratings = read_ratings(paths, key)
    runs, notes = open_runs(key, key_path, moved)
    for run in runs:
        notes += run.check_files(beside_scores=True)
    questions = _questions(key, runs, key_path)
    bootstrap = shared_bootstrap(resamples, seed)
    means = ratings.by_item()
    rated = [_rated(key, number, runs, questions, means) for number in range(len(runs))]
    images = [question.img_id for question in questions]
    if accepts_changes():
        notes.append("keys and runs were taken as they are (--accept-changed)")
    return Review(
        sheet=key.sheet,
        suite=key.suite,
        fingerprint=key.fingerprint,
        stratify=key.stratify,
        runs=tuple(one.name for one in key.runs),
        raters=tuple(_summaries(ratings)),
        means=tuple(mean for one in rated for mean in _means(one, key.stratify, bootstrap)),
        differences=tuple(_differences(rated, resamples, seed)),
        agreement=tuple(agreements(ratings, images, bootstrap)),
        correlations=tuple(found for one in rated for found in correlations(one, bootstrap)),
        items=tuple(_items(key, ratings, questions)),
        interval_method=f"95 % over images, not over raters: expanded bias-corrected and accelerated bootstrap, "
        f"{resamples} resamples, seed {seed}",
        notes=(*notes, *ratings.notes, *_missing_notes(ratings), *_key_notes(key)),
    )


def _questions(key: SheetKey, runs: Sequence[Run], key_path: Path) -> list[Question]:
    """The question of every item, in the order of the page.

    Raises:
        RunError: a run lacks one of them, or is of another suite.
    """
    for run in runs:
        if run.fingerprint != key.fingerprint:
            raise RunError("the run is on another suite than the sheet", where=run.path, do=f"the key is {key_path}")
    rows = [{question.index: question for question in run.questions} for run in runs]
    found = []
    for one in sorted(key.items, key=lambda item: item.item):
        if one.row not in rows[one.run]:
            raise RunError(
                f"item {one.item} is of row {one.row}, which the run does not have", where=runs[one.run].path
            )
        found.append(rows[one.run][one.row])
    return found


def _rated(key: SheetKey, number: int, runs: Sequence[Run], questions: Sequence[Question], means: Floats) -> Rated:
    items = sorted((one for one in key.items if one.run == number), key=lambda one: one.row)
    places = [one.item - 1 for one in items]
    return Rated(key.runs[number].name, runs[number], tuple(questions[i] for i in places), means[places])


def _summaries(ratings: Ratings) -> Iterator[RaterSummary]:
    for name, values in zip(ratings.raters, ratings.values, strict=True):
        there = np.isfinite(values)
        yield RaterSummary(
            name,
            int(there.any(axis=1).sum()),
            {one: int((~there[:, i]).sum()) for i, one in enumerate(CRITERIA)},
            {
                one: float(values[there[:, i], i].mean()) if there[:, i].any() else None
                for i, one in enumerate(CRITERIA)
            },
        )


def _means(rated: Rated, stratify: str, bootstrap: Bootstrap) -> Iterator[Mean]:
    for column, criterion in enumerate(CRITERIA):
        kept = np.flatnonzero(np.isfinite(rated.ratings[:, column]))
        questions = [rated.questions[i] for i in kept]
        values = rated.ratings[kept, column]
        slices = {} if stratify == "none" else {stratify: tuple(strata(one, stratify) for one in questions)}
        statistics = Statistics(
            np.stack([values, np.ones_like(values)], axis=1),
            tuple(one.img_id for one in questions),
            slices,
        )
        info = MetricInfo(criterion, criterion, CRITERIA[criterion], "experts", low=LOWEST, high=HIGHEST)
        for score in metric_scores(criterion, statistics, bootstrap, info):
            yield Mean(rated.name, score)


def _differences(rated: Sequence[Rated], resamples: int, seed: int) -> list[RunDifference]:
    found = []
    for first, second in combinations(rated, 2):
        theirs = {question.index: i for i, question in enumerate(second.questions)}
        for column, criterion in enumerate(CRITERIA):
            pairs = [
                (i, theirs[question.index])
                for i, question in enumerate(first.questions)
                if question.index in theirs
                and np.isfinite(first.ratings[i, column])
                and np.isfinite(second.ratings[theirs[question.index], column])
            ]
            if not pairs:
                continue
            codes, count = encode([first.questions[i].img_id for i, _ in pairs])
            columns = [
                np.array([[one.ratings[pair[side], column], 1.0] for pair in pairs])
                for side, one in enumerate((first, second))
            ]
            sums = [sums_by_image(one, codes, count) for one in columns]
            made = paired(sums[0], sums[1], ratio, resamples=max(resamples, 1), seed=seed)
            bounds = made.low, made.high
            found.append(
                RunDifference(
                    first.name, second.name, criterion, made.difference, *bounds, made.p, 1.0, len(pairs), count
                )
            )
    adjusted = holm([one.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def _items(key: SheetKey, ratings: Ratings, questions: Sequence[Question]) -> Iterator[RatedItem]:
    for one, question in zip(sorted(key.items, key=lambda item: item.item), questions, strict=True):
        by_rater: dict[str, dict[str, int | None]] = {}
        for rater, values in zip(ratings.raters, ratings.values[:, one.item - 1], strict=True):
            by_rater[rater] = {
                name: int(value) if np.isfinite(value) else None for name, value in zip(CRITERIA, values, strict=True)
            }
        comments = {rater: text for (rater, item), text in ratings.comments.items() if item == one.item}
        yield RatedItem(one.item, key.runs[one.run].name, one.row, question.img_id, by_rater, comments)


def _missing_notes(ratings: Ratings) -> Iterator[str]:
    for summary in _summaries(ratings):
        if any(summary.missing.values()):
            listed = ", ".join(f"{count:,} of {name}" for name, count in summary.missing.items() if count)
            yield f"{summary.name}: ratings are missing: {listed}; of {ratings.values.shape[1]:,} items"


def _key_notes(key: SheetKey) -> Iterator[str]:
    if key.stratify != "none":
        yield (
            f"the sheet holds about as many questions of every {key.stratify.replace('_', ' ')}: its means are not "
            "those of the suite"
        )
    for reason, count in key.left_out.items():
        yield f"not on the sheet: {count:,} questions, {reason}"


__all__ = ["Mean", "RatedItem", "RaterSummary", "Review", "RunDifference", "score_review", "strata"]
