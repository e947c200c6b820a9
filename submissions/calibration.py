"""A confidence that says how often such an answer is right, learnt from rows that are not submitted.

A run of the same model on other rows with references gives pairs of a confidence and whether the answer is right, by
the harness's own rule (:func:`gi_bench.harness.metrics.sureness.is_right`). Two maps are learnt by scikit-learn: an
isotonic regression, or one temperature (Guo et al. 2017) on the logit of the confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import GiBenchError, UnfitRunError
from gi_bench.harness.metrics.calibration import BINS, calibration_error, equal_width
from gi_bench.harness.metrics.pairs import folds
from gi_bench.harness.metrics.sureness import Judged, judged
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.store import Run
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.submissions.agreement import check_same_model
from gi_bench.submissions.editions import Edition

Method = Literal["isotonic", "temperature"]
METHODS: tuple[Method, ...] = ("isotonic", "temperature")
Floats = npt.NDArray[np.float64]
Map = Callable[[Floats], Floats]
# A confidence of exactly 0 or 1 has no logit.
_EDGE = 1e-6
# Niculescu-Mizil and Caruana 2005: below about this many rows an isotonic regression overfits.
FEW_ROWS = 1000
_DO = "give --calibrate-on a finished run of the model on other rows, with references"


@dataclass(frozen=True)
class Calibration:
    """A map of confidences, and what it was learnt from.

    Attributes:
        method: isotonic or temperature.
        run, suite, fingerprint, recipe: what it was learnt on.
        rows, images: how much that is.
        right: share of right answers among the rows.
        complexity: of the rows, as the edition asks them; None for any.
        submitted_rows, other_rows: rows of that run that were left out, because they are submitted, or because they are
            of another complexity and right less or more often for that.
        shared_images: images among the rows that the submission asks about, too.
        seen_rows: rows on images that the model was trained on; None where that is not known.
        ece_before, ece_after: expected calibration error over 15 bins on those rows.
        is_cross_fitted: whether the second was measured on images that its map was not learnt from.
        parameters: the map itself: ``temperature``, or the ``knots`` of the isotonic regression.
        apply: the map, (n,) in [0, 1] to (n,) in [0, 1].
        notes: what a reader should know.
    """

    method: Method
    run: str
    suite: str
    fingerprint: str
    recipe: str
    rows: int
    images: int
    right: float
    complexity: int | None
    submitted_rows: int
    other_rows: int
    shared_images: int
    seen_rows: int | None
    ece_before: float
    ece_after: float
    is_cross_fitted: bool
    parameters: dict[str, Any]
    apply: Map
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """All but the function, for the folder's record."""
        return {name: value for name, value in vars(self).items() if name not in ("apply", "notes")}

    def lines(self) -> list[str]:
        """What was done and what came of it, as sentences without a full stop."""
        how = {
            "isotonic": "an isotonic regression (scikit-learn)",
            "temperature": f"one temperature, {self.parameters.get('temperature', 1):.4g}, on the logit (scikit-learn)",
        }[self.method]
        measured = (
            "measured on images that the map was not learnt from (five folds)"
            if self.is_cross_fitted
            else "measured on the rows that it was learnt from, so that it is too good"
        )
        found = [
            f"calibrated by {how}, learnt from {self.rows:,} rows on {self.images:,} images of "
            f"{self.suite} (fingerprint {self.fingerprint[:16]}, recipe {self.recipe[:16]}), {self.right:.1%} right",
            f"calibration error there {self.ece_before:.4f} before, {self.ece_after:.4f} after, {measured}",
        ]
        if self.submitted_rows:
            found.append(f"{self.submitted_rows:,} rows of that run are submitted ones and were left out")
        if self.other_rows:
            found.append(f"{self.other_rows:,} rows of that run were left out, since the submission's are of "
                         f"complexity {self.complexity} only")  # fmt: skip
        if self.shared_images:
            found.append(f"{self.shared_images:,} of its images are also asked about in the submission, in other rows")
        if self.seen_rows:
            found.append(f"{self.seen_rows:,} of its rows are on images that the model was trained on, where it is "
                         "more often right than elsewhere")  # fmt: skip
        return [*found, *self.notes]


