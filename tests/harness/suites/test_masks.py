"""Mask files of every coding that tools write: what is plain is read alike, what is not is refused by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.masks import read_mask, read_reference
from gi_bench.harness.suites.pictures import PictureFolder, decode_rgb

HEIGHT, WIDTH = 48, 64
REGION = np.zeros((HEIGHT, WIDTH), dtype=bool)
REGION[10:34, 12:48] = True
Pixels = npt.NDArray[np.uint8]


def _grey(outside: int, inside: int) -> Image.Image:
    return Image.fromarray(np.where(REGION, inside, outside).astype(np.uint8))


def _colours(outside: tuple[int, ...], inside: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(REGION[..., None], inside, outside).astype(np.uint8))


def _palette(colours: list[int], labels: tuple[int, int] = (0, 1)) -> Image.Image:
    picture = Image.fromarray(np.where(REGION, labels[1], labels[0]).astype(np.uint8), mode="P")
    picture.putpalette(colours)
    return picture


def _sixteen(outside: int, inside: int) -> Image.Image:
    return Image.fromarray(np.where(REGION, inside, outside).astype(np.uint16))


def _soft() -> Image.Image:
    return _grey(0, 255).resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC).resize((WIDTH, HEIGHT))


def _third(value: int) -> Image.Image:
    pixels = np.where(REGION, 255, 0).astype(np.uint8)
    pixels[38:46, 2:60] = value
    pixels[12:30, 14:46] = value
    return Image.fromarray(pixels)


PLAIN: dict[str, Callable[[], Image.Image]] = {
    "0 and 255": lambda: _grey(0, 255),
    "0 and 1": lambda: _grey(0, 1),
    "label map": lambda: _grey(3, 7),
    "two greys": lambda: _grey(100, 101),
    "one bit": lambda: _grey(0, 255).convert("1"),
    "16 bits, 0 and 1": lambda: _sixteen(0, 1),
    "16 bits, white": lambda: _sixteen(0, 65_535),
    "16 bits, a label": lambda: _sixteen(0, 300),
    "colours, grey": lambda: _colours((0, 0, 0), (255, 255, 255)),
    "colours, red on black": lambda: _colours((0, 0, 0), (128, 0, 0)),
    "colours, blue on black": lambda: _colours((0, 0, 0), (0, 0, 255)),
    "palette of a label map": lambda: _palette([0, 0, 0, 128, 0, 0]),
    "palette that swaps black and white": lambda: _palette([255, 255, 255, 0, 0, 0], (1, 0)),
    "palette without black": lambda: _palette([120, 120, 120, 6, 230, 230]),
    "palette of one colour": lambda: _palette([9, 9, 9, 9, 9, 9]),
    "opaque": lambda: _colours((0, 0, 0, 255), (255, 255, 255, 255)),
    "alpha of one colour": lambda: _colours((255, 0, 0, 0), (255, 0, 0, 255)),
    "alpha over transparent black": lambda: _colours((0, 0, 0, 0), (255, 255, 255, 255)),
    "grey with alpha": lambda: _grey(0, 255).convert("LA"),
    "soft edges": _soft,
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_plain_is_read(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    PLAIN[name]().save(path)
    found = read_mask(path)
    assert found.shape == REGION.shape
    assert found.dtype == bool
    if name == "soft edges":
        assert (found != REGION).mean() < 0.05
    else:
        assert np.array_equal(found, REGION)


@pytest.mark.parametrize("quality", [60, 75, 90, 100])
@pytest.mark.parametrize("inside", [(255, 255, 255), (255, 0, 0), (0, 200, 0)])
def test_the_noise_of_jpeg_is_decided_by_the_middle(tmp_path: Path, quality: int, inside: tuple[int, int, int]) -> None:
    path = tmp_path / "a.JPG"
    _colours((0, 0, 0), inside).save(path, quality=quality)
    assert (read_mask(path) != REGION).mean() < 0.06
    assert Image.open(path).format == "JPEG"


def test_grey_jpeg_and_the_same_saved_as_png(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    _grey(0, 255).save(path, quality=75)
    by_rule = np.asarray(Image.open(path)) > 128
    assert np.array_equal(read_mask(path), by_rule), "the middle of 0 and 255 is the paper's 128"
    Image.open(path).save(tmp_path / "b.png")
    assert np.array_equal(read_mask(tmp_path / "b.png"), by_rule)


UNCLEAR: dict[str, Callable[[], Image.Image]] = {
    "three labels": lambda: _third(1),
    "an ignored border": lambda: _third(128),
    "a gradient": lambda: Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))),
    "one grey": lambda: Image.new("L", (WIDTH, HEIGHT), 128),
    "two colours without black": lambda: _colours((0, 255, 0), (255, 0, 0)),
    "three colours": lambda: Image.fromarray(
        np.where(REGION[..., None], (255, 0, 0), np.where(REGION.T[:HEIGHT, :1, None] * 0 + 1, (0, 0, 0), 0)).astype(
            np.uint8
        )
        + np.eye(HEIGHT, WIDTH, dtype=np.uint8)[..., None]
    ),
    "a palette of colours": lambda: _palette([200, 0, 0, 0, 200, 0], (1, 0)),
    "alpha that contradicts the colours": lambda: _colours((255, 255, 255, 0), (0, 0, 0, 255)),
    "colours and alpha": lambda: Image.merge(
        "RGBA", (*_colours((0, 0, 0), (255, 0, 0)).split(), Image.fromarray(np.roll(REGION, 8).astype(np.uint8) * 255))
    ),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_not_plain_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.png"
    UNCLEAR[name]().save(path)
    with pytest.raises(DataError, match=r"not plainly a mask: .*a\.png"):
        read_mask(path)


def test_several_colours_of_a_jpeg_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:, :24], pixels[:, 40:] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    with pytest.raises(DataError, match="several colours"):
        read_mask(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("size", "picture", "message"),
    [
        ((WIDTH, HEIGHT), _grey(0, 0), "without a pixel"),
        ((HEIGHT, WIDTH), _grey(0, 255), "48 x 64"),
        ((640, 500), _grey(0, 255), "640 x 500"),
    ],
)
def test_a_reference_lies_on_its_image(
    tmp_path: Path, size: tuple[int, int], picture: Image.Image, message: str
) -> None:
    picture.save(tmp_path / "a.png")
    with pytest.raises(DataError, match=message) as error:
        read_reference(tmp_path / "a.png", size)
    assert "a.png" in str(error.value)


def test_a_reference_of_the_same_aspect_ratio_is_resized(tmp_path: Path) -> None:
    _grey(0, 255).save(tmp_path / "a.png")
    mask, resized = read_reference(tmp_path / "a.png", (2 * WIDTH, 2 * HEIGHT))
    assert resized
    assert mask.sum() == 4 * REGION.sum()


def test_pictures_are_found_by_any_ending_and_once(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.tif", "c.bmp", "d.Png", "._a.jpg", "e.txt"):
        (tmp_path / name).write_bytes(b"")
    folder = PictureFolder(tmp_path)
    assert folder.names == ("a", "b", "c", "d")
    assert folder.find("a") == tmp_path / "a.JPG"
    assert folder.find("e") is None
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"two files for one id: a\.JPG and a\.png"):
        PictureFolder(tmp_path).find("a")
    assert PictureFolder(tmp_path / "no").names == ()


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    values = np.linspace(0, 65_535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, format="PNG")
    found = np.asarray(decode_rgb(stream.getvalue(), tmp_path / "a.png"))
    assert np.array_equal(found[..., 0], np.round(values / 257).astype(np.uint8))
    stream = io.BytesIO()
    Image.fromarray((values // 300).astype(np.uint16)).save(stream, format="PNG")
    with pytest.raises(DataError, match="its white is not known"):
        decode_rgb(stream.getvalue(), tmp_path / "a.png")
    stream = io.BytesIO()
    Image.fromarray(values.astype(np.float32)).save(stream, format="TIFF")
    with pytest.raises(DataError, match="floating-point"):
        decode_rgb(stream.getvalue(), tmp_path / "a.tif")
