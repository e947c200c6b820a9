"""A 5 x 7 dot-matrix font for burnt-in text, so that pictures depend on no font file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# One number a row, from top to bottom; bit 4 is the leftmost dot.
_GLYPHS: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14), "2": (14, 17, 1, 6, 8, 16, 31),
    "3": (30, 1, 1, 14, 1, 1, 30), "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12), ".": (0, 0, 0, 0, 0, 12, 12), ":": (0, 12, 12, 0, 12, 12, 0),
    " ": (0, 0, 0, 0, 0, 0, 0), "A": (14, 17, 17, 31, 17, 17, 17), "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14), "D": (28, 18, 17, 17, 17, 18, 28), "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16), "H": (17, 17, 17, 31, 17, 17, 17), "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31), "M": (17, 27, 21, 21, 17, 17, 17), "N": (17, 25, 21, 19, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16), "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
}  # fmt: skip


def burn_in(pixels: npt.NDArray[np.uint8], text: str, *, right: bool) -> None:
    """Write ``text`` in white into the upper left or upper right corner, in place.

    Args:
        pixels: RGB of shape (size, size, 3); a dot is size / 256 x 2 pixels wide.
        text: characters of the font only.
        right: upper right instead of upper left.

    Raises:
        KeyError: a character that the font lacks.
    """
    size = pixels.shape[0]
    dot = max(1, round(size / 256 * 1.6))
    rows = np.array([[_GLYPHS[c][row] for c in text] for row in range(7)])
    bits = (rows[:, :, None] >> np.array([4, 3, 2, 1, 0])) & 1
    gap = np.zeros((7, len(text), 1), dtype=bits.dtype)
    matrix = np.concatenate([bits, gap], axis=2).reshape(7, -1)
    block = np.kron(matrix, np.ones((dot, dot), dtype=np.int64)).astype(bool)
    margin = max(2, size // 50)
    left = size - margin - block.shape[1] if right else margin
    pixels[margin : margin + block.shape[0], left : left + block.shape[1]][block] = (236, 236, 228)