def method_named(name: str) -> Method:
    """A way of calibrating by its name.

    Raises:
        GiBenchError: there is none of this name.
    """
    for method in METHODS:
        if name == method:
            return method
    raise GiBenchError("no such calibration", where=f"--calibration {name}", do=f"choose one of {', '.join(METHODS)}")


def calibrate(
    run: Run,
    rows: Sequence[tuple[Question, Prediction]],
    other: Run,
    method: Method,
    edition: Edition,
    task1: Run | None = None,
) -> Calibration:
    """Learn a map of confidences.

    Args:
        run: what is submitted.
        rows: its rows.
        other: a finished run of the same model on other rows, with references.
        method: how to learn it.
        edition: the challenge, whose rows of subtask 1 are submitted as well.
        task1: the run that is submitted to subtask 1, if it is known.

    Raises:
        UnfitRunError: the other run is of another model, not finished, of submitted rows only, or gives nothing that
            can be learnt from; the submission has no confidence.
    """
    if not any(prediction.confidence is not None for _, prediction in rows):
        raise UnfitRunError("the run gives no confidence that could be calibrated", where=run.path,
                            do="leave --calibrate-on out")  # fmt: skip
    notes = check_same_model(run, other, "--calibrate-on")
    unsubmitted, submitted_rows = _other_rows(rows, other, edition, task1)
    complexity = edition.rows_of("task2").complexity
    kept = [question for question in unsubmitted if complexity in (None, question.complexity)]
    if not kept:
        raise UnfitRunError(f"none of its rows that are not submitted is of complexity {complexity}",
                            where=other.path, do=_DO)  # fmt: skip
    found = _pairs(kept, other)
    apply, parameters = _learn(method, found.confidence, found.right, other)
    after, is_cross_fitted = _measured(method, found, apply, other)
    submitted = {question.img_id for question, _ in rows}
    seen = other.seen_images
    return Calibration(
        method=method,
        run=other.path.resolve().name,
        suite=other.suite,
        fingerprint=other.fingerprint,
        recipe=other.manifest.recipe_digest,
        rows=len(found.right),
        images=len(set(found.images)),
        right=float(found.right.mean()),
        complexity=complexity,
        submitted_rows=submitted_rows,
        other_rows=len(unsubmitted) - len(kept),
        shared_images=len(submitted & set(found.images)),
        seen_rows=None if seen is None else sum(img_id in seen for img_id in found.images),
        ece_before=error_of(found.confidence, found.right),
        ece_after=after,
        is_cross_fitted=is_cross_fitted,
        parameters=parameters,
        apply=apply,
        notes=(*notes, *_doubts(method, found, is_checked=edition.task1 is None or task1 is not None)),
    )


def _pairs(questions: Sequence[Question], other: Run) -> Judged:
    """Confidences and whether the answers are right, some of them and not all.

    Raises:
        UnfitRunError: there are none, or all are right or all wrong.
    """
    found = judged(other.restricted(frozenset(("question", question.index) for question in questions)))
    if isinstance(found, str):
        raise UnfitRunError(f"nothing can be learnt: {found}", where=other.path,
                            do="give --calibrate-on a run with references and confidences")  # fmt: skip
    if found.right.min() == found.right.max():
        which = "right" if found.right.min() else "wrong"
        raise UnfitRunError(f"nothing can be learnt: all {len(found.right):,} answers are {which}", where=other.path,
                            do="give --calibrate-on a run on more rows")  # fmt: skip
    return found


def _doubts(method: Method, found: Judged, *, is_checked: bool) -> list[str]:
    """What weakens the map; ``is_checked`` says whether the rows of subtask 1 are known to be left out."""
    notes = []
    if not is_checked:
        notes.append("unchecked: whether some of these rows are submitted to subtask 1 (give --task1 RUN1)")
    if np.unique(found.confidence).size < 2:
        notes.append("all confidences there are equal, so that one point of the map is known and the rest is guessed")
    if method == "isotonic" and len(found.right) < FEW_ROWS:
        notes.append(f"fewer than {FEW_ROWS:,} rows are few for an isotonic regression (--calibration temperature)")
    return notes


