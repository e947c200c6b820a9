"""Ratings that experts saved from a sheet, checked against the sheet's key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gi_bench.harness.analysis.review.key import CRITERIA, HIGHEST, LOWEST, RATING_COLUMNS, SheetKey
from gi_bench.harness.checking import refuse_unknown
from gi_bench.harness.csv_text import CsvRows, read_csv
from gi_bench.harness.errors import DataError

Floats = npt.NDArray[np.float64]
# As Excel and LibreOffice may save a whole number.
_WHOLE = re.compile(r"([+-]?[0-9]{1,9})(?:[.,]0+)?")


@dataclass(frozen=True)
class Ratings:
    """All ratings of one sheet.

    Attributes:
        raters: names, in the order of the files.
        values: (raters, items, criteria) from 1 to 5, NaN where a rating is missing; items in the order of the page.
        comments: (rater, item number) -> text, where there is one.
        notes: what has to be said of the files.
    """

    raters: tuple[str, ...]
    values: Floats
    comments: dict[tuple[str, int], str]
    notes: tuple[str, ...] = ()

    def by_item(self) -> Floats:
        """(items, criteria) mean over those raters who rated; NaN where nobody did."""
        there = np.isfinite(self.values)
        count = there.sum(axis=0)
        total = np.where(there, self.values, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def read_ratings(paths: Sequence[Path], key: SheetKey) -> Ratings:
    """Read the files of one or more raters.

    Args:
        paths: CSV files saved from the sheet; Excel may have saved them again.
        key: of the sheet.

    Raises:
        DataError: no CSV, ratings of another sheet, a rating that is none, an item that is unknown or there twice, or
            no rating at all.
    """
    names = list(CRITERIA)
    found: dict[str, Floats] = {}
    comments: dict[tuple[str, int], str] = {}
    lines: dict[tuple[str, int], str] = {}
    notes = []
    for path in paths:
        table = read_csv(path, needed=RATING_COLUMNS[:-1])
        refuse_unknown(table.columns, RATING_COLUMNS, path, DataError)
        unnamed = 0
        for line, row in _filled(table):
            where = f"{path}, line {line}"
            _check_sheet(row["sheet"], key, where)
            item = _item(row["item"], key, where)
            rater = row["rater"].strip()
            unnamed += not rater
            rater = rater or path.stem
            if (rater, item) in lines:
                raise DataError(
                    f"item {item} of rater {rater[:60]!r} is there twice",
                    where=f"{where}; {lines[rater, item]}",
                    do="keep one of the two rows; two people need two names in the column rater",
                )
            lines[rater, item] = where
            values = found.setdefault(rater, np.full((len(key.items), len(names)), np.nan))
            for column, criterion in enumerate(names):
                values[item - 1, column] = _rating(row[criterion], criterion, where)
            if row.get("comment", "").strip():
                comments[rater, item] = row["comment"].strip()
        if unnamed:
            notes.append(f"{path.name} names no rater in {unnamed:,} of its rows: they count as those of {path.stem!r}")
    if not any(np.isfinite(values).any() for values in found.values()):
        raise DataError("no rating in what was given", where=", ".join(map(str, paths)), do="save the sheet again")
    return Ratings(tuple(found), np.stack(list(found.values())), comments, tuple(notes))


def _filled(table: CsvRows) -> list[tuple[int, dict[str, str]]]:
    """Rows with their lines; a row of empty fields, which a spreadsheet may leave at the end, is none."""
    rows = zip(table.lines, table.rows, strict=True)
    return [(line, row) for line, row in rows if any(value.strip() for value in row.values())]


def _check_sheet(digest: str, key: SheetKey, where: str) -> None:
    if digest.strip() != key.sheet:
        raise DataError(
            f"ratings of another sheet: {digest.strip()[:16] or 'no digest'}, and the key is of {key.sheet[:16]}",
            where=where,
            do="give the key that was written with the sheet",
        )


def _item(text: str, key: SheetKey, where: str) -> int:
    whole = _WHOLE.fullmatch(text.strip())
    number = int(whole[1]) if whole else 0
    if not 1 <= number <= len(key.items):
        raise DataError(
            f"unknown item {text.strip()[:40]!r}: the sheet has the items 1 to {len(key.items)}",
            where=where,
            do="save the sheet again, or put the number back",
        )
    return number


def _rating(text: str, criterion: str, where: str) -> float:
    """A rating; NaN for an empty field."""
    text = text.strip()
    if not text:
        return np.nan
    whole = _WHOLE.fullmatch(text)
    if whole is None or not LOWEST <= int(whole[1]) <= HIGHEST:
        raise DataError(
            f"{criterion} is {text[:40]!r}, and a rating is a whole number from {LOWEST} to {HIGHEST}",
            where=where,
            do="mend it, or leave it empty",
        )
    return float(whole[1])


__all__ = ["Ratings", "read_ratings"]
