"""``gi-bench audit SUITE --wording``: how far words alone tell negatives from positives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gi_bench.harness.bag_of_words import SUSPICIOUS, WordedRows, phrase_rows, question_rows, two_sided
from gi_bench.harness.checking import checked, parse_json, read_text
from gi_bench.harness.errors import DataError
from gi_bench.harness.metrics.wording import statistics_of
from gi_bench.harness.schema import Score
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.taxonomy import QUESTION_CLASSES


@dataclass(frozen=True)
class Told:
    """How far words tell the negatives of some rows.

    Attributes:
        rows: ``phrases`` or ``questions``.
        group: label, question class or finding; ``all`` for all pairs of one group together.
        auroc: share of pairs in the right order; None where there is no pair.
        low, high: 95 % interval over images; None with too few.
        negatives, positives, images: what it rests on.
        suspicious: above .6, so that a rate of false alarms may measure wording.
    """

    rows: str
    group: str
    auroc: float | None
    low: float | None
    high: float | None
    negatives: int
    positives: int
    images: int
    suspicious: bool


@dataclass(frozen=True)
class WordingReport:
    """What an audit of wording found.

    Attributes:
        told: first all rows of a kind, then each group.
        left_out: rows of groups that are on one side only, by kind.
        reasons: why a kind has no value, by kind.
    """

    told: tuple[Told, ...]
    left_out: dict[str, int]
    reasons: dict[str, str]


def wording_report(suite: Suite, negatives: Path | None = None) -> WordingReport:
    """Audit a suite, or a file of negatives against what the suite has of present things.

    Args:
        suite: with negatives of its own, unless a file is given.
        negatives: file of ``gi-bench data negatives``; its questions are compared by finding, for they have no class.

    Raises:
        DataError: the file is missing or is not such a file.
    """
    if negatives is None:
        kinds = {"phrases": phrase_rows(suite.phrases), "questions": question_rows(suite.questions)}
    else:
        kinds = _against(suite, negatives)
    told: list[Told] = []
    reasons: dict[str, str] = {}
    by_finding = "finding" if negatives is not None else "question_class"
    for kind, rows in kinds.items():
        group = "label" if kind == "phrases" else by_finding
        found = list(_told(kind, rows, group))
        told += found
        if not found:
            reasons[kind] = f"no {group.replace('_', ' ')} has two images with the thing and two without"
    return WordingReport(tuple(told), {kind: rows.one_sided for kind, rows in kinds.items()}, reasons)


def _told(kind: str, rows: WordedRows, group: str) -> Iterator[Told]:
    from gi_bench.harness.analysis.scoring import metric_scores
    from gi_bench.harness.statistics import Bootstrap

    statistics = statistics_of(rows, group)
    if isinstance(statistics, str):
        return
    for score in metric_scores("wording", statistics, Bootstrap(1000, 0)):
        if score.slice_by in {"all", group}:
            yield _one(kind, rows, score)


def _one(kind: str, rows: WordedRows, score: Score) -> Told:
    inside = [score.slice_by == "all" or name == score.slice_value for name in rows.groups]
    negatives = sum(bool(n) for n, wanted in zip(rows.negative, inside, strict=True) if wanted)
    return Told(
        kind,
        score.slice_value,
        score.value,
        score.interval_low,
        score.interval_high,
        negatives,
        score.n - negatives,
        score.image_count,
        score.value is not None and score.value > SUSPICIOUS,
    )


def _against(suite: Suite, path: Path) -> dict[str, WordedRows]:
    """The file's texts as negatives, the suite's of present things as positives."""
    made = list(_read(path))
    phrases = [(row.phrase, row.img_id, row.label, False, "") for row in suite.phrases if not row.is_negative]
    phrases += [(row["phrase"], row["img_id"], row["label"], True, "") for row in made if row["phrase"]]
    questions = [
        (row.question, row.img_id, row.finding, False, row.finding)
        for row in suite.questions
        if row.complexity == 1 and row.finding in _FINDINGS and not row.is_negative
    ]
    questions += [
        (row["question"], row["img_id"], row["finding"], True, row["finding"]) for row in made if row["question"]
    ]
    return {"phrases": two_sided(phrases), "questions": two_sided(questions)}


_FINDINGS = {entry.finding for entry in QUESTION_CLASSES.values() if entry.finding}


@dataclass(frozen=True)
class _Row:
    """The keys of a row of ``gi-bench data negatives``; those that are looked at are needed."""

    img_id: str
    question: str
    phrase: str
    label: str
    finding: str
    answer: str = ""
    thing: str = ""


def _read(path: Path) -> Iterator[dict[str, str]]:
    do = "make it with gi-bench data negatives"
    lines = read_text(path, do, DataError).split("\n")
    count = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            content = parse_json(line, where, do, DataError)
        except DataError as error:
            raise DataError(f"a line that is not JSON: {error.what}", where=where, do=do) from error
        row = asdict(checked(content, _Row, where, do=do, error=DataError))
        count += 1
        yield row
    if not count:
        raise DataError("the file holds no negatives", where=path, do=do)


def report_lines(report: WordingReport) -> list[str]:
    """The report for the terminal."""
    lines = []
    width = max([len(one.group) for one in report.told] + [3])
    for one in report.told:
        value = "none" if one.auroc is None else f"{one.auroc:.3f}"
        interval = f"[{one.low:.3f}, {one.high:.3f}]" if one.low is not None and one.high is not None else ""
        mark = "  may measure wording" if one.suspicious else ""
        rows = f"{one.negatives:>6,} negatives  {one.positives:>6,} positives"
        lines.append(f"{one.rows:<9}  {one.group:<{width}}  {value} {interval:<15} {rows}{mark}")
    lines += [f"{kind}: {reason}" for kind, reason in report.reasons.items()]
    for kind, count in report.left_out.items():
        if count:
            lines.append(f"{count:,} {kind} left out: fewer than two images of their group have the thing, or lack it")
    lines.append(
        "AUROC of words alone within a group: .5 says that they do not tell a negative, 1 that no image is needed"
    )
    return lines
