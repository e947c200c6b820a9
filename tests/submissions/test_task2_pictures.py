"""The pictures of subtask 2: where their images come from, sizes, contours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.schema import Picture, Region
from gi_bench.harness.store import open_run, pictures_path, read_predictions, write_part
from gi_bench.harness.tables import write_records
from gi_bench.submissions.editions import edition_named
from gi_bench.submissions.pictures import images_of
from gi_bench.submissions.visuals import COLOR, overlay
from tests.command_line import CommandLine
from tests.run_folders import SIZE, write_run
from tests.submissions.task2_kit import Kit


class TestOverlays:
    def _data(self, kit: Kit, size: int = SIZE, images: Sequence[str] = ("img0", "img1")) -> Path:
        folder = kit.top / "data" / "images"
        folder.mkdir(parents=True)
        for name in images:
            Image.new("RGB", (size, size), (10, 200, 10)).save(folder / f"{name}.png")
        return folder.parent

    def test_data_gives_the_image_and_small_pictures_the_rest(self, kit: Kit) -> None:
        done = kit.submit("--data", self._data(kit))
        assert "overlays: 2 on the images themselves (from --data), 4 on small pictures" in done.stdout
        pixels = np.asarray(Image.open(kit.out / "shown" / "00000_overlay.jpg")).astype(int)
        assert np.abs(pixels[30, 30] - (10, 200, 10)).max() < 12, "the image itself"
        assert np.abs(pixels[14, 14] - (10, 200, 10)).max() < 12, "nothing is painted inside"
        assert pixels[8, 14, 0] > 180, "the contour"
        assert "contour of polyp on the image" in (kit.out / "rows.jsonl").read_text(encoding="utf-8")

    def test_an_image_of_another_size_is_refused(self, kit: Kit) -> None:
        kit.refused("the image has 50 x 50 pixels, the run's 48 x 48", "--data", self._data(kit, 50))

    def test_a_damaged_image_is_refused(self, kit: Kit) -> None:
        data = self._data(kit)
        (data / "images" / "img1.png").write_bytes(b"\x89PNG")
        kit.refused("image does not decode", "--data", data)

    def test_a_folder_without_the_images_is_refused(self, kit: Kit) -> None:
        kit.refused("none of the run's images is there", "--data", self._data(kit, images=["stranger"]))
        kit.refused("no such folder", "--data", kit.top / "nowhere")

    def test_the_cache_of_the_hub_is_looked_into(self, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
        snapshot = kit.top / "hub" / "datasets--made--data" / "snapshots" / ("0" * 40)
        (snapshot / "images").mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("0" * 40, encoding="utf-8")
        Image.new("RGB", (SIZE, SIZE), (10, 200, 10)).save(snapshot / "images" / "img0.png")
        Image.new("RGB", (9, 9), (10, 200, 10)).save(snapshot / "images" / "img1.png")
        CommandLine(monkeypatch).offline(kit.top / "hub")
        done = kit.submit()
        assert "overlays: 1 on the images themselves (from the Hub's cache), 5 on small pictures" in done.stdout

    def test_without_any_image_it_is_said(self, kit: Kit) -> None:
        for path in kit.top.glob("pictures-*.parquet"):
            path.unlink()
        done = kit.submit()
        assert "overlays: 6 are missing, because their images are not here" in done.stdout
        assert "6 are missing" in kit.readme()
        assert [len(row["visual_explanation"]) for row in kit.rows()] == [2, 0] * 6

    def test_the_images_of_an_embedded_suite_are_its_own(self, kit: Kit) -> None:
        write_run(kit.top / "scenes", suite="phantom/test", fingerprint="f" * 64)
        images = images_of(open_run(kit.top / "scenes"), edition_named("medico2025").rows_of("task2"), None)
        assert images.load is None, "another suite of that name: not the run's images"

    def test_a_contour_at_the_edge(self) -> None:
        mask = np.zeros((40, 60), dtype=bool)
        mask[:10, :10] = True
        drawn = Image.open(_stream(overlay(Image.new("RGB", (60, 40), (90, 90, 90)), mask)))
        pixels = np.asarray(drawn).astype(int)
        assert np.abs(pixels[0, 5] - COLOR).max() < 60
        assert np.abs(pixels[39, 59] - 90).max() < 12, "the picture's own edge is no contour"


def _stream(content: bytes) -> Any:
    import io

    return io.BytesIO(content)


def test_pictures_have_the_sizes_of_the_suites_images(kit: Kit) -> None:
    """Whatever the size of a stored region: an image of 96 x 48 gets masks, boxes and overlays of 96 x 48."""
    run = write_run(kit.top / "other", shown=[], fingerprint="9" * 64)
    small = np.zeros((24, 48), dtype=bool)
    small[4:10, 8:16] = True
    shown = (Region.from_mask("polyp", small), Region.from_mask("polyp", np.zeros((96, 192), dtype=bool)))
    path = run / "predictions" / "part-00000.parquet"
    write_part(path, [replace(one, regions=shown) for one in read_predictions(path)])
    stored = [replace(one, width=96, height=48) for one in open_run(run).pictures.values()]
    write_records(pictures_path(run, "9" * 64), stored, Picture)
    done = kit.submit(run="other")
    assert done.returncode == 0, done.stderr
    entries = [entry for row in kit.rows() for entry in row["visual_explanation"]]
    assert [entry["type"] for entry in entries] == ["segmentation_mask", "bounding_box", "overlay"] * 12
    for entry in entries:
        if entry["type"] == "bounding_box":
            assert entry["data"] == [[16, 8, 32, 20]]
            assert "96 x 48 image" in entry["description"]
            continue
        with Image.open(kit.out / entry["data"]) as picture:
            assert picture.size == (96, 48)
            assert entry["type"] == "overlay" or picture.getbbox() == (16, 8, 32, 20)
    square_one = Region.from_mask("polyp", np.ones((24, 24), dtype=bool))
    write_part(path, [replace(one, regions=(square_one,)) for one in read_predictions(path)])
    kit.refused("a region of row 0 has 24 x 24 pixels, its image 96 x 48", run="other")
