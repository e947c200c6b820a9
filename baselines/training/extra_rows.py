"""Training rows out of files that ``gi-bench data`` wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gi_bench.harness.checking import checked, parse_json, read_text
from gi_bench.harness.errors import DataError
from gi_bench.harness.files import content_of
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.base import Suite


@dataclass(frozen=True)
class ExtraRows:
    """Rows beside those of the suite.

    Attributes:
        negatives: (image id, question, answer, phrase); the phrase is empty where nothing could be shown, question and
            answer where nothing is asked.
        explanations: (image id, question, explanation).
        files: SHA-256 of each file by what it holds, for the card.
        masks: regions by image id and label, in the place of the suite's own.
        own_explanations: whether the suite's own explanations are trained on, too.
    """

    negatives: tuple[tuple[str, str, str, str], ...] = ()
    explanations: tuple[tuple[str, str, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[tuple[str, str], Region] = field(default_factory=dict)
    own_explanations: bool = True


def read_extra_rows(
    suite: Suite, *, negatives: Path | None = None, explanations: Path | None = None, masks: Path | None = None
) -> ExtraRows:
    """Read the files.

    Args:
        suite: training suite; every row has to be about one of its images.
        negatives: file of ``gi-bench data negatives``, or None.
        explanations: file of ``gi-bench data explanations``, or None.
        masks: file of ``gi-bench data masks``, or None.

    Raises:
        DataError: a file is missing, a line is not such a row, a text is empty, or an image is not in the suite.
    """
    known = frozenset(suite.image_ids)
    files: dict[str, str] = {}
    rows: dict[str, list[tuple[str, ...]]] = {"negatives": [], "explanations": []}
    wanted = {
        "negatives": (negatives, ("img_id", "question", "answer", "phrase")),
        "explanations": (explanations, ("img_id", "question", "explanation")),
    }
    for what, (path, fields) in wanted.items():
        if path is None:
            continue
        if not path.is_file():
            raise DataError(f"no file with {what}", where=path, do=f"make one with gi-bench data {what}")
        files[what] = hashlib.sha256(content_of(path, error=DataError)).hexdigest()
        text = read_text(path, f"make it with gi-bench data {what}", DataError)
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                rows[what].append(_row(line, fields, known, f"{path}:{number}", what))
        if not rows[what]:
            raise DataError(f"the file holds no {what}", where=path)
    regions: dict[tuple[str, str], Region] = {}
    if masks is not None:
        from gi_bench.harness.suites.mask_table import read_masks

        regions = read_masks(masks)
        files["masks"] = hashlib.sha256(masks.read_bytes()).hexdigest()
        unknown = sorted({img_id for img_id, _ in regions} - known)
        if unknown:
            raise DataError(
                f"image {unknown[0]!r} is not in the training suite", where=masks, do="use masks of its images"
            )
    return ExtraRows(tuple(rows["negatives"]), tuple(rows["explanations"]), files, regions)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Negative:
    """The keys of a row of ``gi-bench data negatives``; what is asked of the image is needed."""

    img_id: str
    question: str
    answer: str
    phrase: str
    thing: str = ""
    finding: str = ""
    label: str = ""


@dataclass(frozen=True)
class _Explanation:
    """The keys of a row of ``gi-bench data explanations``."""

    img_id: str
    question: str
    explanation: str
    answer: str = ""
    source: str = ""


def _row(line: str, fields: tuple[str, ...], known: frozenset[str], where: str, what: str) -> tuple[str, ...]:
    again = f"make it with gi-bench data {what}"
    try:
        content = parse_json(line, where, again, DataError)
    except DataError as error:
        raise DataError(f"a line that is not JSON: {error.what}", where=where, do=again) from error
    record: type[_Negative | _Explanation] = _Negative if what == "negatives" else _Explanation
    found = checked(content, record, where, do=again, error=DataError)
    values = tuple(str(getattr(found, name)) for name in fields)
    if values[0] not in known:
        raise DataError(
            f"image {values[0]!r} is not in the training suite", where=where, do="make it from the same suite"
        )
    if not all(value.strip() for value in _needed(values, fields)):
        raise DataError("a row with an empty text", where=where)
    return values


def _needed(values: tuple[str, ...], fields: tuple[str, ...]) -> list[str]:
    """The texts of a row that must not be empty: a negative has a question with its answer, a phrase, or both."""
    texts = dict(zip(fields, values, strict=True))
    phrase = texts.pop("phrase", "")
    if phrase.strip() and not texts["question"] and not texts["answer"]:
        return [phrase]
    return list(texts.values())
