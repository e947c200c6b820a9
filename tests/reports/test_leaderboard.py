"""The leaderboard: what is found, grouped, ranked and left out, in four formats, and as a page in a browser."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Question
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.reports.leaderboard import board as building
from gi_bench.reports.leaderboard.board import build_board
from gi_bench.reports.leaderboard.entries import Board, Entry, Section
from gi_bench.reports.leaderboard.page import _verdict as sentences
from gi_bench.reports.leaderboard.page import html_board
from gi_bench.reports.leaderboard.texts import CSV_COLUMNS, MARK, NOT_RUN, csv_board, json_board, markdown
from gi_bench.reports.published import PublishedResult
from tests.command_line import CommandLine
from tests.conftest import MadeOnce
from tests.reports.chromium import Chromium
from tests.run_folders import questions, write_run

ROWS = questions(60)
WRONG = "a large ulcer near the green wire"
HOSTILE = (
    "<img src=x onerror=alert(1)></script><script>alert(2)</script>",
    '=HYPERLINK("http://evil")|`code`\n# head',
    "{{7*7}} [link](javascript:alert(3)) \u202eabc\x1b[31m",
)


def spoilt(share: float) -> Callable[[Question], str]:
    return lambda q: WRONG if (q.index * 7) % 20 < 20 * share else str(q.answer)


def made(path: Path, share: float, **more: Any) -> Path:
    metrics = {name: registered("gi_bench.metrics")[name] for name in ("bleu", "rougeL")}
    write_run(path, rows=ROWS, shown=[], answer=spoilt(share), **more)
    if more.get("manifest", {}).get("complete", True):
        score_run(path, metrics=metrics, resamples=50)
    return path


def role(name: str, seed: int = 0) -> dict[str, Any]:
    return {"recipe": {"model": {"role": name} if name else {}, "seed": seed, "tasks": ["answer"]}, "suite_note": ""}


def fill(folder: Path) -> None:
    first = folder / "made"
    made(first / "best-1", 0, variant="best", manifest=role(""))
    made(first / "twice-1", 0.3, variant="twice", manifest=role("", 1))
    made(first / "twice-2", 0.3, variant="twice", manifest=role("", 2))
    made(first / "blind-1", 0.9, variant="blind", manifest=role("floor"))
    made(first / "oracle-1", 0, variant="oracle", manifest=role("ceiling"))
    made(first / "limited-1", 0, variant="limited", manifest={"recipe": {"limit": 60}})
    made(first / "unfinished-1", 0, variant="unfinished", manifest={"complete": False})
    write_run(first / "unscored-1", rows=ROWS, shown=[], variant="unscored")
    changed = made(first / "changed-1", 0, variant="changed")
    path = changed / "scores.json"
    path.write_text(path.read_text().replace('"value": 1.0', '"value": 0.5', 1))
    made(folder / "deep" / "er" / "alone-1", 0.2, variant="alone", suite="other/test", fingerprint="e" * 64)
    (folder / "broken").mkdir()
    (folder / "broken" / "manifest.json").write_text("{")
    shutil.copytree(first / "best-1", folder / "headless")
    (folder / "headless" / "manifest.json").unlink()


@pytest.fixture(scope="module")
def folder(made_once: MadeOnce) -> Path:
    return made_once("leaderboard", fill)


@pytest.fixture(scope="module")
def board(folder: Path) -> Board:
    return build_board([folder])


def section_of(board: Board, name: str) -> Section:
    return next(section for section in board.sections if section.name == name)


def test_runs_are_found_at_any_depth_and_grouped_by_fingerprint(board: Board) -> None:
    assert [section.name for section in board.sections] == ["made/test", "other/test"]
    assert [entry.name for entry in board.sections[1].table] == ["alone"]
    first = section_of(board, "made/test")
    assert [entry.name for entry in first.table] == ["best", "twice (seed 1)", "twice (seed 2)", "blind"]
    assert [entry.rank for entry in first.table] == ["1", "2–3", "2–3", "4"]
    assert [entry.role for entry in first.table] == ["model", "model", "model", "floor"]
    assert first.metric.name == "bleu"
    for entry in first.table:
        number = entry.numbers["bleu"]
        assert number.low is not None
        assert number.low <= number.value
        assert number.n == 60
    best = first.table[0]
    assert best.way is not None
    assert best.way.share == pytest.approx(1.0)


def test_nothing_is_left_out_silently(board: Board) -> None:
    reasons = {entry.name: entry.reason for entry in section_of(board, "made/test").unranked}
    assert set(reasons) == {"oracle", "limited", "unfinished", "unscored", "changed"}
    assert "ceiling" in reasons["oracle"]
    assert "--limit 60" in reasons["limited"]
    assert "not finished" in reasons["unfinished"] or "no scores" in reasons["unfinished"]
    assert "no scores yet" in reasons["unscored"]
    assert reasons["changed"].startswith("changed: ")
    ceilings = [one for one in section_of(board, "made/test").unranked if one.numbers]
    assert [one.name for one in ceilings] == ["oracle"], "a part's numbers would mislead"
    places = {one.place.partition("/")[2]: one.reason for one in board.left_out}
    assert set(places) == {"broken", "headless"}
    assert "no manifest.json" in places["headless"]


def test_a_folder_that_is_reached_twice_counts_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder / "made" / "best-1")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = build_board([tmp_path, tmp_path / "link", folder / "made" / "best-1"])
    assert [entry.name for entry in found.sections[0].table] == ["best"]


def test_copies_are_named_apart_and_told(folder: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        shutil.copytree(folder / "made" / "twice-1", tmp_path / place / "twice-1")
    found = build_board([tmp_path]).sections[0]
    assert len({entry.name for entry in found.table}) == 2
    assert [entry.rank for entry in found.table] == ["1–2", "1–2"]
    assert any("hold the same predictions" in note for note in found.notes)


def test_a_damaged_floor_costs_nobody_a_rank(folder: Path, tmp_path: Path) -> None:
    for name in ("best-1", "blind-1", "oracle-1"):
        shutil.copytree(folder / "made" / name, tmp_path / "runs" / name)
    (tmp_path / "runs" / "blind-1" / "questions.parquet").write_bytes(b"PAR1 damaged")
    (found,) = build_board([tmp_path]).sections
    assert [(entry.name, entry.rank) for entry in found.table] == [("best", "1")]
    assert {entry.name for entry in found.unranked} == {"blind", "oracle"}
    assert found.table[0].way is None


def test_names_are_told_apart_whatever_variants_are_called(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("twice (seed 1)", "twice", "twice", "twice (runs/2)")):
        made(tmp_path / "runs" / str(number), 0.1 * number, variant=name, manifest=role("", number % 2))
    (found,) = build_board([tmp_path]).sections
    assert len({entry.name for entry in found.table}) == 4


def spec(**more: Any) -> SuiteSpec:
    return replace(SuiteSpec(family="made", split="test", questions=len(ROWS)), **more)


SAME = PublishedResult(("made/test",), "Same rows", "the same rows", "a paper", "same", "A table", bleu=0.5, meteor=0.9)
PRIVATE = replace(SAME, name="Private", rows="private, not these rows", kind="private", rank="1=", bleu=0.47)
TRACK2 = replace(SAME, name="Track 2", suites=("made/augmented",), track=2)
SILENT = replace(SAME, name="Silent", bleu=None)


@pytest.fixture
def beside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Section]:
    """The section of the first suite, where that is one that results are published on."""

    def build(**more: Any) -> Section:
        known = spec(**more)
        monkeypatch.setattr(building, "stored_spec", lambda name: known if name == "made/test" else SuiteSpec())
        monkeypatch.setattr(building, "published", lambda: (SAME, PRIVATE, TRACK2, SILENT))
        return section_of(build_board([folder]), "made/test")

    return build


def test_the_same_rows_stand_beside_and_private_ones_apart(beside: Callable[..., Section]) -> None:
    found = beside()
    names = [entry.name for entry in found.table]
    assert names.index("Same rows") == names.index("twice (seed 2)") + 1
    assert names[-1] == "Silent", "what was not published has no place"
    assert [entry.rank for entry in found.table if entry.kind == "published"] == ["", ""]
    assert [entry.rank for entry in found.table if entry.kind == "run"] == ["1", "2–3", "2–3", "4"]
    assert [entry.name for entry in found.apart] == ["Private"]
    text = markdown(Board((found,), ()))
    assert f"Same rows ({NOT_RUN})" in text
    assert "0.47 " in text, "no decimals that were not published"


def test_rows_that_are_not_known_to_be_the_same_stand_apart(beside: Callable[..., Section]) -> None:
    found = beside(questions=61)
    assert {entry.kind for entry in found.table} == {"run"}
    assert [(one.name, bool(one.reason)) for one in found.apart] == [
        ("Same rows", True), ("Private", False), ("Silent", True)
    ]  # fmt: skip


def test_other_suites_have_no_published_results(board: Board) -> None:
    assert not any(entry.published for section in board.sections for entry in (*section.table, *section.apart))


def test_real_suites_meet_their_published_results(shared: Path, tmp_path: Path) -> None:
    from gi_bench.harness.suites import kvasir, kvasir_rows

    known = kvasir._SPECS["medico2025-task1"]
    raw = kvasir._pick(known.subset, kvasir._rows(shared / "data" / "kvasir-vqa-x1", "test", False))
    rows = [kvasir_rows.to_question(row, i, wants_explanation=False) for i, row in enumerate(raw)]
    path = write_run(tmp_path / "run", rows=rows, shown=[], suite="medico2025-task1", answer=lambda q: WRONG)
    score_run(path, metrics={"bleu": registered("gi_bench.metrics")["bleu"]}, resamples=20)
    (found,) = build_board([tmp_path]).sections
    published = [entry.name for entry in found.table if entry.kind == "published"]
    assert len(published) == 3
    assert published[0].startswith("CATA")
    boards = {entry.published.board for entry in found.apart if entry.published}
    assert boards == {"MediaEval Medico 2025, subtask 1", "The paper (arXiv 2511.04384)"}


def test_csv_holds_a_row_an_entry_and_no_formula(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_board(board))))
    assert [row["block"] for row in rows].count("ranked") == 5
    assert {row["block"] for row in rows} == {"ranked", "not ranked", "left out"}
    best = next(row for row in rows if row["name"] == "best")
    assert (best["rank_best"], best["rank_worst"], float(best["value"])) == ("1", "1", 1.0)
    assert float(best["rougeL"]) == 1.0
    assert all(len(row) == len(rows[0]) and None not in row for row in rows)


def test_json_holds_everything(board: Board) -> None:
    content = json.loads(json_board(board))
    first = content["suites"][0]
    assert first["fingerprint"] == "f" * 64
    assert [one["rank_worst"] for one in first["table"]] == [1, 3, 3, 4]
    assert first["table"][0]["scores"]["rougeL"]["n"] == 60
    assert len(first["pairs"]) == 6
    assert {one["better"] for one in first["pairs"]} >= {"best", None}
    assert len(first["not_ranked"]) == 5
    assert len(content["left_out"]) == 2


def hostile(folder: Path) -> Path:
    for number, text in enumerate(HOSTILE):
        made(
            folder / f"run-{number}", number / 10, variant=text, suite=HOSTILE[1], fingerprint="a" * 64,
            manifest={**role(""), "suite_note": text, "code": {"command": text}},
        )  # fmt: skip
    made(folder / "long", 0.5, variant="x" * 100_000, suite="<b>other</b>", fingerprint="b" * 64, manifest=role(""))
    return folder


@pytest.fixture(scope="module")
def hostile_board(made_once: MadeOnce) -> Board:
    return build_board([made_once("hostile-leaderboard", lambda folder: (hostile(folder), None)[1])])


def test_foreign_text_stays_inert_in_text_formats(hostile_board: Board) -> None:
    text = markdown(hostile_board)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    tables: dict[int, int] = {}
    for line in rows:
        cells = line.replace("\\|", "").count("|")
        tables[cells] = tables.get(cells, 0) + 1
    assert len(rows) >= 6
    assert all(count > 1 for count in tables.values()), "a pipe in a name made a column"
    assert not any(line.startswith("# head") for line in text.splitlines())
    assert "](javascript" not in text.replace("\\]", "")
    assert "<script" not in text.replace("\\<", "")
    assert "\x1b" not in text
    assert "\u202e" not in text
    for row in csv.reader(io.StringIO(csv_board(hostile_board))):
        assert not any(field.lstrip()[:1] in ("=", "@", "+") for field in row if field)
    names = [one["table"][0]["name"] for one in json.loads(json_board(hostile_board))["suites"]]
    assert any(name == "x" * 100_000 for name in names), "JSON cuts nothing"
    assert len(text) < 100_000


def test_the_command_writes_four_formats(gi_bench: CommandLine, folder: Path, tmp_path: Path) -> None:
    for ending, begins in (("html", "<!DOCTYPE html>"), ("md", MARK), ("csv", CSV_COLUMNS[0]), ("json", "{")):
        path = tmp_path / f"board.{ending}"
        done = gi_bench("leaderboard", folder, "-o", path)
        assert done.returncode == 0, done.stderr
        assert path.read_text(encoding="utf-8").startswith(begins)
        assert "left out: " in done.stdout
        assert "without a rank: limited" in done.stdout
        before = path.read_bytes()
        assert gi_bench("leaderboard", folder, "-o", path).returncode == 0, "its own file is written again"
        assert path.read_bytes() == before
    told = json.loads(gi_bench("leaderboard", folder, "--json").stdout)
    assert told == json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    other = gi_bench("leaderboard", folder, "--metric", "rougeL", "--json")
    assert json.loads(other.stdout)["suites"][0]["metric"]["name"] == "rougeL"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{folder}", "-o", "{out}/board.pdf"], "no leaderboard is written as '.pdf'"),
        (["{folder}", "-o", "{out}/board"], "no ending"),
        (["{out}/nowhere"], "no such folder"),
        (["{out}/theirs.md"], "not a folder"),
        (["{folder}", "-o", "{out}/theirs.md"], "no file of this kind that gi-bench wrote"),
        (["{folder}", "-o", "{out}/theirs.csv"], "no file of this kind that gi-bench wrote"),
        (["{folder}", "-o", "{out}/theirs.json"], "no file of this kind that gi-bench wrote"),
        (["{folder}", "-o", "{out}/theirs.html"], "no file of this kind that gi-bench wrote"),
        (["{out}", "-o", "{out}/b.md"], "no run that can be read"),
        (["{folder}", "--metric", "bleux", "-o", "{out}/b.md"], "did you mean bleu"),
        (["{folder}", "--metric", "explanation_length", "-o", "{out}/b.md"], "neither direction is better"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    gi_bench: CommandLine, folder: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    for ending in ("md", "csv", "json", "html"):
        (tmp_path / f"theirs.{ending}").write_text("[1]")
    there = sorted(tmp_path.iterdir())
    done = gi_bench("leaderboard", *(one.format(folder=folder, out=tmp_path) for one in arguments))
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == there
    assert (tmp_path / "theirs.md").read_text() == "[1]"


@pytest.fixture(scope="module")
def pages(board: Board, hostile_board: Board, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of the runs with a published result placed among them, and that of hostile ones."""
    first = board.sections[0]
    same = Entry("published", SAME.name, numbers={"bleu": replace(first.table[0].numbers["bleu"], low=None)},
                 published=SAME)  # fmt: skip
    with_published = replace(first, table=(*first.table, same))
    shown = {"plain": Board((with_published, *board.sections[1:]), board.left_out), "hostile": hostile_board}
    top = tmp_path_factory.mktemp("boards")
    for name, one in shown.items():
        (top / f"{name}.html").write_bytes(html_board(one).encode("utf-8", errors="backslashreplace"))
    return {name: top / f"{name}.html" for name in shown}


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_tabs_links_and_sorting_work(pages: dict[str, Path], chromium: Chromium, width: int, dark: bool) -> None:
    with chromium.page(pages["plain"], width=width, dark=dark) as page:
        tabs, sections = page.get_by_role("tab"), page.locator("section.suite:visible")
        assert tabs.count() == 2
        assert sections.count() == 1
        tabs.first.focus()
        page.keyboard.press("ArrowRight")
        assert tabs.nth(1).get_attribute("aria-selected") == "true"
        assert sections.locator("h2").inner_text() == "other/test"
        page.keyboard.press("Home")
        assert sections.locator("h2").inner_text() == "made/test"
        names = sections.locator("table.board").first.locator("tbody th")
        assert names.all_inner_texts()[0].startswith("best")
        sections.get_by_role("button", name="rank").click()
        sections.get_by_role("button", name="rank").click()
        assert names.all_inner_texts()[0].startswith("blind")
        assert names.all_inner_texts()[-1].startswith("Same rows"), "what has no rank stands last, whichever way"
        sections.get_by_role("link", name="best").click()
        assert page.locator("#run-0-0 dl").is_visible()
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0


