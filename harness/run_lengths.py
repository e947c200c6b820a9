"""COCO's run-length codes of masks, checked before anything decodes them.

pycocotools decodes a code that is too short into memory that nobody wrote, and one that is too long past the end of
its array: a code has to describe height x width pixels exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# As many as pictures may have.
MAX_PIXELS = 50_000_000
_FIRST_CHARACTER, _LAST_CHARACTER = 48, 48 + 63
# Five bits a character: more characters than these hold no number of pixels.
_LONGEST_NUMBER = 7


@lru_cache(maxsize=1 << 14)
def check_code(counts: str, height: int, width: int) -> None:
    """Refuse a compressed code that does not describe height x width pixels.

    Args:
        counts: COCO's compressed run lengths (column-major), as text.
        height, width: of the mask in pixels.

    Raises:
        ValueError: says what is wrong.

    >>> check_code("13", 2, 2)
    >>> check_code("12", 2, 2)
    Traceback (most recent call last):
    ValueError: a run-length code of 3 pixels for a mask of 2 x 2
    """
    check_size(height, width)
    _check_sum(_lengths(counts), height, width)


def check_size(height: object, width: object) -> None:
    """Refuse sizes that no mask has.

    Raises:
        ValueError: no whole numbers from 1, or more than :data:`MAX_PIXELS` together.
    """
    for value in (height, width):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"a mask of {str(width)[:20]} x {str(height)[:20]} pixels")
    assert isinstance(height, int)
    assert isinstance(width, int)
    if height * width > MAX_PIXELS:
        raise ValueError(f"a mask of {str(width)[:20]} x {str(height)[:20]} pixels: at most 50 megapixels are read")


def _check_sum(lengths: npt.NDArray[np.int64], height: int, width: int) -> None:
    if len(lengths) and int(lengths.min()) < 0:
        raise ValueError("a run-length code with a negative length")
    # In Python's numbers: those of a hostile code may not fit 64 bits together.
    found = sum(lengths.tolist())
    if found != height * width:
        raise ValueError(f"a run-length code of {found} pixels for a mask of {width} x {height}")


def _lengths(counts: str) -> npt.NDArray[np.int64]:
    """The lengths of the runs, background first.

    Raises:
        ValueError: a character of no code, or a number that is too long or cut off.
    """
    try:
        codes = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64)
    except UnicodeEncodeError as error:
        raise ValueError("a run-length code with characters of no code") from error
    if not len(codes):
        raise ValueError("an empty run-length code")
    if codes.min() < _FIRST_CHARACTER or codes.max() > _LAST_CHARACTER:
        raise ValueError("a run-length code with characters of no code")
    codes -= _FIRST_CHARACTER
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ValueError("a run-length code that is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1))
    sizes = ends - starts + 1
    if sizes.max() > _LONGEST_NUMBER:
        raise ValueError("a run-length code with a number that is too long")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, sizes))
    numbers = np.add.reduceat((codes & 31) << shifts, starts)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << (5 * sizes), 0)
    # From the fourth on, a number is the difference to the one before the last.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return np.asarray(numbers, dtype=np.int64)


def compressed(lengths: Sequence[object], height: int, width: int) -> str:
    """The compressed code of a list of run lengths (background first), as COCO's uncompressed form has it.

    Raises:
        ValueError: a length is no whole number from 0, or they do not add up to height x width.
    """
    check_size(height, width)
    for value in lengths:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PIXELS:
            raise ValueError(f"a run length of {str(value)[:20]}")
    _check_sum(np.array(lengths, dtype=np.int64), height, width)
    from pycocotools import mask as coco

    code = coco.frPyObjects({"size": [height, width], "counts": list(lengths)}, height, width)
    return str(code["counts"].decode("ascii"))


__all__ = ["MAX_PIXELS", "check_code", "check_size", "compressed"]
