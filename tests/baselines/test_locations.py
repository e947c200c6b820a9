from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gi_bench.baselines.florence2 import locations


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
    assert _iou(mask, back) >= 0.97


def test_two_components_are_two_polygons_from_left_to_right() -> None:
    mask = _ellipse(200, 300, 220, 60, 30, 30) | _ellipse(200, 300, 60, 120, 25, 40)
    text = locations.encode_mask(mask, corners=8, steps=50)
    parsed = locations.parse_tokens(text)
    assert [len(polygon) for polygon in parsed.polygons] == [8, 8]
    assert parsed.polygons[0][:, 0].mean() < parsed.polygons[1][:, 0].mean()
    back, _ = locations.decode_mask(text, 300, 200)
    assert _iou(mask, back) > 0.8


def _crumbs(size: int, sides: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """Squares of some sides, apart from each other, from left to right and top to bottom."""
    mask = np.zeros((size, size), dtype=bool)
    step = 20
    for number, side in enumerate(sides):
        row, column = divmod(number, size // step)
        mask[row * step : row * step + side, column * step : column * step + side] = True
    return mask


@pytest.mark.parametrize(("room", "kept"), [(254, 15), (253, 14), (67, 4), (33, 2), (16, 1), (5, 1)])
def test_the_largest_parts_are_written_where_not_all_fit(room: int, kept: int) -> None:
    """Eight corners are 16 tokens, a separator is one; the largest part is written in any case."""
    sides = [2 + (7 * number) % 16 for number in range(16)]  # each side from 2 to 17 once
    mask = _crumbs(200, sides)
    text = locations.encode_mask(mask, corners=8, steps=50, room=room)
    assert len(locations.parse_tokens(text).polygons) == kept
    wanted = sorted(sides)[-kept:]
    whole = locations.encode_mask(_crumbs(200, [side if side in wanted else 0 for side in sides]), corners=8, steps=50)
    assert text == whole, "the same parts in the same order as if the others were not there"
    assert locations.encode_mask(mask, corners=8, steps=50, room=271) == locations.encode_mask(
        mask, corners=8, steps=50
    )


def test_holes_that_do_not_fit_are_filled() -> None:
    """A chequered mask has tens of thousands of them, each with a bridge of its own."""
    mask = np.zeros((384, 384), dtype=bool)
    mask[40:340, 40:340] = np.indices((300, 300)).sum(axis=0) % 2 == 0
    text = locations.encode_mask(mask, room=1022)
    assert text.count("<loc_") <= 1022
    whole = np.zeros_like(mask)
    whole[40:340, 40:340] = True
    assert _iou(whole, locations.decode_mask(text, 384, 384)[0]) > 0.95


def test_an_outline_is_no_finer_than_there_is_room() -> None:
    rng = np.random.default_rng(0)
    angles, radii = np.linspace(0, 2 * np.pi, 240, endpoint=False), 150 + rng.uniform(-25, 25, 240)
    mask = np.zeros((400, 400), dtype=np.uint8)
    star = np.stack([200 + radii * np.cos(angles), 200 + radii * np.sin(angles)], axis=1).astype(np.int32)
    cv2.fillPoly(mask, [star], 1)
    fine, coarse = (locations.encode_mask(mask.astype(bool), room=room) for room in (None, 150))
    assert fine.count("<loc_") > 150 >= coarse.count("<loc_") > 20
    assert _iou(mask.astype(bool), locations.decode_mask(coarse, 400, 400)[0]) > 0.8


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
        ("<loc_1><loc_2>", 0, ("short-polygon",)),
        ("<loc_1><loc_2><loc_3><loc_4>", 1, ("box-instead-of-polygon",)),
        ("<loc_1000><loc_2><loc_3><loc_4><loc_5><loc_6>", 1, ("location-out-of-range",)),
        ("<loc_1><loc_2>polyp<loc_3><loc_4><loc_5><loc_6>", 1, ("text-in-polygon",)),
        ("<sep><sep><loc_9999>", 0, ("location-out-of-range", "odd-location-count")),
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


def _iou_of_round_trip(mask: np.ndarray) -> float:
    height, width = mask.shape
    back, warnings = locations.decode_mask(locations.encode_mask(mask), width, height)
    assert warnings == ()
    return _iou(mask, back)


def test_holes_survive() -> None:
    ring = _ellipse(300, 300, 150, 150, 120, 100) & ~_ellipse(300, 300, 120, 150, 40, 40)
    ring &= ~_ellipse(300, 300, 200, 150, 20, 30)
    inside = ring | _ellipse(300, 300, 120, 150, 15, 15)  # an island in a hole is a component of its own
    assert _iou_of_round_trip(ring) >= 0.97
    assert _iou_of_round_trip(inside) >= 0.97
    assert len(locations.parse_tokens(locations.encode_mask(ring)).polygons) == 1
    assert len(locations.parse_tokens(locations.encode_mask(inside)).polygons) == 2


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(64, 1400), st.integers(64, 1400))
@settings(max_examples=60, deadline=None)
def test_any_union_of_ellipses_with_holes_survives(seed: int, count: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), dtype=bool)
    for number in range(2 * count):
        shape = _ellipse(
            height, width, random.uniform(0, width), random.uniform(0, height),
            random.uniform(0.06, 0.3) * width + 4, random.uniform(0.06, 0.3) * height + 4,
        )  # fmt: skip
        mask = mask & ~shape if number % 3 == 2 else mask | shape
    if mask.sum() < 4000:  # what cutting left may be all outline
        return
    assert _iou_of_round_trip(mask) >= 0.97


