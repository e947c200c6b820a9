"""The verdict: who is best, by how much, and whether that is more than chance, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gi_bench.harness.analysis.comparing import Comparison
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.reports.comparison.differences import LEVEL, Differences, against_best, metrics_of
from gi_bench.reports.comparison.runs import Entry, Given
from gi_bench.reports.comparison.table import interval_text, p_text

# What a verdict is on, in this order: a word for the reader, and the metric.
_TOLD = (
    ("Answers", "bleu"),
    ("Facts", "fact_accuracy"),
    ("Regions", "region_iou"),
    ("False alarms of regions", "region_false_positive_rate"),
    ("False alarms of answers", "answer_false_positive_rate"),
)
# A tie of more runs is told by their number: all values stand in the table.
_MOST_NAMES = 6
# A rate of false alarms says nothing without the rate of what is overlooked.
_OTHER_SIDE = {
    "region_false_positive_rate": "region_false_negative_rate",
    "answer_false_positive_rate": "answer_false_negative_rate",
}


@dataclass(frozen=True)
class Sentence:
    """The verdict on one metric.

    Attributes:
        about: what it is about, with the metric's title.
        text: one or more sentences.
        metric: name of the metric.
    """

    about: str
    text: str
    metric: str


@dataclass(frozen=True)
class Verdict:
    """What stands on top of the page.

    Attributes:
        baseline: which run is the baseline, and why.
        sentences: one a metric.
        tests: how chance was ruled out.
        compared_with: what the suite's numbers may be compared with.
    """

    baseline: str
    sentences: tuple[Sentence, ...]
    tests: str
    compared_with: str


def verdict(given: Given, differences: Differences, published: Sequence[str]) -> Verdict:
    """The verdict on some runs.

    Args:
        given: the runs.
        differences: of each to the baseline.
        published: names of metrics that published results on the same rows give; empty where there are none.
    """
    infos = metrics_of(given.entries)
    told = [(about, infos[name]) for about, name in _TOLD if name in infos] or _any(infos)
    best = {info.name: entry for _, info in told if (entry := _best(given.models, info)) is not None}
    others = _others(given)
    found = against_best(best, others) if len(others) > 1 else {}
    sentences = tuple(
        Sentence(f"{about} ({_titled(info)})", _sentence(info, best[info.name], given, differences, found), info.name)
        for about, info in told
        if info.name in best
    )
    if not sentences:
        sentences = (Sentence("Nothing to tell", "No run has a value of any metric that ranks.", ""),)
    baseline = "" if given.baseline is None else f"The baseline is {given.baseline.name}: {given.why}."
    if not given.beside and given.of_role("model"):
        told_of_floors = (
            "No blind floor lies beside these runs to say what needs no image: gi-bench run --bounds makes it."
        )
        baseline = f"{baseline} {told_of_floors}".strip()
    return Verdict(baseline, sentences, _tests(differences, found, len(others)), _compared_with(given, published))


def _any(infos: Mapping[str, MetricInfo]) -> list[tuple[str, MetricInfo]]:
    """Where none of the metrics is there (a plugin's suite): the first that ranks."""
    return [("Score", info) for info in infos.values() if info.headline and info.ranked][:1]


def _titled(info: MetricInfo) -> str:
    return info.title if info.higher_is_better else f"{info.title}, lower is better"


def _others(given: Given) -> list[Entry]:
    """Everything that the best may be held against: models and floors, with the floors beside them."""
    if not given.of_role("model"):
        return list(given.entries)
    known = {entry.run.path.resolve() for entry in given.scored}
    return [*given.scored, *(floor for floor in given.beside if floor.run.path.resolve() not in known)]


def _score(entry: Entry, metric: str) -> Score | None:
    found = entry.run.scores.find(metric)
    return None if found is None or found.value is None else found


def _best(entries: Sequence[Entry], info: MetricInfo) -> Entry | None:
    """The run with the best value, the first among equals; None where none has one."""
    known = [(found.value or 0.0, entry) for entry in entries if (found := _score(entry, info.name)) is not None]
    if not known:
        return None
    return (max if info.higher_is_better else min)(known, key=lambda one: one[0])[1]


def _sentence(
    info: MetricInfo,
    best: Entry,
    given: Given,
    differences: Differences,
    found: Mapping[tuple[str, str], Comparison],
) -> str:
    score = _score(best, info.name)
    assert score is not None
    models = [entry for entry in given.models if _score(entry, info.name) is not None]
    tied = [
        entry for entry in models if entry is not best and not _beyond(info, best, entry, given, differences, found)
    ]
    parts = [_lead(info, best, score, tied, len(models))]
    if given.baseline is not None and best is not given.baseline and len(models) > 1:
        parts.append(_over_baseline(info, best, given.baseline, differences, found))
    parts += [_over_floor(info, best, given, found), _other_side(info, best)]
    return " ".join(part for part in parts if part)


def _lead(info: MetricInfo, best: Entry, score: Score, tied: Sequence[Entry], models: int) -> str:
    told = f"{score.value:.3f} ({interval_text(score)}; n {score.n:,}, {score.image_count:,} images)"
    if models == 1:
        return f"{best.name} reaches {told}."
    if not tied:
        every = "the other model" if models == 2 else f"each of the other {models - 1} models"
        return f"{best.name} is best with {told}, beyond chance against {every}."
    values = [f"{entry.name} ({found.value:.3f})" for entry in tied if (found := _score(entry, info.name))]
    if len(values) > _MOST_NAMES:
        values = [*values[: _MOST_NAMES - 1], f"{len(values) - _MOST_NAMES + 1} others"]
    listed = " and ".join(filter(None, (", ".join(values[:-1]), values[-1])))
    return f"A tie: {best.name} has the best value, {told}, but is not told apart from {listed}."


def _beyond(
    info: MetricInfo,
    best: Entry,
    other: Entry,
    given: Given,
    differences: Differences,
    found: Mapping[tuple[str, str], Comparison],
) -> bool:
    """Whether the best is better than another run beyond chance."""
    one = _against(info, best, other, given, differences, found)
    return one is not None and one.verdict in ("better", "worse") and one.adjusted < LEVEL


def _against(
    info: MetricInfo,
    best: Entry,
    other: Entry,
    given: Given,
    differences: Differences,
    found: Mapping[tuple[str, str], Comparison],
) -> Comparison | None:
    """Best against other: what the table says where one of them is the baseline, which was declared before looking."""
    if given.baseline is not None and best is given.baseline:
        return differences.found.get((info.name, other.name))
    if given.baseline is not None and other is given.baseline:
        return differences.found.get((info.name, best.name))
    return found.get((info.name, other.name))


def _over_baseline(
    info: MetricInfo,
    best: Entry,
    baseline: Entry,
    differences: Differences,
    found: Mapping[tuple[str, str], Comparison],
) -> str:
    one = differences.found.get((info.name, best.name))
    if one is None:
        return f"The baseline {baseline.name} has no such value to hold it against."
    return f"{_difference(one)} against the baseline {baseline.name}{_chance(one)}."


def _over_floor(info: MetricInfo, best: Entry, given: Given, found: Mapping[tuple[str, str], Comparison]) -> str:
    if info.name in _OTHER_SIDE or best.role != "model":
        return ""  # whoever denies everything raises no false alarm; of floors and ceilings it is known what they see
    floor = _best([entry for entry in given.beside if entry is not best], info)
    if floor is None:
        return "No blind floor has this metric." if given.beside else ""
    one = found.get((info.name, floor.name))
    where = "" if floor in given.entries else " (beside the runs)"
    if one is None:
        return f"It could not be held against the blind floor {floor.name}{where}."
    if one.verdict != "better":
        return (
            f"It is not better than the blind floor {floor.name}{where} beyond chance "
            f"({_difference(one)}, {p_text(one)}): nothing shows that it looks."
        )
    return f"{_difference(one)} against the blind floor {floor.name}{where}{_chance(one)}."


def _other_side(info: MetricInfo, best: Entry) -> str:
    other = _OTHER_SIDE.get(info.name)
    if other is None:
        return ""
    score = _score(best, other)
    missed = "" if score is None else f"; {best.name} overlooks {100 * (score.value or 0.0):.1f} % of what is there"
    return f"Whoever denies everything raises no false alarm{missed}."


def _difference(one: Comparison) -> str:
    low, high = one.found.low, one.found.high
    interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
    return f"{one.found.difference:+.3f}{interval}"


def _chance(one: Comparison) -> str:
    """Whether a difference is more than chance, and where no number of rows of this size could tell."""
    if one.verdict != "undecided":
        return f", beyond chance ({p_text(one)})"
    return f", not beyond chance ({p_text(one)})"


def _tests(differences: Differences, found: Mapping[tuple[str, str], Comparison], runs: int) -> str:
    if not differences.found and not found:
        return ""
    pairs = len({metric for metric, _ in found}) * runs * (runs - 1) // 2
    told = ["Differences are paired by image, with 95 % intervals; p by swapping the runs image by image."]
    elsewhere = f"; elsewhere over all {pairs} pairs of runs and metrics, as the best is known after looking"
    if differences.found:
        told.append(
            f"Against the baseline p is corrected (Holm) over the {differences.family} comparisons of the table below"
            f"{elsewhere if runs > 2 else ''}."
        )
    elif pairs:
        told.append(f"p is corrected (Holm) over {pairs} pairs of runs and metrics.")
    every = [*differences.found.values(), *found.values()]
    family = max(differences.family, pairs)
    if all(one.found.smallest * family >= LEVEL for one in every):
        told.append("So few images tell these runs apart that no difference can be beyond chance after correction.")
    return " ".join([*told, *([f"{differences.note[:1].upper()}{differences.note[1:]}."] if differences.note else [])])


def _compared_with(given: Given, published: Sequence[str]) -> str:
    first = given.entries[0].run
    limit = first.recipe.limit
    rows = f"over the first {limit} questions" if limit is not None else "over the same rows"
    alone = f"with runs on {first.suite} of fingerprint {first.fingerprint[:16]} {rows} only"
    if published:
        return (
            f"All official rows were run: {', '.join(published)} may be compared with the published results below that "
            f"name the same rows; everything else {alone}."
        )
    return f"These numbers may be compared {alone}; none of the published results is on these rows."


__all__ = ["Sentence", "Verdict", "verdict"]