def test_without_scripts_all_suites_stand_below_each_other(pages: dict[str, Path], chromium: Chromium) -> None:
    with chromium.page(pages["plain"], scripts=False) as page:
        assert page.locator("section.suite:visible").count() == 2
        assert page.locator("[role=tablist]:visible").count() == 0
        assert page.locator("table.board:visible").count() >= 4


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_run_nothing(pages: dict[str, Path], chromium: Chromium, width: int) -> None:
    with chromium.page(pages["hostile"], width=width) as page:
        for tab in page.get_by_role("tab").all():
            tab.click()
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow <= 0
        assert page.locator("main img, main script, main b, main iframe").count() == 0
        assert page.locator("a:not([href^='#run-'])").count() == 0
        text = page.content()
        assert "{{7*7}}" in text
        assert "\u202e" not in text


def test_a_tab_can_be_linked_to(pages: dict[str, Path], chromium: Chromium) -> None:
    with chromium.page(pages["plain"]) as page:
        page.goto(f"{pages['plain'].resolve().as_uri()}#suite=1")
        page.reload()
        page.wait_for_selector("html[data-ready=true]", state="attached")
        assert page.locator("section.suite:visible h2").inner_text() == "other/test"


def test_the_verdict_names_a_first_run_only_where_it_beats_each_other(folder: Path, tmp_path: Path) -> None:
    for name in ("best-1", "blind-1"):
        shutil.copytree(folder / "made" / name, tmp_path / name)
    (section,) = build_board([tmp_path]).sections
    assert sentences(section)[0] == "best is first in BLEU, surely better than the other one."
    first, second = section.table
    # Somebody else is surely better than the second, not the first.
    open_end = replace(section, table=(replace(first, worst=2), replace(second, best=2)))
    assert sentences(open_end)[0] == "best is first in BLEU, but not surely better than each of the others."


def test_suites_of_one_name_are_told_apart_on_the_terminal(gi_bench: CommandLine, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "made" / "best-1", tmp_path / "best-1")
    made(tmp_path / "other-1", 0.2, variant="other", fingerprint="e" * 64)
    done = gi_bench("leaderboard", tmp_path, "-o", tmp_path / "board.html")
    assert done.returncode == 0, done.stderr
    assert f"made/test {'e' * 8}: 1 run ranked by BLEU" in done.stdout
    assert f"made/test {'f' * 8}: 1 run ranked by BLEU" in done.stdout
