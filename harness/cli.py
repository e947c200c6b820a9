"""The command line: mounts the sub-commands found by entry point; imports nothing heavy.

An error that a user can act on is one line and exit code 2. Ctrl-C leaves with 130; finished parts stay.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gi_bench import __version__
from gi_bench.harness.errors import GiBenchError

app = typer.Typer(
    name="gi-bench",
    help="Evaluate visual question answering models on gastrointestinal endoscopy images.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

PluginOption = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file with MODELS, SUITES or METRICS.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of torch on a CPU (default: as many as there are free cores)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def _load_plugins(plugins: list[Path] | None) -> None:
    from gi_bench.harness.registry import load_plugin

    for path in plugins or ():
        load_plugin(path)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gi-bench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Evaluate visual question answering models on gastrointestinal endoscopy images."""


@app.command()
def run(
    model: Annotated[list[str], typer.Option("--model", "-m", help="Model variant; repeat to run several.")],
    suite: Annotated[str, typer.Option("--suite", "-s", help="Suite to run on.")] = "phantom",
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Parent of the run folders.")] = Path("runs"),
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N questions.")] = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="Comma list of answer, ground, explain (default: all).")
    ] = None,
    batch_size: Annotated[str, typer.Option("--batch-size", help="Micro-batch: a number or auto.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, float16 or bfloat16.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")] = 0,
    beams: Annotated[int | None, typer.Option("--beams", min=1, help="Beam count; 1 is greedy.")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", help="Adapter folder or Hub id instead of the registered one."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")
    ] = None,
    train_suite: Annotated[
        str | None, typer.Option("--train-suite", help="Suite that blind priors learn from.")
    ] = None,
    train_data: Annotated[
        Path | None, typer.Option("--train-data", help="Folder of the --train-suite, where it is not --data.")
    ] = None,
    training_images: Annotated[
        Path | None,
        typer.Option("--training-images", help="Ids of the model's training images: scores for seen and unseen apart."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="One side of a split: FILE:train or FILE:test (see gi-bench split).")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print all metrics, not only the headline ones.")] = False,
    bounds: Annotated[
        bool, typer.Option("--bounds", help="Also run the floors and ceilings of these tasks that there are.")
    ] = False,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
) -> None:
    """Run model variants on a suite: predictions, scores, report and submission files."""
    _load_plugins(plugin)
    from gi_bench.harness.engine.run import Settings, evaluate

    settings = Settings(
        tasks=_tasks(tasks),
        limit=limit,
        batch_size=_batch_size(batch_size),
        device=device,
        dtype=dtype,
        seed=seed,
        checkpoint=checkpoint,
        backbone=backbone,
        beams=beams,
        training_images=training_images,
        split=split,
        bounds=bounds,
        threads=threads,
    )
    finished = evaluate(
        model,
        suite,
        data=data,
        train_suite=train_suite,
        train_data=train_data,
        output=output,
        settings=settings,
        say=typer.echo,
    )
    from gi_bench.harness.analysis.summary import score_lines

    for line in score_lines([entry.scores for entry in finished], everything=everything):
        typer.echo(line)
    for line in _bounds([entry.path for entry in finished]):
        typer.echo(line)
    for what, path in _after_run([entry.path for entry in finished]):
        typer.echo(f"{what}: {path}")


def _bounds(paths: list[Path]) -> list[str]:
    """The share of the way from floor to ceiling, where there are bounds among the runs or beside them."""
    from gi_bench.harness.analysis.bounds import bound_lines, shares

    return bound_lines(shares(paths))


def _after_run(paths: list[Path]) -> list[tuple[str, Path]]:
    """What the other rooms make of finished runs: report, submission."""
    from gi_bench.harness.registry import registered

    made = [("run", path) for path in paths]
    # From the last name to the first, so that the report, which users want most, is the last line.
    for entry in reversed(registered("gi_bench.commands").values()):
        if entry.after_run is not None:
            made.extend(entry.after_run(paths))
    return made


