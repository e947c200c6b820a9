"""Whether two runs are as good as equal: two one-sided tests against a margin.

A difference that is not significant is not thereby small. Two runs are equivalent where both "worse by the margin or
more" and "better by the margin or more" can be ruled out (Schuirmann 1987), over the same resampled images that the
interval comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import Floats, shared_bootstrap

Margins = float | Mapping[str, float]


def margin_of(info: MetricInfo, margins: Margins | None) -> float | None:
    """The margin of a metric in its own units; None where there is none.

    One number is meant for metrics from 0 to 1, and is stretched to the range of others (0.02 is 2 points of chrF). It
    does not hold for metrics without a better direction, such as a length.
    """
    if margins is None:
        return None
    if isinstance(margins, Mapping):
        return margins.get(info.name, margins.get("") and margin_of(info, margins[""]))
    scale = max(abs(info.low), abs(info.high))
    return margins * scale if info.ranked and math.isfinite(scale) else None


def read_margins(texts: Sequence[str] | None, known: Sequence[str]) -> dict[str, float] | None:
    """Margins as they are typed: ``0.02`` for all metrics, ``bleu=0.01`` for one; the number for all has the name "".

    Raises:
        GiBenchError: not a number, not above 0, one for all of 1 or more, an unknown metric, or one given twice.
    """
    if not texts:
        return None
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        name = name.strip()
        if equals and name not in known:
            from gi_bench.harness.registry import unknown_name

            raise unknown_name(name, known, "metric")
        if name in found:
            raise GiBenchError("a margin is given twice", where=f"--margin {text}", do="give one for each metric")
        found[name] = _number(number, text, most=math.inf if name else 1.0)
    return found


def check_margins(margins: Margins | None) -> None:
    """Refuse margins that are none.

    Raises:
        GiBenchError: a number that is not above 0, or one for all metrics of 1 or more.
    """
    for name, value in margins.items() if isinstance(margins, Mapping) else [("", margins)] if margins else []:
        _number(str(value), f"{name}={value}" if name else str(value), most=math.inf if name else 1.0)
    if margins == 0:
        raise GiBenchError("not a margin", where="0", do="give a number above 0")


def _number(text: str, typed: str, *, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < most:
        below = "" if math.isinf(most) else f" and below {most:g}"
        raise GiBenchError(
            "not a margin", where=f"--margin {typed}", do=f"give a number above 0{below}, or METRIC=NUMBER"
        )
    return value


def equivalence_p(
    first: Floats,
    second: Floats,
    value: Callable[[Any], Any],
    margin: float,
    *,
    span: float,
    resamples: int,
    seed: int,
) -> float | None:
    """P-value of "the runs differ by the margin or more": the larger one of two one-sided tests.

    It is the share of resamples at or beyond the margin, on the worse side, and never below ``(1 - margin / span) **
    images``: with fewer images, a rare difference as large as the metric allows could have been missed altogether.

    Args:
        first, second: (images, k) sums per image; rows and columns mean the same in both.
        value: (..., k) -> (...).
        margin: in the metric's units.
        span: between the metric's lowest and highest value.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        The p-value; None with fewer than two images.
    """
    images = len(first)
    if images < 2:
        return None
    bootstrap = shared_bootstrap(resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.asarray(value(bootstrap.sums(first)) - value(bootstrap.sums(second)))
    # A resample without a value rules nothing out.
    below, above = int((~(drawn > -margin)).sum()), int((~(drawn < margin)).sum())
    resampled = (1 + max(below, above)) / (1 + len(drawn))
    return min(1.0, max(resampled, least_p(margin, span, images)))


def least_p(margin: float, span: float, images: int) -> float:
    """The smallest p-value that so many images can give.

    >>> round(least_p(0.02, 1.0, 320), 4)
    0.0016
    """
    if not math.isfinite(span) or span <= 0:
        return 0.0
    return max(0.0, 1 - margin / span) ** images


def images_needed(margin: float, span: float, comparisons: int, level: float) -> float:
    """Images with which equivalence can be found at all, in a table of so many comparisons.

    Returns:
        Their number; ``math.inf`` for a margin so small that no number is enough.

    >>> images_needed(0.01, 1.0, 7, 0.05)
    492
    """
    share = min(margin / span, 0.999999)
    needed = math.log(comparisons / level) / -math.log1p(-share) if share > 0 else math.inf
    return math.ceil(needed) if math.isfinite(needed) else math.inf


__all__ = ["Margins", "check_margins", "equivalence_p", "images_needed", "least_p", "margin_of", "read_margins"]
