"""What a leaderboard says: a section a suite, with ranked runs, published results and what has no rank, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from gi_bench.harness.analysis.bounds import labels, shares
from gi_bench.harness.analysis.definitions import older_note
from gi_bench.harness.analysis.ranking import partial_reason, rank, same_rows
from gi_bench.harness.errors import ChangedError, GiBenchError
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.registry import lookup, registered, stored_spec
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.harness.store import Run
from gi_bench.reports.leaderboard.entries import COLUMNS, Board, Entry, Number, Section, Way
from gi_bench.reports.leaderboard.finding import find_runs
from gi_bench.reports.published import PublishedResult, published

# Where no metric is asked for: BLEU is the one that every published table of these suites gives, by one definition.
_DEFAULTS = ("bleu", "region_iou", "fact_accuracy")
_CEILING = "a ceiling: it knows the references, and covers the rows that it has a word on"


def build_board(folders: Sequence[Path], metric: str | None = None, *, seed: int = 0) -> Board:
    """Rank all runs below some folders.

    Args:
        folders: hold runs at any depth.
        metric: registered name of the metric that ranks; None for BLEU, or what a suite has instead.
        seed: of resampling and permutations.

    Raises:
        GiBenchError: a folder is none, none of them holds a run that can be read, or the metric is unknown or ranks
            nothing.
    """
    chosen: Metric | None = lookup("gi_bench.metrics", metric, "metric") if metric is not None else None
    if chosen is not None and not chosen.info.ranked:
        raise GiBenchError("runs cannot be ranked by this metric: neither direction is better", where=chosen.name,
                           do="choose another --metric; gi-bench metrics lists them")  # fmt: skip
    found = find_runs(folders)
    if not found.runs:
        broken = f" ({len(found.left_out)} left out: {found.left_out[0].reason})" if found.left_out else ""
        raise GiBenchError(f"no run that can be read{broken}", where=", ".join(map(str, folders)),
                           do="give folders that gi-bench run wrote to, such as runs/")  # fmt: skip
    groups: dict[str, list[tuple[str, Run]]] = {}
    for place, run in found.runs:
        groups.setdefault(run.fingerprint, []).append((place, run))
    left_out = tuple(sorted(found.left_out, key=lambda one: one.place))
    del found  # the runs of a suite hold all their rows: they go when its section is made
    sections = [_section(groups.pop(fingerprint), chosen, seed) for fingerprint in list(groups)]
    return Board(tuple(sorted(sections, key=lambda one: (one.name, one.fingerprint))), left_out)


def _section(group: Sequence[tuple[str, Run]], chosen: Metric | None, seed: int) -> Section:
    places, runs = [place for place, _ in group], [run for _, run in group]
    names = names_apart(runs, places)
    reasons, whole = _sorted_out(runs)
    metric = chosen or _default([runs[number] for number in whole])
    stored = {i: score.value for i, n in enumerate(whole) if (score := _find(runs[n], metric.name)) is not None}
    ranking = rank(
        [runs[number] for number in whole],
        metric,
        {i: value for i, value in stored.items() if value is not None},
        seed=seed,
    )
    reasons |= {
        whole[i]: f"{metric.info.title} was not computed: {_why(runs[whole[i]], metric.name, reason)}"
        for i, reason in ranking.unranked.items()
    }
    ways, no_way = _ways([run for number, run in enumerate(runs) if number in whole or _is_whole_ceiling(run)], metric)
    entries = [_entry(run, name, place) for run, name, place in zip(runs, names, places, strict=True)]
    table = []
    for i in ranking.order:
        number = whole[i]
        best, worst = ranking.ranges[i]
        way = ways.get(runs[number].path)
        table.append(replace(entries[number], numbers=_numbers(runs[number]), best=best, worst=worst, way=way))
    suites = tuple(sorted({run.suite for run in runs}))
    beside, apart = _published(suites, [runs[number] for number in whole], metric)
    return Section(
        suites=suites,
        fingerprint=runs[0].fingerprint,
        metric=metric.info,
        columns=_columns([*table, *beside], metric.name),
        table=tuple(_placed([*table, *beside], metric.info)),
        unranked=tuple(_without_rank(entries[number], runs[number], reasons[number]) for number in sorted(reasons)),
        apart=tuple(apart),
        pairs=tuple((names[whole[pair.first]], names[whole[pair.second]], pair) for pair in ranking.pairs),
        notes=_notes([runs[number] for number in whole], [names[number] for number in whole], (*ranking.notes, no_way)),
    )


def _sorted_out(runs: Sequence[Run]) -> tuple[dict[int, str], list[int]]:
    """Why runs have no rank, by number, and the numbers of those that may have one."""
    reasons: dict[int, str] = {}
    for number, run in enumerate(runs):
        try:
            reason = partial_reason(run)
        except ChangedError as error:
            reason = f"changed: {error.what} ({Path(str(error.where)).name})"
        except GiBenchError as error:
            reason = error.what
        if not reason and run.role == "ceiling":
            reason = _CEILING
        if reason:
            reasons[number] = reason
    left = [number for number in range(len(runs)) if number not in reasons]
    same, others = same_rows([runs[number] for number in left])
    reasons |= {left[i]: f"other rows than the runs ranked here: {reason}" for i, reason in others.items()}
    return reasons, [left[i] for i in same]


def _default(runs: Sequence[Run]) -> Metric:
    """The metric that ranks where none is asked for: the first of ours that a run has, else BLEU."""
    metrics: Mapping[str, Metric] = registered("gi_bench.metrics")
    there = [name for name in _DEFAULTS if name in metrics and any(_find(run, name) for run in runs)]
    return metrics[there[0] if there else _DEFAULTS[0]]


def _find(run: Run, metric: str) -> Score | None:
    found = run.scores.find(metric)
    return None if found is None or found.value is None else found


def names_apart(runs: Sequence[Run], places: Sequence[str]) -> list[str]:
    """Names of runs: the variant; where several are of one, with their seeds, else with their folders."""
    made = []
    for run, place in zip(runs, places, strict=True):
        alike = [one for one in runs if one.variant == run.variant]
        if len(alike) == 1:
            made.append(run.variant)
        elif len({one.recipe.seed for one in alike}) == len(alike):
            made.append(f"{run.variant} (seed {run.recipe.seed})")
        elif len({one.path.name for one in alike}) == len(alike):
            made.append(f"{run.variant} ({run.path.name.removeprefix(f'{run.variant}-')})")
        else:
            made.append(f"{run.variant} ({place})")
    # A variant may be called as another one's run; places differ, unless two folders that were given share their name.
    twice = {name for name in made if made.count(name) > 1}
    placed = [f"{name} ({place})" if name in twice else name for name, place in zip(made, places, strict=True)]
    return [name if placed.count(name) == 1 else f"{name} [{number}]" for number, name in enumerate(placed, 1)]


def _entry(run: Run, name: str, place: str) -> Entry:
    manifest, recipe = run.manifest, run.recipe
    facts = {
        "folder": place,
        "variant": recipe.variant,
        "tasks": ", ".join(recipe.tasks),
        "seed": str(recipe.seed),
        "dtype": recipe.dtype,
        "device": manifest.device,
        "created": manifest.created,
        "recipe digest": manifest.recipe_digest,
        "version of gi-bench": recipe.code_version,
        "command": manifest.code.command,
    }
    return Entry("run", name, run.role, facts={key: value for key, value in facts.items() if value})


def _numbers(run: Run) -> dict[str, Number]:
    return {
        score.metric: Number(score.value, score.interval_low, score.interval_high, score.n, score.image_count)
        for score in run.scores.scores
        if (score.slice_by, score.slice_value) == ("all", "all") and score.value is not None
    }


def _why(run: Run, metric: str, reason: str) -> str:
    return run.scores.not_computed.get(metric, reason)


def _is_whole_ceiling(run: Run) -> bool:
    if run.role != "ceiling":
        return False
    try:
        return not partial_reason(run)
    except GiBenchError:
        return False


def _without_rank(entry: Entry, run: Run, reason: str) -> Entry:
    """A run without a rank; of a ceiling the numbers are shown, of a part of a suite they would mislead."""
    return replace(entry, reason=reason, numbers=_numbers(run) if reason == _CEILING else {})


def _ways(runs: Sequence[Run], metric: Metric) -> tuple[dict[Path, Way], str]:
    """The share of the way of every model, by folder, and why there is none where that has to be said.

    None of two runs that cannot be told apart by their labels.
    """
    models = [run for run in runs if run.role == "model"]
    if len(models) == len(runs) or not models:
        return {}, ""
    try:
        found = {one.run: one for one in shares([run.path for run in runs], metrics={metric.name: metric})}
    except GiBenchError as error:  # a floor or ceiling beside the runs that cannot be read
        return {}, f"no share of the way from floor to ceiling: {error.what}"
    named = labels(runs)
    made = {}
    for run, label in zip(runs, named, strict=True):
        one = found.get(label)
        if one is not None and one.share is not None and named.count(label) == 1:
            made[run.path] = Way(one.share, one.low, one.high, one.n)
    return made, ""


def _published(suites: Sequence[str], runs: Sequence[Run], metric: Metric) -> tuple[list[Entry], list[Entry]]:
    """Published results on the rows of a suite, and those on other rows of its data set.

    Results on the same rows stand beside runs only where these are known to be the official rows, and score as the
    publishers did.
    """
    wrong = _rows_doubt(suites, runs) or _definition_doubt(runs, metric)
    beside, apart = [], []
    decimals = _decimals()
    # Columns in which the runs hold something else under the same name, such as BERTScore by another encoder.
    own = {info.name for run in runs for info in run.scores.metrics if not info.comparable}
    for one in published():
        is_named = any(name in one.suites for name in suites)
        if not is_named and not _is_of_whole(suites, one):
            continue
        numbers = {name: Number(value, decimals=decimals[one.board, name]) for name, value in one.values.items()}
        entry = Entry("published", one.name, numbers=numbers, published=one)
        if one.kind == "same" and not wrong:
            beside.append(replace(entry, numbers={name: numbers[name] for name in numbers if name not in own}))
        else:
            apart.append(replace(entry, reason=wrong if one.kind == "same" else ""))
    return beside, apart


def _decimals() -> dict[tuple[str, str], int]:
    """Decimals of a published table's column: as many as its longest value has, so that .47 does not become .4700."""
    found: dict[tuple[str, str], int] = {}
    for one in published():
        for name, value in one.values.items():
            length = len(format(Decimal(repr(value)), "f").partition(".")[2])
            found[one.board, name] = max(length, found.get((one.board, name), 0))
    return found


