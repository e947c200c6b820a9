"""Cards: what a checkpoint is, how it was made and what it scores, for machines and for people.

``card.json`` holds everything; ``README.md`` is made of it, in the Hub's layout with the scores as ``model-index``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gi_bench.baselines.florence2.adapters import CARD, read_card
from gi_bench.harness.files import write_bytes
from gi_bench.harness.registry import stored_spec
from gi_bench.harness.schema import Scores
from gi_bench.harness.terminal import say

# The README's table; card.json holds the same.
_SHOWN = (
    ("bleu", "all", "all"),
    ("rougeL", "all", "all"),
    ("meteor", "all", "all"),
    ("region_iou", "all", "all"),
    ("region_iou", "label", "polyp"),
    ("region_dice", "label", "polyp"),
    ("answer_false_positive_rate", "all", "all"),
    ("region_false_positive_rate", "all", "all"),
)
_HUB_IDS = {"base": "florence-community/Florence-2-base"}
_EMBEDDED = (
    "Weights of gi-bench's embedded suite, trained on rendered scenes only. They have never seen an "
    "endoscopy image and are of no use on one."
)


def add_scores(folder: Path, scores: Scores) -> None:
    """Put a run's scores into the checkpoint's ``card.json`` and write its ``README.md``."""
    card = read_card(folder)
    rows = []
    for metric, slice_by, slice_value in _SHOWN:
        found = scores.find(metric, slice_by, slice_value)
        if found is not None and found.value is not None:
            rows.append(
                {
                    "metric": metric,
                    "slice": slice_value,
                    "value": round(found.value, 4),
                    "low": found.interval_low if found.interval_low is None else round(found.interval_low, 4),
                    "high": found.interval_high if found.interval_high is None else round(found.interval_high, 4),
                    "n": found.n,
                }
            )
    notes = list(scores.notes)
    card["scores"] = {"suite": scores.suite, "fingerprint": scores.fingerprint, "rows": rows, "notes": notes}
    write_bytes(folder / CARD, (json.dumps(card, indent=1, sort_keys=True) + "\n").encode("utf-8"))
    write_readme(folder)


def score_checkpoint(
    variant: str, folder: Path, suite: str, backbone: str, *, data: Path | None = None, device: str = "auto"
) -> None:
    """Run a checkpoint on a suite and put the scores into its card.

    Args:
        variant: which one it is of.
        folder: the checkpoint's.
        suite: what is run on.
        backbone: as for ``gi-bench run``.
        data: folder with the suite's files; None for embedded ones.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        GiBenchError: the run failed; the checkpoint stays as it was.
    """
    import tempfile

    from gi_bench.harness.engine.run import Settings, evaluate

    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(checkpoint=str(folder), backbone=backbone, device=device)
        (run,) = evaluate([variant], suite, data=data, output=scratch, settings=settings, say=say)
        add_scores(folder, run.scores)
    say(f"card: {folder / 'README.md'}")


def write_readme(folder: Path) -> None:
    """Write ``README.md`` from ``card.json``: the Hub's header, then tables."""
    card = read_card(folder)
    text = f"---\n{_header(card)}\n---\n\n{_body(card)}"
    write_bytes(folder / "README.md", text.encode("utf-8"))


def _name(card: dict[str, Any]) -> str:
    return str(card.get("variant") or card.get("name") or "checkpoint")


def _header(card: dict[str, Any]) -> str:
    """The Hub's metadata as YAML, with ``model-index`` where there are scores."""
    from huggingface_hub import EvalResult, ModelCardData

    scores = card.get("scores") or {"rows": []}
    results = [
        EvalResult(
            task_type="image-segmentation" if row["metric"].startswith("region_") else "visual-question-answering",
            dataset_type=scores["suite"],
            dataset_name=scores["suite"],
            dataset_revision=scores["fingerprint"],
            metric_type=row["metric"],
            metric_name=row["metric"] if row["slice"] == "all" else f"{row['metric']} ({row['slice']})",
            metric_value=row["value"],
            metric_args={"n": row["n"], "low": row["low"], "high": row["high"], "slice": row["slice"]},
        )
        for row in scores["rows"]
    ]
    data = ModelCardData(
        library_name="peft" if "variant" in card else "transformers",
        base_model=_HUB_IDS.get(str(card.get("backbone"))),
        tags=["gi-bench", "florence-2", "medical-vqa"],
        model_name=_name(card) if results else None,
        eval_results=results or None,
    )
    header: str = data.to_yaml()
    return header


def _body(card: dict[str, Any]) -> str:
    lines = [f"# {_name(card)}", ""]
    if stored_spec(str(card.get("trained_on", ""))).is_embedded:
        lines += [_EMBEDDED, ""]
    lines += ["| | |", "|---|---|"]
    for key in sorted(card.keys() - {"scores", "variant", "name"}):
        lines.append(f"| {key.replace('_', ' ')} | {_plain(card[key])} |")
    if "scores" not in card:
        return "\n".join([*lines, ""])
    scores = card["scores"]
    lines += [
        "",
        f"Scores on `{scores['suite']}` (fingerprint `{scores['fingerprint'][:16]}`), 95 % interval by bootstrap "
        "over images:",
        "",
        "| metric | slice | value | interval | n |",
        "|---|---|---:|---|---:|",
    ]
    for row in scores["rows"]:
        interval = f"{row['low']} to {row['high']}" if row["low"] is not None else ""
        lines.append(f"| {row['metric']} | {row['slice']} | {row['value']} | {interval} | {row['n']} |")
    for note in scores.get("notes", ()):
        lines += ["", f"{note[:1].upper()}{note[1:]}."]
    return "\n".join([*lines, ""])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
