"""For the Hugging Face Hub: a model card with ``model-index``, and the file of a benchmark's leaderboard.

Both go through the types of ``huggingface_hub``. A card says what the run was made with and what its numbers may be
compared with; a leaderboard's entry holds one number, and says the rest in its notes.
"""

from __future__ import annotations

import re
from typing import Any

from gi_bench.harness.analysis.model_index import DIGITS, EvaluatedOn, eval_results
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.markdown import code, one_line
from gi_bench.harness.registry import stored_spec, unknown_name
from gi_bench.harness.schema import Score
from gi_bench.reports.export.source import Source, writable
from gi_bench.reports.export.writing import File, is_unchanged, marked

_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_DATASET = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
# The Hub shows notes on one line of a table.
_MOST_NOTES = 1000
DEFAULT_METRIC = "bleu"


def hub_files(source: Source, dataset: str | None, task: str | None, metric: str | None) -> list[File]:
    """``README.md``, and with a task ``.eval_results/DATASET_TASK.yaml``.

    Args:
        source: the run.
        dataset: id of the rows on the Hub; None where they are in no data set there.
        task: of that data set, as its ``eval.yaml`` names it; None for no leaderboard.
        metric: the leaderboard's metric; None for BLEU, or the first headline metric of a run without it.

    Raises:
        GiBenchError: an id or a metric that cannot be; a task without its data set; huggingface_hub is too old.
    """
    if dataset is not None and (not _DATASET.fullmatch(dataset) or "--" in dataset or ".." in dataset):
        raise GiBenchError("not the id of a data set", where=f"--dataset-id {dataset}", do="give owner/name")
    if task is not None and not _TASK.fullmatch(task):
        raise GiBenchError(
            "not the id of a task", where=f"--task-id {task}", do="give it as the data set's eval.yaml has it"
        )
    if task is not None and dataset is None:
        raise GiBenchError("a task belongs to a data set", where="--task-id", do="give its --dataset-id too")
    if metric is not None and task is None:
        raise GiBenchError(
            "a metric is chosen for a leaderboard", where="--metric", do="give --dataset-id and --task-id too"
        )
    files = [File("README.md", _card(source, dataset), is_unchanged)]
    if dataset is not None and task is not None:
        name = f".eval_results/{dataset.partition('/')[2]}_{task}.yaml"
        files.append(File(name, _entry(source, dataset, task, _chosen(source, metric)), is_unchanged))
    return files


def _chosen(source: Source, metric: str | None) -> Score:
    """The score that stands on a leaderboard."""
    known = {score.metric: score for score in source.scores()}
    if metric is not None and metric not in known:
        if metric in source.run.scores.not_computed:
            reason = writable(source.run.scores.not_computed[metric])
            raise GiBenchError(f"the run has no {metric}: {reason}", where=f"--metric {metric}", do="choose another")
        raise unknown_name(metric, known, "metric")
    if not known:
        raise GiBenchError(
            "the run has no score with a value", where=source.run.path, do="score it: gi-bench score RUN"
        )
    return known[metric or (DEFAULT_METRIC if DEFAULT_METRIC in known else next(iter(known)))]


def _entry(source: Source, dataset: str, task: str, score: Score) -> bytes:
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError as error:
        raise GiBenchError(
            "this huggingface_hub does not know .eval_results", do="pip install -U huggingface_hub"
        ) from error
    import yaml

    entry = EvalResultEntry(
        dataset_id=dataset,
        task_id=task,
        value=round(score.value or 0.0, DIGITS),
        date=source.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        notes=_entry_notes(source, score),
    )
    text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=10**6)
    return marked("", text, comment=("# ", ""))


def _entry_notes(source: Source, score: Score) -> str:
    """What a number on a leaderboard rests on, in one line."""
    run = source.run
    info = source.infos.get(score.metric)
    parts = [
        f"{info.title if info else score.metric}, n {score.n}",
        *([f"{score.level:.0%} interval {_interval(score)}"] if score.interval_low is not None else []),
        f"{writable(run.variant)} on {writable(run.suite)}, fingerprint {run.fingerprint[:16]}",
        f"gi-bench {writable(run.recipe.code_version)}",
        *source.notes,
    ]
    line = " ".join("; ".join(parts).split())
    return line if len(line) <= _MOST_NOTES else line[: _MOST_NOTES - 4] + " ..."


