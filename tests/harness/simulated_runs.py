"""Sums of two runs whose difference is known."""

from __future__ import annotations

import numpy as np


def two_runs(
    random: np.random.Generator, gain: float, images: int = 40, rows: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Per-image sums of two runs whose accuracies differ by ``gain``; rows of an image share their difficulty."""
    difficulty = random.beta(2, 2, size=images)
    first = random.binomial(rows, np.clip(difficulty + gain, 0, 1)).astype(float)
    second = random.binomial(rows, difficulty).astype(float)
    weight = np.full(images, float(rows))
    return np.stack([first, weight], axis=1), np.stack([second, weight], axis=1)
