"""The sheet of masks: a fair sample, inert foreign text, decisions by keys in a real browser, and their counts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.baselines.data.masks import making
from gi_bench.harness.analysis.review.masks import read_review
from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.reports.review.masks import render_mask_sheet, sample, write_mask_sheet
from tests.command_line import CommandLine
from tests.reports.chromium import Chromium
from tests.reports.test_pages import HOSTILE

SUITE = PhantomSuite("validation", 30)


def _masks() -> dict[tuple[str, str], Any]:
    return {(one.img_id, one.region.label): one.region for one in making.reference_masks(SUITE)}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    making.write_masks(folder / "m.parquet", making.reference_masks(SUITE))
    shown, whole = write_mask_sheet(folder / "m.parquet", SUITE, folder / "sheet.html")
    assert (shown, whole) == (len(sample(_masks())), len(_masks()))
    return folder / "sheet.html"


def test_every_label_is_sampled_alike() -> None:
    masks = _masks()
    keys = sample(masks)
    assert keys == sample(masks)
    assert keys != sample(masks, seed=1)
    for label in {label for _, label in masks}:
        whole = sum(key[1] == label for key in masks)
        assert sum(key[1] == label for key in keys) == min(whole, max(3, round(0.05 * whole)))
    assert sorted(sample(masks, 1.0)) == sorted(masks)


def _saved(page: Any) -> list[list[str]]:
    with page.expect_download() as waiting:
        page.click("#save")
    return list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8-sig"), newline="")))


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_masks_are_decided_by_keys(sheet: Path, tmp_path: Path, chromium: Chromium, width: int, dark: bool) -> None:
    keys = sample(_masks())
    with chromium.page(sheet, width=width, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for key in "ara":
            page.keyboard.press(key)
        assert page.locator("#counted").text_content() == f"3 of {len(keys)} decided, 1 rejected"
        page.locator(".mask input[type=text]").nth(1).fill('=too "small"')
        page.reload()
        page.wait_for_selector("html[data-ready=true]", state="attached")
        assert page.locator("#counted").text_content() == f"3 of {len(keys)} decided, 1 rejected"
        page.keyboard.press("u")
        page.keyboard.press("r")
        page.keyboard.press("o")
        assert not page.locator(".mask svg").first.is_visible()
        rows = _saved(page)
    assert rows[0] == ["img_id", "label", "decision", "remark"]
    assert [row[2] for row in rows[1:6]] == ["accept", "reject", "accept", "reject", ""]
    assert rows[2][3] == '\'=too "small"'
    assert [tuple(row[:2]) for row in rows[1:]] == keys
    text = "\r\n".join(",".join(f'"{cell}"' for cell in row[:3]) for row in rows)
    counts = read_review(tmp_path / "x.csv", text.encode())
    assert sum(one["accept"] for one in counts.values()) == 2
    assert sum(one["undecided"] for one in counts.values()) == len(keys) - 4


def test_foreign_names_stay_text(tmp_path: Path, chromium: Chromium) -> None:
    class Hostile:
        name = HOSTILE[2]

        def load_image(self, img_id: str) -> Any:
            return SUITE.load_image(SUITE.image_ids[0])

    region = next(iter(_masks().values()))
    bad = {(f"<b>{text[:500]}", f"polyp' onload='x{i}"): region for i, text in enumerate(HOSTILE)}
    path = tmp_path / "sheet.html"
    page_text = render_mask_sheet(Hostile(), bad, list(bad), HOSTILE[0])  # type: ignore[arg-type]
    path.write_bytes(page_text.encode("utf-8", "backslashreplace"))
    assert "<b>" not in page_text
    assert "unsafe-inline" not in page_text
    with chromium.page(path, width=390) as page:
        assert page.locator("main script, main b, img[src=x]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("a")
        assert len(_saved(page)) == len(bad) + 1


def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    def made(**changes: Any) -> Iterator[making.Made]:
        one = next(iter(making.reference_masks(SUITE)))
        yield replace(one, **changes)

    table = tmp_path / "m.parquet"
    making.write_masks(table, made(img_id="nowhere"))
    with pytest.raises(DataError, match="image 'nowhere' of the masks is not in"):
        write_mask_sheet(table, SUITE, tmp_path / "sheet.html")
    from gi_bench.harness.schema import Region

    making.write_masks(table, made(region=Region.from_box("polyp", (0, 0, 5, 5), 10, 99)))
    with pytest.raises(DataError, match="99 x 10 pixels"):
        write_mask_sheet(table, SUITE, tmp_path / "sheet.html")
    with pytest.raises(DataError, match="no file with masks"):
        write_mask_sheet(tmp_path / "no.parquet", SUITE, tmp_path / "sheet.html")
    assert not (tmp_path / "sheet.html").exists()


def test_the_commands_make_one_page(tmp_path: Path, gi_bench: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gi_bench.harness.registry.load_suite", lambda name, data=None: SUITE)
    table = tmp_path / "boxes.parquet"
    suite = ("-s", "phantom/validation")
    done = gi_bench("data", "masks", "--source", "box", *suite, "-o", table, "--sheet", tmp_path / "a.html")
    assert done.returncode == 0, done.stderr
    assert f"sheet: {tmp_path / 'a.html'}" in done.stdout
    done = gi_bench("review", "masks", table, *suite, "-o", tmp_path / "b.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    (tmp_path / "c.html").write_text("mine")
    done = gi_bench("review", "masks", table, *suite, "-o", tmp_path / "c.html")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_saved_decisions_are_counted(tmp_path: Path, gi_bench: CommandLine) -> None:
    text = 'img_id,label,decision,remark\r\na,polyp,accept,"x, y"\r\nb,polyp,,\r\nc,tube,reject,\r\n'
    assert read_review(Path("review.csv"), text.encode()) == {
        "polyp": {"accept": 1, "reject": 0, "undecided": 1},
        "tube": {"accept": 0, "reject": 1, "undecided": 0},
    }
    saved = tmp_path / "mask_review.csv"
    saved.write_text(text, encoding="utf-8", newline="")
    done = gi_bench("data", "review", saved)
    assert "polyp: accepted 1.00 [0.21, 1.00], n 1, undecided 1" in done.stdout
    saved.write_text("a,b\n1,2\n", encoding="utf-8")
    assert gi_bench("data", "review", saved).returncode == 2
    with pytest.raises(DataError, match="unknown decision"):
        read_review(Path("review.csv"), b"label,decision\npolyp,maybe\n")