def _other_rows(
    rows: Sequence[tuple[Question, Prediction]], other: Run, edition: Edition, task1: Run | None
) -> tuple[list[Question], int]:
    """Rows of a run that are not submitted, and how many are.

    Raises:
        UnfitRunError: the run is not finished, a ceiling's, or all of its rows are submitted.
    """
    if other.role == "ceiling":
        raise UnfitRunError(f"{other.variant} knows the references", where=other.path, do=_DO)
    if not other.manifest.complete:
        raise UnfitRunError("the run is not finished", where=other.path, do="finish it with the same gi-bench run")
    questions = other.questions
    first = edition.task1
    if first is not None and first.sha256 and rows_digest(questions, is_numbered=first.is_numbered) == first.sha256:
        raise UnfitRunError(f"its rows are those that are submitted to subtask 1 of {edition.title}",
                            where=other.path, do=_DO)  # fmt: skip
    submitted = {(question.img_id, question.question) for question, _ in rows}
    if task1 is not None:
        submitted |= {(question.img_id, question.question) for question in task1.questions}
    kept = [question for question in questions if (question.img_id, question.question) not in submitted]
    if not kept:
        raise UnfitRunError("all of its rows are submitted ones", where=other.path, do=_DO)
    return kept, len(questions) - len(kept)


def _learn(method: Method, confidence: Floats, right: Floats, other: Run) -> tuple[Map, dict[str, Any]]:
    """The map and its parameters; ``right`` holds both 0 and 1."""
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        found = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(confidence, right)
        knots = np.stack([found.X_thresholds_, found.y_thresholds_], axis=1).round(6).tolist()
        return lambda values: np.asarray(found.predict(values), dtype=np.float64), {"knots": knots}
    from sklearn.linear_model import LogisticRegression

    # C = inf: no penalty, whatever the version calls its absence.
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8, max_iter=1000)
    slope = float(model.fit(_logit(confidence)[:, None], right.astype(int)).coef_[0, 0])
    if not np.isfinite(slope) or slope <= 1e-6:
        raise UnfitRunError(
            "no temperature fits: the confident answers are not right more often than wrong",
            where=other.path,
            do="use --calibration isotonic",
        )
    return lambda values: 1 / (1 + np.exp(-slope * _logit(values))), {"temperature": 1 / slope}


def _logit(confidence: Floats) -> Floats:
    inside = np.clip(confidence, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


def _measured(method: Method, found: Judged, apply: Map, other: Run) -> tuple[float, bool]:
    """Calibration error after the map, each fold of images under a map of the others where all folds allow one."""
    fold = folds(found.images)
    after = np.empty_like(found.confidence)
    for one in np.unique(fold):
        inside = fold == one
        rest = found.right[~inside]
        if not rest.size or rest.min() == rest.max():
            return error_of(apply(found.confidence), found.right), False
        try:
            after[inside] = _learn(method, found.confidence[~inside], rest, other)[0](found.confidence[inside])
        except UnfitRunError:  # of a fold only: the map of all rows was learnt
            return error_of(apply(found.confidence), found.right), False
    return error_of(after, found.right), True


def error_of(confidence: Floats, right: Floats) -> float:
    """Expected calibration error over 15 bins of equal width, as the metric ``confidence_ece`` has it.

    >>> round(error_of(np.array([0.9, 0.9]), np.array([1.0, 0.0])), 6)
    0.4
    """
    bins = equal_width(confidence)
    sums = [np.bincount(bins, weights, BINS) for weights in (confidence, right, np.ones_like(right))]
    return float(calibration_error(np.concatenate(sums)))


__all__ = ["METHODS", "Calibration", "Method", "calibrate", "error_of", "method_named"]
