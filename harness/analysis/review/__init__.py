"""Expert ratings of explanations: which sheet they belong to, what they say, how far raters and scores agree.

A sheet (:mod:`gi_bench.reports.review`) is blind; what its items are stands in its key, a file of its own. Everything
here reads files: saved ratings, the key, and the runs that the key names.
"""

from gi_bench.harness.analysis.review.key import (
    CRITERIA,
    RATING_COLUMNS,
    SHEET_KEYS,
    KeyItem,
    KeyRun,
    SheetKey,
    read_key,
    write_key,
)
from gi_bench.harness.analysis.review.scoring import Review, score_review
from gi_bench.harness.analysis.review.telling import review_json, review_lines

__all__ = [
    "CRITERIA",
    "RATING_COLUMNS",
    "SHEET_KEYS",
    "KeyItem",
    "KeyRun",
    "Review",
    "SheetKey",
    "read_key",
    "review_json",
    "review_lines",
    "score_review",
    "write_key",
]