def _card(source: Source, dataset: str | None) -> bytes:
    head = f"---\n{_header(source, dataset)}\n---\n"
    return marked(head, f"\n{_body(source, dataset)}", comment=("<!-- ", " -->"))


def _header(source: Source, dataset: str | None) -> str:
    """The card's metadata as YAML."""
    from huggingface_hub import ModelCardData

    run = source.run
    spec = stored_spec(run.suite)
    partial = "" if run.recipe.limit is None else f", only the first {run.recipe.limit} questions"
    on = EvaluatedOn(
        dataset=dataset or writable(run.suite),
        name=f"{writable(run.suite)}{partial}",
        fingerprint=run.fingerprint,
        split=spec.split or None,
    )
    data = ModelCardData(
        language="en",
        pipeline_tag="visual-question-answering",
        datasets=[dataset] if dataset is not None else None,
        tags=["gi-bench", "medical-vqa", "endoscopy"],
        model_name=source.name,
        eval_results=eval_results(source.scores(headline_only=True), on, source.infos.values()) or None,
    )
    text: str = data.to_yaml()
    return text.rstrip("\n")


def _body(source: Source, dataset: str | None) -> str:
    run, recipe = source.run, source.run.recipe
    on = code(run.suite) + (f" (`{dataset}`)" if dataset is not None else "")
    facts: list[tuple[str, Any]] = [
        ("variant", one_line(run.variant)),
        ("suite", f"{on}, fingerprint {code(run.fingerprint[:16])}"),
        ("rows", f"{len(run.questions):,} questions, {len(run.phrases):,} phrases"),
        ("recipe", f"{code(run.manifest.recipe_digest[:16])}, {one_line(recipe.dtype)}, seed {recipe.seed}"),
        ("gi-bench", one_line(recipe.code_version)),
        *((one_line(str(key).replace("_", " ")), one_line(value)) for key, value in sorted(recipe.model.items())),
        ("made on", one_line(run.manifest.hardware.gpu_name)),
        ("made at", source.created.strftime("%Y-%m-%d %H:%M UTC")),
    ]
    lines = [f"# {one_line(run.variant)} on {one_line(run.suite)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    lines += ["", *_score_lines(source)]
    if source.notes:
        lines += ["## What has to be said beside the numbers", ""]
        # A name stays as it is, at the beginning of a sentence too.
        said = [note if note.startswith(run.variant) else note[:1].upper() + note[1:] for note in source.notes]
        lines += [f"- {one_line(note)}." for note in said]
        lines.append("")
    return "\n".join(lines)


def _score_lines(source: Source) -> list[str]:
    """Headline metrics, then all others that have a value."""
    first = {score.metric for score in source.scores(headline_only=True)}
    lines = ["## Scores", ""]
    lines += ["Intervals are over images, since the questions of one image are not independent.", ""]
    lines += ["| metric | value | interval | n | images | |", "|---|---:|---|---:|---:|---|"]
    others = ["", "<details><summary>All other metrics</summary>", "", *lines[-2:]]
    rest = False
    for score in source.scores():
        info = source.infos.get(score.metric)
        own = "" if info is None or info.comparable else "gi-bench's own, not comparable with published numbers"
        title = one_line(info.title if info is not None else score.metric)
        if info is not None and info.ranked and not info.higher_is_better:
            title += " (lower is better)"
        row = f"| {title} | {score.value:.4f} | {_interval(score)} | {score.n:,} | {score.image_count:,} | {own} |"
        if score.metric in first:
            lines.append(row)
        else:
            others.append(row)
            rest = True
    return [*lines, *(others if rest else []), *(["", "</details>"] if rest else []), ""]


def _interval(score: Score) -> str:
    if score.interval_low is None or score.interval_high is None:
        return ""
    return f"{score.interval_low:.4f} to {score.interval_high:.4f}"


__all__ = ["DEFAULT_METRIC", "hub_files"]
