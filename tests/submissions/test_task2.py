"""The folder of subtask 2: rows, read-me, script, and the official rows."""

from __future__ import annotations

import ast
import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.schema import Question, Reply
from gi_bench.harness.store import read_predictions, write_part
from gi_bench.harness.suites import kvasir_rows
from gi_bench.harness.suites.kvasir import TASK1, TASK2, _pick
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.submissions import task2
from gi_bench.submissions.client import CLIENT
from gi_bench.submissions.editions import Edition, Task1, Task2, edition_named, editions
from gi_bench.submissions.info import EXAMPLE, Team
from gi_bench.submissions.readme import plain
from tests.command_line import CommandLine
from tests.run_folders import SIZE, questions, square, write_run
from tests.submissions.challenge_folders import EDITION
from tests.submissions.task2_kit import Kit, contents, set_confidence


def test_the_folder_holds_rows_pictures_script_and_readme(kit: Kit) -> None:
    done = kit.submit()
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in kit.out.iterdir())
    assert names == ["README.md", "gi-bench.json", "rows.jsonl", "shown", "submission_task2.py"]
    assert not list(kit.top.glob(".*"))
    rows = kit.rows()
    assert [row["val_id"] for row in rows] == list(range(12))
    for row, question in zip(rows, questions(), strict=True):
        assert list(row) == ["val_id", "img_id", "question", "answer", "textual_explanation", "visual_explanation",
                             "confidence_score"]  # fmt: skip
        assert (row["img_id"], row["question"], row["answer"]) == (question.img_id, question.question, question.answer)
        assert row["textual_explanation"] == question.explanation
        assert row["confidence_score"] == 0.75
        if question.is_negative:
            assert row["visual_explanation"] == []
            continue
        mask, box, drawn = row["visual_explanation"]
        assert (mask["type"], box["type"], drawn["type"]) == ("segmentation_mask", "bounding_box", "overlay")
        assert np.array_equal(np.asarray(Image.open(kit.out / mask["data"])) > 128, square("polyp", 8, 8, 12).mask())
        assert box["data"] == [[8, 8, 20, 20]]
        assert "pixels of the 48 x 48 image" in box["description"]
        assert Image.open(kit.out / drawn["data"]).size == (SIZE, SIZE)
        assert "scaled up" in drawn["description"]
    named = {entry["data"] for row in rows for entry in row["visual_explanation"] if isinstance(entry["data"], str)}
    assert named == {path.relative_to(kit.out).as_posix() for path in (kit.out / "shown").iterdir()}
    info = runpy.run_path(str(kit.out / "submission_task2.py"))["SUBMISSION_INFO"]
    assert info == Team.read(kit.top / "team.toml").as_dict()
    assert "note: a note for participants" in done.stdout
    assert f"gi-bench submit check {kit.out}" in done.stdout


