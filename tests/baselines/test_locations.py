from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.florence2 import locations


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def _ellipse(height: int, width: int, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.asarray(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1)


@given(
    st.integers(120, 700), st.integers(120, 700), st.floats(0.3, 0.7), st.floats(0.3, 0.7),
    st.floats(0.15, 0.28), st.floats(0.15, 0.28),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_round_trip_keeps_the_region(height: int, width: int, cx: float, cy: float, rx: float, ry: float) -> None:
    mask = _ellipse(height, width, cx * width, cy * height, rx * width, ry * height)
    back, warnings = locations.decode_mask(locations.encode_mask(mask), width, height)
    assert warnings == ()
    # The outline may leave the region by 0.8 % of its perimeter: thin shapes lose a few percent.
    assert _iou(mask, back) > 0.9


def test_two_components_are_two_polygons_from_left_to_right() -> None:
    mask = _ellipse(200, 300, 220, 60, 30, 30) | _ellipse(200, 300, 60, 120, 25, 40)
    text = locations.encode_mask(mask, corners=8, steps=50)
    parsed = locations.parse_tokens(text)
    assert [len(polygon) for polygon in parsed.polygons] == [8, 8]
    assert parsed.polygons[0][:, 0].mean() < parsed.polygons[1][:, 0].mean()
    back, _ = locations.decode_mask(text, 300, 200)
    assert _iou(mask, back) > 0.8


def test_empty_mask_is_empty_text() -> None:
    assert locations.encode_mask(np.zeros((50, 60), dtype=bool)) == ""
    mask, warnings = locations.decode_mask("", 60, 50)
    assert mask.shape == (50, 60)
    assert not mask.any()
    assert warnings == ()


def test_bins_are_those_of_the_processor() -> None:
    """A bin spans a thousandth of the side and stands for its centre."""
    points = np.array([[0.0, 0.0], [383.9, 767.9], [768.0, 800.0]])
    bins = locations.quantise(points, 768, 768)
    assert bins.tolist() == [[0, 0], [499, 999], [999, 999]]
    assert locations.dequantise(bins, 768, 768)[0].tolist() == pytest.approx([0.384, 0.384])


@pytest.mark.parametrize(
    ("text", "polygons", "warnings"),
    [
        ("<loc_1><loc_2><loc_3><loc_4><loc_5><loc_6><loc_7>", 1, ("odd-location-count",)),
        ("<loc_1><loc_2><loc_3><loc_4>", 0, ("short-polygon",)),
        ("<loc_1><loc_2>polyp<loc_3><loc_4><loc_5><loc_6>", 1, ("text-in-polygon",)),
        ("<sep><sep><loc_9999>", 0, ()),
        ("none", 0, ()),
        ("<loc_1", 0, ()),
    ],
)
def test_malformed_output_is_repaired_and_counted(text: str, polygons: int, warnings: tuple[str, ...]) -> None:
    parsed = locations.parse_tokens(text)
    assert len(parsed.polygons) == polygons
    assert set(warnings) <= set(parsed.warnings)


@given(st.text(alphabet="<loc_0123456789>sep ab", max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_output_raises(text: str) -> None:
    mask, _ = locations.decode_mask(text, 64, 48)
    assert mask.shape == (48, 64)
