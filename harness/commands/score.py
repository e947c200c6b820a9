"""``gi-bench score``: metrics of stored predictions."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import (
    AcceptChangedOption,
    JsonOption,
    PluginOption,
    ThreadsOption,
    complete_suites,
    load_plugins,
)
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.harness.engine.imported import Reading
    from gi_bench.harness.metric_settings import MetricSettings
    from gi_bench.harness.schema import Scores

RunsArgument = Annotated[list[Path] | None, typer.Argument(metavar="RUN...", help="Folders of finished runs.")]
PredictionsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--predictions", help="predictions_1.json, JSONL, CSV or Parquet of any tool; needs --suite; repeatable."
    ),
]
SuiteOption = Annotated[
    str | None,
    typer.Option("--suite", "-s", help="Suite that --predictions answers.", autocompletion=complete_suites),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")]
NameOption = Annotated[str | None, typer.Option("--name", help="Name for --predictions in tables.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for runs made from --predictions.")]
AnswerColumnOption = Annotated[
    str | None, typer.Option("--answer-column", help="Column of --predictions that holds the answers.")
]
PartialOption = Annotated[
    bool, typer.Option("--partial", help="Questions without a prediction count as empty; refused otherwise.")
]
VisualsOption = Annotated[
    bool, typer.Option("--visuals/--no-visuals", help="Read masks and boxes of visual_explanation.")
]
CheckOption = Annotated[
    bool, typer.Option("--check", help="List all that is wrong with --predictions; score and write nothing.")
]
ResamplesOption = Annotated[int, typer.Option("--resamples", min=0, help="Bootstrap resamples.")]
AllOption = Annotated[bool, typer.Option("--all", help="Print all metrics with intervals and n, instead of one table.")]
BertscoreOption = Annotated[
    str, typer.Option("--bertscore-model", help="Encoder of BERTScore: Hub id in the cache, folder, or 'offline'.")
]
BleurtOption = Annotated[str | None, typer.Option("--bleurt-model", help="BLEURT checkpoint; none by default.")]
JudgeUrlOption = Annotated[str | None, typer.Option("--judge-url", help="OpenAI-compatible server of the judge.")]
JudgeModelOption = Annotated[str | None, typer.Option("--judge-model", help="Judge: name at the server, or a folder.")]
JudgeLimitOption = Annotated[int | None, typer.Option("--judge-limit", min=1, help="Rows to judge; default all.")]
# Of the problems that --check lists.
_MOST_LISTED = 1000


def score(
    runs: RunsArgument = None,
    predictions: PredictionsOption = None,
    suite: SuiteOption = None,
    data: DataOption = None,
    name: NameOption = None,
    output: OutputOption = Path("runs"),
    answer_column: AnswerColumnOption = None,
    partial: PartialOption = False,
    visuals: VisualsOption = True,
    check: CheckOption = False,
    resamples: ResamplesOption = 1000,
    everything: AllOption = False,
    bertscore_model: BertscoreOption = "roberta-large",
    bleurt_model: BleurtOption = None,
    judge_url: JudgeUrlOption = None,
    judge_model: JudgeModelOption = None,
    judge_limit: JudgeLimitOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    plugin: PluginOption = None,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Score stored predictions again, without the model; or anybody's file of predictions."""
    from gi_bench.harness.devices import use_threads
    from gi_bench.harness.engine.imported import Reading

    if threads is not None:
        use_threads(threads)
    load_plugins(plugin)
    reading = Reading(answer_column, partial, visuals)
    if check:
        _check(predictions, suite, data, reading, as_json=as_json)
        return
    from gi_bench.harness.metric_settings import MetricSettings
    from gi_bench.harness.outputs import without_own_files

    runs = without_own_files(runs or [], functools.partial(say, err=as_json))
    settings = MetricSettings(
        bertscore_model=bertscore_model,
        bleurt_model=bleurt_model,
        judge_url=judge_url,
        judge_model=judge_model,
        judge_limit=judge_limit,
    )
    with _seldom_collecting():
        made = _imported(runs, predictions, suite, data, output, name, reading)
        scored = _scored([*runs, *made], resamples, settings)
    if as_json:
        say_text(_as_json([*runs, *made], scored))
        return
    _tell(scored, made, everything=everything)