def test_the_readme_tells_how_it_was_made(kit: Kit) -> None:
    part = kit.top / "run" / "predictions" / "part-00000.parquet"
    asked = {q.index: q.question for q in questions()}
    write_part(part, [
        replace(p, phrase=p.answer, explain_reply=Reply(f"<EXPLAIN> {asked[p.index]} In detail."),
                ground_reply=Reply(f"<GROUND> {p.answer}")) if p.kind == "question" else p
        for p in read_predictions(part)
    ])  # fmt: skip
    manifest = json.loads((kit.top / "run" / "manifest.json").read_text(encoding="utf-8"))
    manifest["recipe"]["model"] = {"backbone": "/home/me/secret/base", "decoding": {"beams": 3}, "adapter_digest": "ab"}
    (kit.top / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert kit.submit("--license", "cc-by-nc-4.0").returncode == 0
    text = kit.readme()
    assert "`<EXPLAIN> {question} In detail.`" in text
    assert "`<GROUND> {phrase}`" in text
    assert "| decoding | beams 3 |" in text
    assert "| backbone | base |" in text
    assert "not calibrated, but passed on" in text
    assert "x1, y1, x2, y2 in pixels of the original image" in text
    assert "small pictures of the images (256 pixels at most) that were scaled up" in text
    assert "Weights: cc-by-nc-4.0." in text
    assert "gi-bench submit task2 run --info team.toml --repo team/model --edition made2031 -o DIR" in text
    assert "--beams 3" in text
    assert "/home" not in text
    assert str(kit.top) not in text
    assert "@" not in text, "no address outside of the info block"


def test_given_again_it_gives_the_same_bytes(kit: Kit) -> None:
    assert kit.submit().returncode == 0
    before = contents(kit.out)
    assert kit.submit().returncode == 0
    assert contents(kit.out) == before


def test_without_regions_the_rows_are_whole_and_it_is_said(kit: Kit) -> None:
    part = kit.top / "run" / "predictions" / "part-00000.parquet"
    write_part(part, [replace(p, regions=None) for p in read_predictions(part)])
    done = kit.submit()
    assert done.returncode == 0
    assert all(row["visual_explanation"] == [] for row in kit.rows())
    assert "the run has no regions" in done.stdout
    assert "The run has no regions" in kit.readme()
    assert not (kit.out / "shown").exists()


def test_a_confidence_that_is_missing_is_left_out_and_counted(kit: Kit) -> None:
    set_confidence(kit.top / "run", lambda index: None if index < 3 else 0.5)
    done = kit.submit()
    assert ["confidence_score" in row for row in kit.rows()] == [False] * 3 + [True] * 9
    assert "3 rows have none" in done.stdout
    assert "3 rows have none" in kit.readme()


def test_an_image_id_never_becomes_a_path(kit: Kit) -> None:
    rows = [replace(q, img_id=f"../../escape{q.index}") for q in questions()]
    write_run(kit.top / "hostile", rows=rows, shown=[])
    text = EDITION.format(digest=rows_digest(rows, is_numbered=True))
    (kit.top / "editions.toml").write_text(text, encoding="utf-8")
    (kit.top / "data" / "images").mkdir(parents=True)
    Image.new("RGB", (SIZE, SIZE)).save(kit.top / "escape0.png")
    kit.refused("none of the run's images is there", "--data", kit.top / "data", run="hostile")
    assert kit.submit(run="hostile").returncode == 0
    assert not list(kit.out.rglob("*escape*"))


def test_a_text_stays_on_one_line_and_the_same(kit: Kit) -> None:
    hostile = 'a\u2028b\u2029c\x85d\r\n"e"\x00'
    write_run(kit.top / "run", explain=lambda q: hostile)
    assert kit.submit().returncode == 0
    text = (kit.out / "rows.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["textual_explanation"] for line in text.splitlines()] == [hostile] * 12


def test_a_confidence_that_says_nothing_is_told(kit: Kit) -> None:
    assert "note: every row has the confidence 0.7500, which says nothing" in kit.submit().stdout


@pytest.mark.parametrize("name", ["medico2025", "medico2026"])
def test_the_template_of_the_organisers_holds_the_team(name: str) -> None:
    pytest.importorskip(CLIENT, reason="the organisers' client has the templates: pip install 'gi-bench[submit]'")
    team = Team("Zoë \"Q\" 'O'", "U\\n\n'''", ("a@example.org", "b@example.org"), '"""', "Norge", "{}\u2028")
    edition = edition_named(name)
    table = edition.rows_of("task2")
    assert isinstance(table, Task2)
    text = task2.script_text(edition, table, team)
    found: dict[str, Any] = {}
    exec(compile(text, "script", "exec"), found)
    assert found["SUBMISSION_INFO"] == team.as_dict()
    assert "DONT change the keys, only add your info" in text, "the organisers' own words stay"
    assert "MIT licence" in text


def test_a_script_of_ours_holds_any_team() -> None:
    edition = Edition('Evil\n"""', "none", task2=Task2("s", "d", "t", "submission_task2.py"), name="evil")
    team = Team("'''", "\n#", ("a@example.org",), "\\", "x", "")
    assert edition.task2 is not None
    (node,) = ast.parse(task2.script_text(edition, edition.task2, team)).body
    assert isinstance(node, ast.Assign)
    assert ast.literal_eval(node.value) == team.as_dict()


def test_values_in_the_readme_are_one_line_and_no_markup() -> None:
    assert plain("a|b\n<b>`x`") == "a\\|b &lt;b>'x'"
    assert plain(r"C:\Users\me\weights") == "weights"
    assert plain({"a": ["/srv/x/y", 1]}) == "a y, 1"


@pytest.fixture(scope="module")
def official(shared: Path) -> dict[str, list[Question]]:
    rows = kvasir_rows.read_rows([shared / "data" / "kvasir-vqa-x1" / "test.parquet"])
    return {
        name: [
            replace(q, explanation=f"This is seen: {q.answer}.", is_negative=True)  # without regions
            for i, row in enumerate(_pick(subset, rows))
            for q in [kvasir_rows.to_question(row, i, wants_explanation=True)]
        ]
        for name, subset in (("task1", TASK1), ("task2", TASK2))
    }


def test_the_official_rows(official: dict[str, list[Question]], tmp_path: Path, gi_bench: CommandLine) -> None:
    pytest.importorskip(CLIENT, reason="the organisers' client has the templates: pip install 'gi-bench[submit]'")
    write_run(tmp_path / "two", rows=official["task2"], shown=[], suite="medico2025-task2")
    write_run(tmp_path / "one", rows=official["task1"], shown=[], suite="medico2025-task1", fingerprint="1" * 64,
              answer=lambda q: None if q.answer is None else f"{q.answer} ")  # fmt: skip
    (tmp_path / "team.toml").write_text(EXAMPLE, encoding="utf-8")
    common = ("submit", "task2", tmp_path / "two", "--info", tmp_path / "team.toml", "--repo", "a/b")
    done = gi_bench(*common, "-o", tmp_path / "out", "--task1", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert "142 rows are asked by subtask 1 too" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "out" / "submission_task2.jsonl").open(encoding="utf-8")]
    assert [row["val_id"] for row in rows] == list(range(1500))
    assert sum(row["answer"].endswith(" ") for row in rows) == 142
    kept = {(q.img_id, q.question) for q in official["task1"]}
    assert all(row["answer"].endswith(" ") == ((row["img_id"], row["question"]) in kept) for row in rows)


def test_the_number_of_shared_rows_is_what_the_rows_say(official: dict[str, list[Question]]) -> None:
    kept = {(q.img_id, q.question) for q in official["task1"]}
    count = sum((q.img_id, q.question) in kept for q in official["task2"])
    pinned = {TASK1.digest, TASK2.digest}
    found = [one.task2.shared for one in editions().values()
             if isinstance(one.task1, Task1) and one.task2 is not None
             and {one.task1.sha256, one.task2.sha256} == pinned]  # fmt: skip
    assert found == [count] * 2
