"""A mask has the aspect ratio of its image, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.baselines.data.masks import making
from gi_bench.harness.errors import DataError
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.mask_table import check_sizes, read_masks
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.baselines.data.mask_cases import SUITE, Rows, run_command


class _Wide(Rows):
    """Images of 400 x 300."""

    has_images = True

    def load_image(self, img_id: str) -> Any:
        from PIL import Image

        return Image.new("RGB", (400, 300))


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [
        (400, 300, True),
        (200, 150, True),
        (800, 600, True),
        (404, 300, True),
        (400, 297, False),
        (396, 300, True),
        (405, 300, False),
        (395, 300, False),
        (300, 400, False),
        (300, 300, False),
    ],
)
def test_a_mask_has_the_aspect_ratio_of_its_image(width: int, height: int, fits: bool) -> None:
    suite = _Wide([])
    masks = {
        ("a", "tube"): Region.from_mask("tube", np.ones((300, 400))),
        ("b", "polyp"): Region.from_mask("polyp", np.ones((height, width))),
        ("c", "polyp"): Region.from_mask("polyp", np.ones((10, 400))),
    }
    wrong = "polyp in b" if not fits else "polyp in c"
    with pytest.raises(DataError, match=rf"mask of {wrong} has .* its image 400 x 300 \(m.parquet\); make the mask"):
        check_sizes(masks, suite, "m.parquet")
    del masks["c", "polyp"]
    if fits:
        check_sizes(masks, suite, "m.parquet")


def test_a_mask_without_pixels_fits_no_image() -> None:
    with pytest.raises(DataError, match="has 0 x 0 pixels"):
        check_sizes({("a", "polyp"): Region("polyp", 0, 0, "")}, _Wide([]), "m.parquet")


def test_the_command_refuses_masks_of_another_aspect_ratio(
    tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    made = next(one for one in making.reference_masks(SUITE) if one.region.label == "polyp")
    start, output = tmp_path / "start.parquet", tmp_path / "m.parquet"
    mask = made.region.mask()
    half, stretched = (Region.from_mask("polyp", part) for part in (mask[::2, ::2], mask[:, ::2]))
    making.write_masks(start, iter([making.Made(made.img_id, stretched, "mask")]))
    assert run_command("--source", "refine", "--masks", start, "-o", output) == 2
    error = capsys.readouterr().err
    assert f"the mask of polyp in {made.img_id} has 128 x 256 pixels, its image 256 x 256" in error
    assert not output.exists()
    making.write_masks(start, iter([making.Made(made.img_id, half, "mask")]))
    assert run_command("--source", "refine", "--masks", start, "-o", output) == 0
    (refined,) = read_masks(output).values()
    assert (refined.height, refined.width) == (256, 256), "a smaller mask is scaled to its image"
