"""The README of a submission's repository: the Hub's model card, with the scores as ``model-index``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gi_bench.harness.analysis.model_index import EvaluatedOn, eval_results
from gi_bench.harness.markdown import code, one_line
from gi_bench.harness.schema import Score
from gi_bench.harness.store import Run
from gi_bench.submissions.editions import Edition, Rows

if TYPE_CHECKING:
    from gi_bench.harness.standalone import Script

_SHOWN = ("bleu", "rouge1", "rouge2", "rougeL", "meteor", "fact_score")


def model_card(
    run: Run, edition: Edition, table: Rows, repository: str, script: Script | None, licence: str = ""
) -> str:
    """Text of ``README.md``; ``licence`` is that of what is submitted, empty for the adapter's own card's."""
    header = _header(run, table, repository, script, licence)
    return f"---\n{header}\n---\n\n{_body(run, edition, table, script)}"


def _scores(run: Run) -> list[Score]:
    found = (run.scores.find(name) for name in _SHOWN)
    return [score for score in found if score is not None and score.value is not None]


def _header(run: Run, table: Rows, repository: str, script: Script | None, licence: str) -> str:
    from huggingface_hub import ModelCardData

    on = EvaluatedOn(table.dataset, f"{table.dataset} ({table.suite})", run.fingerprint, split=table.split)
    results = eval_results(_scores(run), on)
    parts = script.parts if script is not None else ()
    own = [part.licence for part in parts if part.name == "adapter"] or [part.licence for part in parts]
    hub = [part.source.partition("@")[0] for part in parts if part.name == "backbone" and "@" in part.source]
    data = ModelCardData(
        license=licence or (own or [""])[0] or None,
        library_name="peft" if any(part.name == "adapter" for part in parts) else "transformers",
        pipeline_tag="visual-question-answering",
        base_model=hub[0] if hub else None,
        datasets=[table.dataset],
        tags=["gi-bench", "medical-vqa", "endoscopy"],
        model_name=repository,
        eval_results=results or None,
    )
    text: str = data.to_yaml()
    return text


def _body(run: Run, edition: Edition, table: Rows, script: Script | None) -> str:
    recipe = run.manifest.recipe
    lines = [
        f"# {one_line(run.variant)} for {edition.title}, subtask 1",
        "",
        f"Answers to {len(run.questions):,} questions of `{table.dataset}` (`{table.split}`), made by "
        f"{code(run.variant)} and submitted with gi-bench.",
        "",
        "| | |",
        "|---|---|",
        f"| suite | `{run.suite}`, fingerprint `{run.fingerprint[:16]}` |",
        f"| recipe | `{run.manifest.recipe_digest[:16]}`, {recipe.dtype}, seed {recipe.seed} |",
        f"| gi-bench | {recipe.code_version} |",
        *(f"| {part.name} | {one_line(part.source)}, {_licence(part.licence)} |" for part in _parts(script)),
        *(f"| {one_line(key.replace('_', ' '))} | {one_line(value)} |" for key, value in sorted(recipe.model.items())),
        f"| made on | {one_line(run.manifest.hardware.gpu_name)} |",
        "",
        "## Scores",
        "",
        "| metric | value | 95 % interval | n |",
        "|---|---:|---|---:|",
    ]
    for score in _scores(run):
        interval = "" if score.interval_low is None else f"{score.interval_low:.4f} to {score.interval_high:.4f}"
        lines.append(f"| {score.metric} | {score.value:.4f} | {interval} | {score.n} |")
    for note in run.scores.notes:
        lines += ["", one_line(note[:1].upper() + note[1:]) + "."]
    lines += ["", *_use(table, script)]
    return "\n".join(lines)


def _parts(script: Script | None) -> tuple[Any, ...]:
    return script.parts if script is not None else ()


def _licence(name: str) -> str:
    return f"licence {one_line(name)}" if name else "licence not stated by its card"


def _use(table: Rows, script: Script | None) -> list[str]:
    if script is None:
        return [f"`{table.script}` marks the two places where the model has to be loaded and asked.", ""]
    return [
        "## Use",
        "",
        f"    python {table.script}",
        "",
        "fetches the weights named in it by repository and revision, checks their SHA-256, answers the rows and "
        f"writes `{getattr(table, 'predictions', '')}`. The challenge's data are CC BY-NC 4.0 (SimulaMet); what their "
        "licence asks of weights that learnt from them is for you to read.",
        "",
    ]
