"""Decisions on masks that an expert saved from a sheet, counted."""

from __future__ import annotations

import json
from pathlib import Path

from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError

# As the sheet of masks saves them.
REVIEW_COLUMNS = ("img_id", "label", "decision", "remark")


def read_review(path: Path, content: bytes | None = None) -> dict[str, dict[str, int]]:
    """Accepted, rejected and undecided masks by label, from a saved CSV.

    Args:
        path: the file.
        content: its bytes, where they are at hand.

    Raises:
        DataError: no CSV, a column is missing or unknown, a row has too many fields, or a decision is none of accept,
            reject and empty.
    """
    do = "save it from the sheet again"
    table = read_csv(path, content, needed=("label", "decision"))
    strange = [name for name in table.columns if name not in REVIEW_COLUMNS]
    if strange:
        raise DataError(
            f"unknown column {json.dumps(strange[0])}: the columns are {', '.join(REVIEW_COLUMNS)}", where=path, do=do
        )
    found: dict[str, dict[str, int]] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        decision = row["decision"] or "undecided"
        if decision not in ("accept", "reject", "undecided"):
            raise DataError(f"unknown decision {json.dumps(decision)}", where=f"{path}, line {line}", do=do)
        counts = found.setdefault(row["label"], {"accept": 0, "reject": 0, "undecided": 0})
        counts[decision] += 1
    return found


__all__ = ["REVIEW_COLUMNS", "read_review"]
