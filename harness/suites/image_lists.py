"""Lists of image ids out of files that people have: text, JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.kvasir_rows import check_image_id

_FORMS = "one id a line (.txt), a JSON list, or a CSV or Parquet file with the column img_id"


def read_image_ids(path: Path) -> list[str]:
    """The image ids of a file in order, each once.

    Args:
        path: ``.csv`` or ``.parquet`` with the column ``img_id``, ``.json`` with a list, or text with an id a line.

    Raises:
        DataError: not readable, no column ``img_id``, no id, or an unsafe id.
    """
    if not path.is_file():
        raise DataError("file not found", where=path, do=f"give {_FORMS}")
    try:
        found = _read(path)
    except DataError:
        raise
    except Exception as error:  # the readers have their own kinds for damaged files
        raise DataError(
            f"cannot read the image ids: {type(error).__name__}", where=path, do=f"give {_FORMS}"
        ) from error
    if not found:
        raise DataError("no image id", where=path, do=f"give {_FORMS}")
    return list(dict.fromkeys(check_image_id(img_id, path.name) for img_id in found))


def _read(path: Path) -> list[object]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        _need_column(pq.read_schema(path).names, path)
        values: list[object] = pq.read_table(path, columns=["img_id"])["img_id"].to_pylist()
        return values
    text = path.read_text(encoding="utf-8-sig")
    if suffix == ".csv":
        reader = csv.DictReader(text.splitlines())
        _need_column(reader.fieldnames or (), path)
        return [row["img_id"] for row in reader]
    if suffix == ".json":
        content = json.loads(text)
        if not isinstance(content, list):
            raise DataError("not a JSON list", where=path, do=f"give {_FORMS}")
        return content
    return [line.strip() for line in text.splitlines() if line.strip()]


def _need_column(names: object, path: Path) -> None:
    if "img_id" not in list(names):  # type: ignore[call-overload]
        raise DataError("no column img_id", where=path, do=f"give {_FORMS}")