def _tasks(text: str | None) -> Any:
    from gi_bench.harness.registry import unknown_name
    from gi_bench.harness.schema import TASKS

    if text is None:
        return None
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in TASKS:
            raise unknown_name(name, TASKS, "task")
    if not wanted:
        raise GiBenchError("no task given", where="--tasks", do=f"use any of {', '.join(TASKS)}")
    return tuple(task for task in TASKS if task in wanted)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise GiBenchError("not a batch size", where=f"--batch-size {text}", do="use auto or a number from 1")
    return int(text)


def _list(group: str, as_json: bool, details: Any) -> None:
    from gi_bench.harness.registry import registered

    entries = registered(group)
    if as_json:
        typer.echo(json.dumps([details(entry) for entry in entries.values()], indent=1, ensure_ascii=False))
        return
    width = max((len(name) for name in entries), default=0)
    for name, entry in entries.items():
        typer.echo(f"{name:<{width}}  {entry.summary}")


@app.command()
def models(as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered model variants."""
    _load_plugins(plugin)

    def details(entry: Any) -> Mapping[str, Any]:
        return {"name": entry.name, "summary": entry.summary, "tasks": list(entry.tasks), **entry.details}

    _list("gi_bench.models", as_json, details)


suites_app = typer.Typer(invoke_without_command=True, help="List the registered suites, or export one's rows.")
app.add_typer(suites_app, name="suites")


@suites_app.callback()
def suites(context: typer.Context, as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered suites, or export one's rows."""
    _load_plugins(plugin)
    if context.invoked_subcommand is not None:
        return

    def details(entry: Any) -> Mapping[str, Any]:
        return {"name": entry.name, "summary": entry.summary, "needs_data": entry.needs_data}

    _list("gi_bench.suites", as_json, details)


@suites_app.command("export")
def export_suite(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Suite whose rows are written.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSONL file to write.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the suite's files; images are not needed.")
    ] = None,
) -> None:
    """Write a suite's rows in order as JSONL: index, img_id, question, reference, classes, complexity."""
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.export import export_rows

    count = export_rows(load_suite(suite, data), output)
    typer.echo(f"{count} rows: {output}")


