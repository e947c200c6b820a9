"""Masks that a training makes for itself: made once, told, and gone with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.baselines.training import own_masks
from gi_bench.baselines.training.settings import Running
from gi_bench.harness.suites.mask_table import read_masks
from gi_bench.harness.suites.phantom.suite import PhantomSuite

CPU = Running(device="cpu")


def test_masks_are_made_once_and_go_with_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, said = PhantomSuite("validation", 8), list[str]()
    regions = {(row.img_id, row.label) for row in suite.phrases if row.region is not None and row.region.area}
    folder, other = tmp_path / "a", tmp_path / "a.masks-other"
    stale = tmp_path / ".a.masks-000000000000.parquet"
    stale.write_bytes(b"of other images")
    neighbour = own_masks.own_masks(suite, other, CPU, said.append)
    path = own_masks.own_masks(suite, folder, CPU, said.append)
    assert said[0] == f"making {len(regions)} masks: filled boxes, refined by GrabCut"
    assert read_masks(path).keys() == regions
    assert not stale.exists(), "what it can no longer use is taken away"
    kept = path.read_bytes()
    assert neighbour.read_bytes() == kept

    def again(*arguments: object) -> None:
        raise AssertionError("they were there")

    monkeypatch.setattr(own_masks, "_make", again)
    assert own_masks.own_masks(suite, folder, CPU, said.append) == path
    assert path.read_bytes() == kept
    assert own_masks.place(folder, PhantomSuite("validation", 9)) != path, "other images have other masks"
    own_masks.remove(folder)
    assert not path.exists()
    assert neighbour.exists()
    own_masks.remove(tmp_path / "no such" / "a")
