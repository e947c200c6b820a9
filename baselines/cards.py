"""Cards: what a checkpoint is, how it was made and what it scores, for machines and for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from baselines.florence2.adapters import CARD, read_card
from harness.schema import Scores

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
    card["scores"] = {"suite": scores.suite, "fingerprint": scores.fingerprint, "rows": rows}
    (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_readme(card), encoding="utf-8")


def _readme(card: dict[str, Any]) -> str:
    name = card.get("variant") or card.get("name") or "checkpoint"
    lines = [f"# {name}", ""]
    lines.append(
        "Weights of gi-bench's embedded suite, trained on rendered scenes only. They have never seen an "
        "endoscopy image and are of no use on one."
    )
    lines += ["", "| | |", "|---|---|"]
    for key in sorted(card.keys() - {"scores", "variant", "name"}):
        value = card[key]
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        text = ", ".join(map(str, text)) if isinstance(text, list) else text
        lines.append(f"| {key.replace('_', ' ')} | {text} |")
    scores = card["scores"]
    lines += [
        "",
        f"Scores on `{scores['suite']}` (fingerprint `{scores['fingerprint'][:16]}`), 95 % interval by bootstrap "
        "over images; not comparable with the challenge's numbers:",
        "",
        "| metric | slice | value | interval | n |",
        "|---|---|---:|---|---:|",
    ]
    for row in scores["rows"]:
        interval = f"{row['low']} to {row['high']}" if row["low"] is not None else ""
        lines.append(f"| {row['metric']} | {row['slice']} | {row['value']} | {interval} | {row['n']} |")
    return "\n".join([*lines, ""])