def _scored(folders: list[Path], resamples: int, settings: MetricSettings) -> list[Scores]:
    """Scores of runs; those that lie there, where making them again would give the same."""
    from gi_bench.harness.analysis.scoring import current_scores, score_run

    return [
        current_scores(path, resamples=resamples, settings=settings)
        or score_run(path, resamples=resamples, settings=settings)
        for path in folders
    ]


def _tell(scored: list[Scores], made: list[Path], *, everything: bool) -> None:
    """Print scores for people, and the folders that were made of files of predictions."""
    from gi_bench.harness.analysis.summary import say_scores

    say_scores(scored, say, everything=everything)
    for folder in made:
        say(f"run: {folder}")


def _as_json(folders: list[Path], scored: list[Scores]) -> str:
    """The scores of every run, for machines."""
    from gi_bench.harness.analysis.summary import scores_content

    runs = [{"path": str(path), **scores_content(scores)} for path, scores in zip(folders, scored, strict=True)]
    return json.dumps({"runs": runs}, indent=1, ensure_ascii=False, allow_nan=False)


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Rows by the ten thousand are no garbage: to look for some among them takes a twelfth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _imported(
    runs: list[Path] | None,
    predictions: list[Path] | None,
    suite: str | None,
    data: Path | None,
    output: Path,
    name: str | None,
    reading: Reading,
) -> list[Path]:
    """Run folders made from files of predictions."""
    if not runs and not predictions:
        raise GiBenchError("nothing to score", do="give a run folder, or --predictions FILE --suite SUITE")
    if bool(predictions) != bool(suite):
        raise GiBenchError("--predictions and --suite belong together", do="give both, or run folders alone")
    if not predictions or not suite:
        return []
    from gi_bench.harness.engine.imported import import_predictions
    from gi_bench.harness.registry import load_suite

    loaded = load_suite(suite, data)
    command = shlex.join(["gi-bench", *sys.argv[1:]])
    return [
        import_predictions(path, loaded, output, name=name, reading=reading, command=command) for path in predictions
    ]


def _check(
    predictions: list[Path] | None, suite: str | None, data: Path | None, reading: Reading, *, as_json: bool
) -> None:
    """List all that is wrong with files of predictions.

    Raises:
        GiBenchError: no file, or no suite.
        typer.Exit: with code 2 if there is a problem.
    """
    if not predictions or not suite:
        raise GiBenchError("--check looks at files of predictions", do="give --predictions FILE --suite SUITE")
    from gi_bench.harness.engine.imported import check_predictions
    from gi_bench.harness.registry import load_suite

    loaded = load_suite(suite, data)
    found = {path: check_predictions(path, loaded, reading) for path in predictions}
    if as_json:
        files = [
            {"path": str(path), "problems": [problem.line() for problem in problems]}
            for path, problems in found.items()
        ]
        say_text(json.dumps({"files": files}, indent=1, ensure_ascii=False))
    for path, problems in found.items() if not as_json else ():
        for problem in problems[:_MOST_LISTED]:
            say(problem.line())
        if len(problems) > _MOST_LISTED:
            say(f"... and {len(problems) - _MOST_LISTED:,} more")
        told = "nothing is wrong with it" if not problems else f"{len(problems):,} problems"
        say(f"{path}: {told}")
    if any(found.values()):
        raise typer.Exit(2)


COMMAND = CommandEntry(
    name="score",
    summary="Score stored predictions again, without the model; or anybody's file of predictions.",
    app=score,
    order=50,
    examples=[
        ("all metrics of a run, with intervals and n", "gi-bench score --all runs/phantom-test/RUN"),
        (
            "anybody's answers to a suite's questions",
            "gi-bench score --predictions predictions_1.json -s medico2025-task1 --data DIR",
        ),
        (
            "what is wrong with a file, without scoring it",
            "gi-bench score --check --predictions answers.csv -s phantom",
        ),
        (
            "explanations rated by a model at a server",
            "gi-bench score RUN --judge-url http://localhost:8000/v1 --judge-model NAME",
        ),
    ],
)
