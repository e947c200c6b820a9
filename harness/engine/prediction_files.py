"""Files of predictions as rows, whatever tool wrote them; what the rows mean is no business of this module."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError
from gi_bench.harness.files import content_of, table_in
from gi_bench.harness.json_text import parse_json

# The names of an answer that are read without being told.
ANSWER = ("prediction", "predicted_answer", "generated_answer", "response", "answer")
# Words of which a name of other tools is made: beside another such column it is doubtful which is the prediction.
_SAID = frozenset(
    {
        "answer", "answers", "pred", "preds", "predicted", "prediction", "predictions", "output", "outputs",
        "generated", "generation", "generations", "response", "responses", "completion", "completions",
        "hypothesis", "hypotheses", "candidate", "reply",
    }
)  # fmt: skip
# Words that say that a column is something else.
_NOT_SAID = frozenset(
    {
        "gold", "golden", "gt", "reference", "references", "ref", "refs", "truth", "true", "correct", "target",
        "expected", "label", "question", "prompt", "type", "class", "length", "tokens", "token", "count", "time",
        "seconds", "score", "scores", "confidence", "prob", "probability", "logprob", "id", "index", "options",
        "explanation", "accepted", "state",
    }
)  # fmt: skip
_LARGEST = 512 * 1024 * 1024
_DO = "give predictions_1.json, or JSONL, CSV or Parquet"


@dataclass(frozen=True)
class PredictionFile:
    """Rows of a file of predictions.

    Attributes:
        rows: the rows, keys as they are written.
        places: where each is: the line of a text, the number of an object from 0.
        team: the team's name where the file gives one.
        answer_column: the column that holds the answers.
    """

    rows: tuple[Mapping[str, Any], ...]
    places: tuple[str, ...]
    team: str | None
    answer_column: str


def read_content(path: Path) -> bytes:
    """The bytes of a file of predictions.

    Raises:
        DataError: missing, no plain file, or larger than 512 MB.
    """
    return content_of(path, largest=_LARGEST, do=_DO, error=DataError)


def read_predictions_file(path: Path, content: bytes, answer_column: str | None = None) -> PredictionFile:
    """The rows of a file of predictions.

    Args:
        path: JSON, JSONL, CSV or Parquet, by its ending.
        content: its bytes.
        answer_column: the column of the answers; None where the file has one that can be no other.

    Raises:
        DataError: the file cannot be read, holds no row, or it is doubtful which column is the prediction.
    """
    team = None
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        table = read_csv(path, content)
        places = tuple(f"{path}, prediction {i} (line {line})" for i, line in enumerate(table.lines))
        rows: Sequence[Mapping[str, Any]] = table.rows
    elif suffix == ".parquet":
        rows = table_in(content, path, "give the whole file", DataError).to_pylist()
        places = tuple(f"{path}, prediction {i}" for i in range(len(rows)))
    elif suffix in (".jsonl", ".ndjson"):
        rows, places = _lines(path, _text(path, content))
    else:
        rows, team = _objects(path, _text(path, content))
        places = tuple(f"{path}, prediction {i}" for i in range(len(rows)))
    if not rows:
        raise DataError("the file holds no predictions", where=path, do=_DO)
    chosen = _answer_column(rows, answer_column, path)
    if suffix in (".csv", ".tsv"):
        # An empty cell of an optional column is a value that is not there.
        rows = [{k: v for k, v in row.items() if v != "" or k == chosen} for row in rows]
    return PredictionFile(tuple(rows), places, team, chosen)


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"the file is not UTF-8 text (line {line})", where=path, do="save it as UTF-8") from error


def _lines(path: Path, text: str) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
    rows: list[Mapping[str, Any]] = []
    places: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = _json(line, f"{path}:{number}", "is the file cut off? Every line is one object")
        if not isinstance(row, dict):
            raise DataError("a line that is not an object", where=f"{path}:{number}", do="every line is one object")
        places.append(f"{path}, prediction {len(rows)} (line {number})")
        rows.append(row)
    return rows, tuple(places)


def _objects(path: Path, text: str) -> tuple[list[Mapping[str, Any]], str | None]:
    whole, team = _json(text, str(path), "is the file cut off?"), None
    if isinstance(whole, dict):
        info = whole.get("submission_info")
        team = str(info.get("Team_Name") or "") or None if isinstance(info, dict) else None
        whole = whole.get("predictions")
    if not isinstance(whole, list) or not all(isinstance(row, dict) for row in whole):
        raise DataError("no list of predictions", where=path, do="give a list of objects, or one under 'predictions'")
    return whole, team


def _json(text: str, where: str, do: str) -> Any:
    try:
        return parse_json(text, where, do, DataError)
    except DataError as error:
        what = error.what.removeprefix("cannot read JSON: ")
        raise DataError(f"not JSON: {what[:160]}", where=where, do=do) from error


def _answer_column(rows: Sequence[Mapping[str, Any]], wanted: str | None, path: Path) -> str:
    """The column of the answers.

    Raises:
        DataError: there is none, or several that it might be.
    """
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    if wanted is not None:
        if wanted not in columns:
            raise DataError(
                f"no column {wanted[:60]!r}", where=path, do=f"the file has {', '.join(columns)[:300] or 'none'}"
            )
        return wanted
    found = [name for name in columns if name in ANSWER or (_SAID & (said := _words(name)) and not _NOT_SAID & said)]
    if len(found) == 1 and found[0] in ANSWER:
        return found[0]
    if not found:
        raise DataError(
            "no answer text: no column is called like one",
            where=path,
            do=f"call it {' or '.join(ANSWER[::-1][:2])}, or name it with --answer-column",
        )
    if len(found) == 1:
        raise DataError(
            f"no answer text: is it the column {found[0]!r}?", where=path, do=f"give --answer-column {found[0]}"
        )
    raise DataError(
        f"it is doubtful which column is the prediction: {', '.join(found)[:200]}",
        where=path,
        do="name it with --answer-column",
    )


def _words(name: str) -> frozenset[str]:
    """The words of a column's name: ``modelAnswer`` and ``model-answer`` are two."""
    return frozenset(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


__all__ = ["ANSWER", "PredictionFile", "read_content", "read_predictions_file"]