@app.command()
def metrics(as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered metrics with their definitions."""
    _load_plugins(plugin)
    _list("gi_bench.metrics", as_json, lambda entry: entry.details)


@app.command()
def score(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN...", help="Folders of finished runs.")] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option("--predictions", help="predictions_1.json, JSONL or CSV of any tool; needs --suite; repeatable."),
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite that --predictions answers.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name for --predictions in tables.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for runs made from --predictions.")] = Path(
        "runs"
    ),
    resamples: Annotated[int, typer.Option("--resamples", min=0, help="Bootstrap resamples.")] = 1000,
    everything: Annotated[bool, typer.Option("--all", help="Print all metrics, not only the headline ones.")] = False,
    bertscore_model: Annotated[
        str, typer.Option("--bertscore-model", help="Encoder of BERTScore: Hub id in the cache, folder, or 'offline'.")
    ] = "roberta-large",
    bleurt_model: Annotated[
        str | None, typer.Option("--bleurt-model", help="BLEURT checkpoint; none by default.")
    ] = None,
    judge_url: Annotated[str | None, typer.Option("--judge-url", help="OpenAI-compatible server of the judge.")] = None,
    judge_model: Annotated[
        str | None, typer.Option("--judge-model", help="Judge: name at the server, or a folder.")
    ] = None,
    judge_limit: Annotated[int | None, typer.Option("--judge-limit", min=1, help="Rows to judge; default all.")] = None,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
) -> None:
    """Score stored predictions again, without the model; or anybody's file of predictions."""
    from gi_bench.harness.devices import use_threads

    if threads is not None:
        use_threads(threads)
    _load_plugins(plugin)
    from gi_bench.harness.analysis.scoring import score_run
    from gi_bench.harness.analysis.summary import score_lines
    from gi_bench.harness.metrics.settings import MetricSettings

    if not runs and not predictions:
        raise GiBenchError("nothing to score", do="give a run folder, or --predictions FILE --suite SUITE")
    if bool(predictions) != bool(suite):
        raise GiBenchError("--predictions and --suite belong together", do="give both, or run folders alone")
    folders = list(runs or [])
    if predictions and suite:
        from gi_bench.harness.engine.imported import import_predictions
        from gi_bench.harness.registry import load_suite

        loaded = load_suite(suite, data)
        folders += [import_predictions(path, loaded, output, name=name) for path in predictions]
    settings = MetricSettings(
        bertscore_model=bertscore_model,
        bleurt_model=bleurt_model,
        judge_url=judge_url,
        judge_model=judge_model,
        judge_limit=judge_limit,
    )
    scored = [score_run(path, resamples=resamples, settings=settings) for path in folders]
    for line in score_lines(scored, everything=everything):
        typer.echo(line)
    for folder in folders[len(runs or []) :]:
        typer.echo(f"run: {folder}")


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="BASELINE RUN...", help="Run folders; the first is the baseline.")
    ],
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Metric to compare; repeatable.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All metrics, not only the headline ones.")] = False,
    resamples: Annotated[
        int | None,
        typer.Option(
            "--resamples",
            min=100,
            help="Resamples and permutations (default: 2000, and as many permutations as the table needs).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of both.")] = 0,
    as_json: JsonOption = False,
    plugin: PluginOption = None,
) -> None:
    """Compare runs with a baseline run: paired intervals over images, permutation tests, Holm's correction."""
    _load_plugins(plugin)
    from gi_bench.harness.analysis.comparing import compare_runs, comparison_json, comparison_lines, run_notes

    if metric and everything:
        raise GiBenchError("--metric and --all exclude each other", do="give one of them")
    found, missing = compare_runs(runs, names=metric, everything=everything, resamples=resamples, seed=seed)
    notes = run_notes(runs)
    if as_json:
        typer.echo(comparison_json(found, missing, notes))
        return
    for line in comparison_lines(found, missing, notes):
        typer.echo(line)


def _mount() -> None:
    """Add the sub-commands of all installed packages."""
    from gi_bench.harness.registry import registered

    for entry in registered("gi_bench.commands").values():
        if isinstance(entry.app, typer.Typer):
            app.add_typer(entry.app, name=entry.name, help=entry.summary)
        else:
            app.command(name=entry.name, help=entry.summary)(entry.app)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``gi-bench`` script."""
    sys.exit(_main(sys.argv[1:] if arguments is None else arguments))


_INTERRUPTED = "interrupted; finished parts are kept: run the same command again to go on"


def _main(arguments: list[str]) -> int:
    try:
        _mount()
        result = app(arguments, standalone_mode=False, prog_name="gi-bench")
        if result == 130:  # typer turns Ctrl-C into this code
            typer.echo(_INTERRUPTED, err=True)
        return result if isinstance(result, int) else 0
    except GiBenchError as error:
        typer.echo(f"error: {error.line()}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, EOFError):
        typer.echo(_INTERRUPTED, err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]
        return 141
    except Exception as error:
        return _usage_error(error)


def _usage_error(error: Exception) -> int:
    """One line for a wrong flag or value; anything else is ours and keeps its traceback."""
    name = type(error).__name__
    if name == "Abort":
        typer.echo(_INTERRUPTED, err=True)
        return 130
    message = getattr(error, "format_message", None)
    if message is None:
        raise error
    if name == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help())  # type: ignore[attr-defined]
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "gi-bench"
    text = " ".join(str(message()).split()).rstrip(".")
    typer.echo(f"error: {text}; see {command} --help", err=True)
    return 2


if __name__ == "__main__":
    main()
