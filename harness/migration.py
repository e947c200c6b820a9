"""Run folders of schema version 2, read as those of today. Nothing on disk is changed.

Version 2 kept questions and phrases in one table, the pictures in the run folder, of a reply no more than the state and
the text of one without a region, and no digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from gi_bench.harness.errors import RunError
from gi_bench.harness.files import read_parquet
from gi_bench.harness.schema import READABLE_VERSIONS, SCHEMA_VERSION, Phrase, Picture, Prediction, Question
from gi_bench.harness.tables import records_of, schema_of

REFERENCES = "references.parquet"
PREVIEWS = "previews.parquet"
# Version 2 stored the tasks beside the recipe that holds them.
_DROPPED = frozenset({"tasks"})
_OLD_REPLY = ("region_state", "region_reply")


def current(content: Any, what: str, where: object, do: str) -> dict[str, Any]:
    """Parsed JSON of a readable schema version, as one of today's version.

    Args:
        content: as parsed.
        what: what it is, for the message.
        where: the file.
        do: how it is made again.

    Raises:
        RunError: it is of another version, or of none.
    """
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or version not in READABLE_VERSIONS or isinstance(version, bool):
        if isinstance(version, int) and version > SCHEMA_VERSION:
            do = "update gi-bench"
        known = " and ".join(map(str, READABLE_VERSIONS))
        told = "without a schema version" if version is None else f"of schema version {str(version)[:20]}"
        raise RunError(f"{what} {told}; this version of gi-bench reads {known}", where=where, do=do)
    return {**content, "schema_version": SCHEMA_VERSION}


def manifest_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a manifest of version 2 as that of today's."""
    return {key: value for key, value in content.items() if key not in _DROPPED}


def references(path: Path) -> tuple[list[Question], list[Phrase]]:
    """Questions and phrases out of the one table of version 2.

    Raises:
        RunError: missing, damaged, or with other columns.
    """
    table = read_parquet(path)
    if "kind" not in table.schema.names:
        raise RunError(
            "a table of references without the column kind",
            where=path,
            do="put the original back, or delete this file and run again",
        )
    kinds = table["kind"].to_pylist()
    return (
        records_of(_rows(table, kinds, "question", Question), Question, path),
        records_of(_rows(table, kinds, "phrase", Phrase), Phrase, path),
    )


def _rows(table: pa.Table, kinds: list[str], kind: str, record: type[Any]) -> pa.Table:
    names = [name for name in schema_of(record).names if name in table.schema.names]
    return table.filter(pa.array([one == kind for one in kinds], pa.bool_())).select(names)


def is_old_part(table: pa.Table) -> bool:
    """Whether a table of predictions is of version 2; a run that was begun under it may go on under today's."""
    return "ground_reply" not in table.schema.names


def predictions(table: pa.Table, where: object) -> list[Prediction]:
    """Predictions out of a part of version 2: state and text of a reply to a phrase become its reply.

    Raises:
        RunError: other columns.
    """
    state, text = ([None] * len(table), [None] * len(table))
    if set(_OLD_REPLY) <= set(table.schema.names):
        state, text = (table[name].to_pylist() for name in _OLD_REPLY)
        table = table.drop_columns(list(_OLD_REPLY))
    replies = [None if one is None else {"text": said, "state": one} for one, said in zip(state, text, strict=True)]
    kind = schema_of(Prediction).field("ground_reply").type
    return records_of(table.append_column("ground_reply", pa.array(replies, kind)), Prediction, where)


def pictures(path: Path) -> list[Picture]:
    """The pictures of version 2: JPEG, of a sample of the run's images.

    Raises:
        RunError: damaged, or with other columns.
    """
    table = read_parquet(path)
    return records_of(table.rename_columns(["data" if n == "jpeg" else n for n in table.schema.names]), Picture, path)


__all__ = [
    "PREVIEWS",
    "REFERENCES",
    "current",
    "is_old_part",
    "manifest_content",
    "pictures",
    "predictions",
    "references",
]