def _rows_doubt(suites: Sequence[str], runs: Sequence[Run]) -> str:
    """Why the runs' rows may not be those that results were published on; empty if they are."""
    specs = [stored_spec(name) for name in suites]
    if not runs:
        return "no run here covers the whole suite"
    if any(spec.has_all(run.questions) for spec in specs for run in runs):
        return ""
    return "the rows of the runs here are not known to be the official ones"


def _definition_doubt(runs: Sequence[Run], metric: Metric) -> str:
    stored = [info for run in runs for info in run.scores.metrics if info.name == metric.name]
    if all(info.comparable for info in stored) or not metric.info.comparable:
        return ""
    return f"{metric.info.title} of the runs here is not computed as the published one"


def _is_of_whole(suites: Sequence[str], one: PublishedResult) -> bool:
    """Whether a private result belongs to the data set of a whole split, of which the suites that it names are parts.

    So both boards of a challenge stand on the page of the test split that its public rows are taken from.
    """
    if one.kind != "private":
        return False
    theirs = stored_spec(one.suites[0])
    for spec in map(stored_spec, suites):
        alike = (spec.family, spec.split) == (theirs.family, theirs.split)
        if alike and spec.family and spec.is_whole and not spec.condition:
            return True
    return False


def _placed(entries: Sequence[Entry], info: MetricInfo) -> list[Entry]:
    """Runs in their order, and published results where their values put them; those without one come last."""

    def key(entry: Entry) -> tuple[bool, float, bool]:
        number = entry.numbers.get(info.name)
        if number is None:
            return True, 0.0, True
        return False, -number.value if info.higher_is_better else number.value, entry.kind == "published"

    return sorted(entries, key=key)


def _columns(entries: Sequence[Entry], ranking: str) -> tuple[MetricInfo, ...]:
    metrics: Mapping[str, Metric] = registered("gi_bench.metrics")
    there = {name for entry in entries for name in entry.numbers}
    return tuple(metrics[name].info for name in COLUMNS if name in there and name != ranking and name in metrics)


def _notes(runs: Sequence[Run], names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    notes = [run.manifest.suite_note for run in runs]
    told: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        for note in (*run.manifest.remarks, run.digest_note, older_note(run.scores)):
            if note:
                told.setdefault(note.removeprefix(f"{run.variant}: "), []).append(name)
    notes += [f"{', '.join(who)}: {note}" for note, who in told.items()]
    alike: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        alike.setdefault(run.made_from, []).append(name)
    for same in alike.values():
        if len(same) > 1:
            notes.append(
                f"{' and '.join(same)} hold the same predictions of one recipe: a run counted {len(same)} times"
            )
    notes += others
    return tuple(dict.fromkeys(note for note in notes if note))


__all__ = ["build_board", "names_apart"]
