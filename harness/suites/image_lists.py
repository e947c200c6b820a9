"""Lists of image ids out of files that people have: text, JSON, CSV, Parquet."""

from __future__ import annotations

from pathlib import Path

from gi_bench.harness.checking import read_text
from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError
from gi_bench.harness.files import content_of, table_in
from gi_bench.harness.json_text import parse_json
from gi_bench.harness.suites.image_ids import check_image_id

_FORMS = "one id a line (.txt), a JSON list, or a CSV or Parquet file with the column img_id"


def read_image_ids(path: Path) -> list[str]:
    """The image ids of a file in order, each once.

    Args:
        path: ``.csv`` or ``.parquet`` with the column ``img_id``, ``.json`` with a list, or text with an id a line. The
            ending of a picture file is no part of an id.

    Raises:
        DataError: not readable, no column ``img_id``, no id, or an unsafe id.
    """
    found = _read(path)
    if not found:
        raise DataError("no image id", where=path, do=f"give {_FORMS}")
    return list(dict.fromkeys(check_image_id(img_id, f"{path.name}, {place}") for place, img_id in found))


def _read(path: Path) -> list[tuple[str, object]]:
    """Ids, each with its place in the file."""
    suffix = path.suffix.lower()
    do = f"give {_FORMS}"
    if suffix == ".parquet":
        table = table_in(content_of(path, do=do, error=DataError), path, do, DataError, ["img_id"])
        if "img_id" not in table.schema.names:
            raise DataError("no column img_id", where=path, do=do)
        return [(f"row {number}", value) for number, value in enumerate(table["img_id"].to_pylist())]
    if suffix == ".csv":
        rows = read_csv(path, needed=("img_id",))
        return [(f"line {line}", row["img_id"]) for line, row in zip(rows.lines, rows.rows, strict=True)]
    text = read_text(path, do, DataError)
    if suffix == ".json":
        content = parse_json(text, path, do, DataError)
        if not isinstance(content, list):
            raise DataError("not a JSON list", where=path, do=do)
        return [(f"entry {number}", value) for number, value in enumerate(content)]
    lines = enumerate(text.splitlines(), 1)
    return [(f"line {number}", line.strip()) for number, line in lines if line.strip()]
