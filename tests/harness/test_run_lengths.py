"""Run-length codes: pycocotools' own are taken, anything that does not fill its mask exactly is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from gi_bench.harness.run_lengths import check_code, compressed
from gi_bench.harness.schema import Region


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_codes_of_pycocotools_are_taken_and_others_refused(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    region = Region.from_mask("polyp", mask)
    region.check()
    assert np.array_equal(region.mask(), mask)
    for other in ((height + 1, width), (height, width + 1)):
        with pytest.raises(ValueError, match="a run-length code of"):
            check_code(region.counts, *other)
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat))))
    lengths = np.diff(np.concatenate(([0], edges, [len(flat)]))).tolist()
    code = coco.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    assert compressed(lengths, height, width) == code["counts"].decode("ascii")
    with pytest.raises(ValueError, match="a run-length code of"):
        compressed([*lengths, 1], height, width)


@pytest.mark.parametrize(
    ("counts", "height", "width", "message"),
    [
        ("13", 10**9, 10**9, "at most 50 megapixels"),
        ("13", 0, 4, "a mask of 4 x 0"),
        ("13", True, 4, "a mask of 4 x True"),
        ("", 2, 2, "an empty"),
        ("P", 2, 2, "cut off"),
        ("1\u00e9", 2, 2, "characters of no code"),
        ("1 3", 2, 2, "characters of no code"),
        ("oooooooooooo0", 2, 2, "too long"),
        ("N3", 2, 2, "negative"),
    ],
)
def test_hostile_codes(counts: str, height: int, width: int, message: str) -> None:
    region = Region("polyp", height, width, counts)
    for read in (region.check, region.mask, region.box, lambda: region.area):
        with pytest.raises(ValueError, match=message):
            read()


@pytest.mark.parametrize("lengths", [[True, 3], [-1, 5], ["4"], [4.0], [10**400], [None]])
def test_lists_hold_whole_numbers(lengths: list[object]) -> None:
    with pytest.raises(ValueError, match="a run length of"):
        compressed(lengths, 2, 2)