@pytest.mark.parametrize("points", [[(5, 7)], [(5, 7), (6, 7)], [(5, 7), (6, 8)], [(0, 0)], [(39, 29)]])
def test_a_pixel_or_two_do_not_vanish(points: list[tuple[int, int]]) -> None:
    mask = np.zeros((30, 40), dtype=bool)
    for x, y in points:
        mask[y, x] = True
    assert _iou_of_round_trip(mask) == 1.0


PIECES = ["<loc_0>", "<loc_999>", "<loc_1000>", "<loc_500>", "<loc_", "<sep>", "polyp", "<loc_-1>", "</s>", ">", " "]


@given(st.lists(st.sampled_from([*PIECES, "<loc_99999999999>"]), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_tokens_raises(pieces: list[str]) -> None:
    mask, warnings = locations.decode_mask("".join(pieces), 37, 53)
    assert mask.shape == (53, 37)
    assert all(isinstance(warning, str) for warning in warnings)


def test_bins_equal_those_of_the_processor_of_transformers() -> None:
    import torch
    from transformers.models.florence2.processing_florence2 import Florence2PostProcessor

    theirs = Florence2PostProcessor(config={}, tokenizer=SimpleNamespace(all_special_tokens=[]))
    points = np.random.default_rng(0).uniform(0, 700, size=(500, 2))
    bins = locations.quantise(points, 622, 530)
    expected = theirs.quantize(torch.from_numpy(points), (622, 530)).numpy()
    assert (bins == expected).all()
    centres = theirs.dequantize(torch.from_numpy(bins), (622, 530)).numpy()
    # Theirs are rounded down to whole pixels.
    assert (np.floor(locations.dequantise(bins, 622, 530)) == np.floor(centres)).all()


def test_real_masks_survive(shared: Path) -> None:
    from PIL import Image

    found = []
    for path in sorted((shared / "data" / "real" / "masks").glob("*.png")):
        found.append(_iou_of_round_trip(np.asarray(Image.open(path).convert("L")) > 128))
    assert len(found) == 313
    assert min(found) >= 0.97


def test_phantom_masks_survive() -> None:
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

    masks = [phrase.region.mask() for phrase in PhantomSuite("validation", 120).phrases if phrase.region is not None]
    large = [mask for mask in masks if mask.sum() > 1000]
    assert len(large) > 30
    assert min(_iou_of_round_trip(mask) for mask in large) >= 0.97


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("none", "denied"),
        (" None. ", "denied"),
        ("", "not given"),
        ("<s></s>", "not given"),
        ("I am sorry", "refused"),
        ("I cannot locate this. I'm sorry.", "refused"),
        ("no polyp to measure", "unreadable"),
        ("no instrument present", "unreadable"),
        ("???", "unreadable"),
        ("[120, 30, 200, 90]", "unreadable"),
        ("<loc_5>", "unreadable"),
        ("polyp <loc_5><loc_6>", "unreadable"),
        ("<loc_1><loc_1><loc_500><loc_1><loc_500><loc_500>", "stated"),
        ("polyp <loc_1><loc_1><loc_500><loc_1><loc_500><loc_500>", "stated"),
    ],
)
def test_what_a_reply_to_a_phrase_is(text: str, state: str) -> None:
    mask, _ = locations.decode_mask(text, 64, 48)
    assert locations.reply_state(text, shown=bool(mask.any())) == state
