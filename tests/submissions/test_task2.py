"""The folder of subtask 2: rows, agreement with subtask 1, pictures, calibration, and what is refused."""

from __future__ import annotations

import ast
import json
import runpy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.placing import ENDING
from gi_bench.harness.schema import AtomicPair, Picture, Question, Region, Reply
from gi_bench.harness.store import open_run, pictures_path, read_predictions, write_part
from gi_bench.harness.suites import kvasir_rows
from gi_bench.harness.suites.kvasir import TASK1, TASK2, _pick
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.harness.tables import write_records
from gi_bench.submissions import task2
from gi_bench.submissions.client import CLIENT
from gi_bench.submissions.editions import Edition, Task1, Task2, edition_named, editions
from gi_bench.submissions.info import EXAMPLE, Team
from gi_bench.submissions.pictures import images_of
from gi_bench.submissions.readme import plain
from gi_bench.submissions.visuals import COLOR, overlay
from tests.command_line import CommandLine, Done
from tests.locked import held_elsewhere
from tests.run_folders import SIZE, questions, square, write_run
from tests.submissions.challenge_folders import EDITION


class Kit:
    """A folder with a run, a team and an edition, and the command that makes the submission."""

    def __init__(self, top: Path, command: CommandLine) -> None:
        self.top, self._command = top, command
        (top / "team.toml").write_text(EXAMPLE, encoding="utf-8")
        digest = rows_digest(questions(), is_numbered=True)
        (top / "editions.toml").write_text(EDITION.format(digest=digest), encoding="utf-8")
        write_run(top / "run")

    @property
    def out(self) -> Path:
        return self.top / "out"

    def submit(self, *more: object, run: str = "run") -> Done:
        return self._command(
            "submit", "task2", self.top / run, "--info", self.top / "team.toml", "--repo", "team/model",
            "--edition", "made2031", "--editions", self.top / "editions.toml", "-o", self.out, *more,
        )  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]

    def readme(self) -> str:
        return (self.out / "README.md").read_text(encoding="utf-8")

    def refused(self, message: str, *more: object, run: str = "run") -> None:
        """One line, exit code 2, and what was there stays as it was."""
        before = _bytes(self.top)
        done = self.submit(*more, run=run)
        assert done.returncode == 2, done.stdout
        assert message in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert _bytes(self.top) == before


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def kit(tmp_path: Path, gi_bench: CommandLine) -> Kit:
    return Kit(tmp_path, gi_bench)


def _first(count: int) -> list[Question]:
    """The rows of subtask 1 in the made-up edition: four that subtask 2 asks too, and others."""
    shared = questions()[4:8]
    others = [replace(q, img_id=f"other{q.index}") for q in questions()[: count - 4]]
    return [replace(q, index=i) for i, q in enumerate([*shared, *others])]


def _task1(folder: Path, **options: Any) -> Path:
    return write_run(folder, suite="made/one", fingerprint="e" * 64, rows=options.pop("rows", _first(8)), shown=[],
                     **options)  # fmt: skip


def _set_confidence(folder: Path, values: Callable[[int], float | None]) -> None:
    path = folder / "predictions" / "part-00000.parquet"
    changed = [replace(p, confidence=values(p.index)) if p.kind == "question" else p for p in read_predictions(path)]
    write_part(path, changed)


def _others(count: int, image: str = "cal") -> list[Question]:
    return [
        Question(i, f"{image}{i // 2}", f"How many polyps are there in {i}?", "one polyp visible in the image",
                 ("polyp_count",), 1, original=(AtomicPair("q", "1"),))
        for i in range(count)
    ]  # fmt: skip


def _calibration_run(folder: Path, rows: list[Question] | None = None, **options: Any) -> Path:
    """A run that is right in three of four rows where it is sure (0.9), and in one of two where it is not (0.6)."""
    rows = _others(400) if rows is None else rows
    options.setdefault("answer", lambda q: "two polyps" if q.index % 8 == 0 or q.index % 4 == 1 else q.answer)
    write_run(folder, suite="made/calibration", fingerprint="c" * 64, rows=rows, shown=[], explain=lambda q: None,
              **options)  # fmt: skip
    _set_confidence(folder, lambda index: 0.6 if index % 2 else 0.9)
    return folder


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
    before = _bytes(kit.out)
    assert kit.submit().returncode == 0
    assert _bytes(kit.out) == before


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
    _set_confidence(kit.top / "run", lambda index: None if index < 3 else 0.5)
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


class TestAgreement:
    def test_answers_that_are_the_same_stay(self, kit: Kit) -> None:
        _task1(kit.top / "one")
        done = kit.submit("--task1", kit.top / "one")
        assert done.returncode == 0, done.stderr
        assert "4 rows are asked by subtask 1 too, and have its answers" in done.stdout
        assert "answered differently" not in done.stdout
        assert "--task1 one" in kit.readme()

    def test_subtask_1_decides_and_the_difference_is_counted(self, kit: Kit) -> None:
        _task1(kit.top / "one", answer=lambda q: "nine polyps" if q.index in (0, 3) else q.answer, confidence=0.25)
        done = kit.submit("--task1", kit.top / "one")
        rows = kit.rows()
        assert [row["val_id"] for row in rows if row["answer"] == "nine polyps"] == [4, 7]
        assert [row["val_id"] for row in rows if row["confidence_score"] == 0.25] == [4, 7]
        for said in (done.stdout, kit.readme()):
            assert "2 of them were answered differently" in said
            assert "(val_id 4, 7)" in said

    def test_any_of_several_answers_of_subtask_1_is_right(self, kit: Kit) -> None:
        rows = _first(8)
        rows = [*rows[:7], replace(rows[0], index=7)]
        _task1(kit.top / "one", rows=rows, answer=lambda q: "another" if q.index == 0 else q.answer)
        done = kit.submit("--task1", kit.top / "one")
        assert "answered differently" not in done.stdout
        assert kit.rows()[4]["answer"] == questions()[4].answer

    def test_without_it_the_shared_rows_are_unchecked(self, kit: Kit) -> None:
        done = kit.submit()
        assert "unchecked: the rows that subtask 1 asks too" in done.stdout
        assert "Unchecked: the rows that subtask 1 asks too" in kit.readme()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"variant": "another"}, "the run is of another, the submission of tested"),
            ({"manifest": {"recipe": {"model": {"rank": 64}}}}, "of another model: its rank is 64, that of the submis"),
            (
                {"manifest": {"recipe": {"model": {"rank": 128, "decoding": {"beams": 1}}}}},
                "its decoding is {'beams': 1}",
            ),
            ({"manifest": {"recipe": {"limit": 8}}}, "--limit 8"),
            ({"rows": _first(7)}, "has 7 questions, Made Up 2031 asks 8"),
            ({"answer": lambda q: None}, "8 of 8 questions have no answer"),
        ],
    )
    def test_an_unfit_run_is_refused(self, kit: Kit, options: dict[str, Any], message: str) -> None:
        _task1(kit.top / "one", **options)
        kit.refused(message, "--task1", kit.top / "one")

    def test_the_name_of_a_backbone_is_not_its_weights(self, kit: Kit) -> None:
        for name, place in (("run", "base"), ("one", "/home/me/base")):
            model = {"backbone": place, "backbone_digest": "b" * 64, "decoding": {"beams": 3}}
            manifest = {"recipe": {"model": model}}
            (_task1 if name == "one" else write_run)(kit.top / name, manifest=manifest)
        assert kit.submit("--task1", kit.top / "one").returncode == 0
        model = {"backbone": "base", "backbone_digest": "c" * 64, "decoding": {"beams": 3}}
        _task1(kit.top / "other", manifest={"recipe": {"model": model}})
        kit.refused("its backbone digest is cccccccccccccccc...", "--task1", kit.top / "other")

    def test_of_files_the_name_is_all_that_is_known(self, kit: Kit) -> None:
        for name, make in (("run", write_run), ("one", _task1)):
            model = {"kind": "predictions of a file", "file": f"/home/me/{name}.json", "sha256": name}
            make(kit.top / name, manifest={"recipe": {"model": model}})
        done = kit.submit("--task1", kit.top / "one")
        assert done.returncode == 0, done.stderr
        assert "both are files of predictions" in done.stdout
        assert "gi-bench score run.json -s made/test" in kit.readme()


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


class TestCalibration:
    @pytest.mark.parametrize("method", ["isotonic", "temperature"])
    def test_it_is_learnt_from_other_rows_and_recorded(self, kit: Kit, method: str) -> None:
        _calibration_run(kit.top / "cal")
        _set_confidence(kit.top / "run", lambda index: 0.9 if index % 2 == 0 else 0.6)
        done = kit.submit("--calibrate-on", kit.top / "cal", "--calibration", method)
        assert done.returncode == 0, done.stderr
        high, low = (kit.rows()[i]["confidence_score"] for i in (0, 1))
        if method == "isotonic":
            assert (high, low) == (0.75, 0.5)
        else:
            assert 0.5 < low < 0.6 < high < 0.9
        record = json.loads((kit.out / "gi-bench.json").read_text(encoding="utf-8"))["calibration"]
        assert record["method"] == method
        assert (record["rows"], record["images"], record["suite"]) == (400, 200, "made/calibration")
        assert record["fingerprint"] == "c" * 64
        assert record["ece_before"] == pytest.approx(0.125)
        assert record["ece_after"] < record["ece_before"]
        assert record["is_cross_fitted"] is True
        assert ("temperature" if method == "temperature" else "knots") in record["parameters"]
        for said in (done.stdout.lower(), kit.readme().lower()):
            assert "learnt from 400 rows on 200 images of made/calibration" in said
            assert "calibration error there 0.1250 before" in said
            assert "passed on" not in said

    def test_submitted_rows_are_left_out(self, kit: Kit) -> None:
        rows = [replace(q, index=i) for i, q in enumerate([*questions()[:4], *_others(80), *_others(2, "img")])]
        _calibration_run(kit.top / "cal", rows)
        done = kit.submit("--calibrate-on", kit.top / "cal", "--calibration", "temperature")
        assert done.returncode == 0, done.stderr
        assert "4 rows of that run are submitted ones and were left out" in done.stdout
        assert "1 of its images are also asked about in the submission" in done.stdout
        assert "learnt from 82 rows" in done.stdout
        assert "unchecked: whether some of these rows are submitted to subtask 1" in done.stdout
        _task1(kit.top / "one", rows=[*_first(7), replace(rows[9], index=7)])
        done = kit.submit("--calibrate-on", kit.top / "cal", "--task1", kit.top / "one")
        assert done.returncode == 0, done.stderr
        assert "5 rows of that run are submitted ones" in done.stdout
        assert "unchecked" not in done.stdout

    def test_rows_of_another_complexity_are_left_out(self, kit: Kit) -> None:
        path = kit.top / "editions.toml"
        path.write_text(path.read_text(encoding="utf-8") + "complexity = 1\n", encoding="utf-8")
        rows = [replace(q, complexity=1 + q.index % 4 // 2) for q in _others(400)]
        _calibration_run(kit.top / "cal", rows)
        done = kit.submit("--calibrate-on", kit.top / "cal")
        assert "learnt from 200 rows" in done.stdout
        assert "200 rows of that run were left out, since the submission's are of complexity 1 only" in done.stdout
        _calibration_run(kit.top / "hard", [replace(q, complexity=2) for q in _others(400)])
        kit.refused("none of its rows that are not submitted is of complexity 1", "--calibrate-on", kit.top / "hard")

    def test_the_rows_of_subtask_1_are_submitted_too(self, kit: Kit) -> None:
        _task1(kit.top / "one")
        kit.refused("all of its rows are submitted ones", "--task1", kit.top / "one", "--calibrate-on", kit.top / "one")
        text = (kit.top / "editions.toml").read_text(encoding="utf-8")
        digest = rows_digest(_first(8), is_numbered=False)
        text = text.replace("rows = 8", f'rows = 8\nsha256 = "{digest}"')
        (kit.top / "editions.toml").write_text(text, encoding="utf-8")
        kit.refused("submitted to subtask 1 of Made Up 2031", "--calibrate-on", kit.top / "one")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rows": questions()}, "all of its rows are submitted ones"),
            ({"variant": "another"}, "the run is of another"),
            ({"manifest": {"complete": False}}, "the run is not finished"),
            ({"answer": lambda q: q.answer}, "all 400 answers are right"),
            ({"answer": lambda q: "two polyps"}, "all 400 answers are wrong"),
            ({"rows": [replace(q, answer=None, original=()) for q in _others(9)]}, "nothing can be learnt"),
        ],
    )
    def test_an_unfit_run_is_refused(self, kit: Kit, options: dict[str, Any], message: str) -> None:
        _calibration_run(kit.top / "cal", **options)
        kit.refused(message, "--calibrate-on", kit.top / "cal")

    def test_a_model_that_is_wrong_where_it_is_sure_has_no_temperature(self, kit: Kit) -> None:
        _calibration_run(kit.top / "cal", answer=lambda q: q.answer if q.index % 9 == 0 else "two polyps")
        kit.refused("no temperature fits", "--calibrate-on", kit.top / "cal", "--calibration", "temperature")

    def test_a_run_without_confidence_has_nothing_to_calibrate(self, kit: Kit) -> None:
        _calibration_run(kit.top / "cal")
        write_run(kit.top / "run", confidence=None)
        kit.refused("gives no confidence that could be calibrated", "--calibrate-on", kit.top / "cal")

    def test_an_unknown_method(self, kit: Kit) -> None:
        _calibration_run(kit.top / "cal")
        kit.refused("choose one of isotonic, temperature", "--calibrate-on", kit.top / "cal", "--calibration", "platt")

    def test_a_temperature_is_found_again(self, kit: Kit) -> None:
        """Answers that are right as often as a sharpened confidence says: the map gives back the frequencies."""
        rows = _others(800)
        shares = {0.9: 0.75, 0.6: 0.55}  # logits 2.197, 0.405; 1.099, 0.201: a temperature of 2
        value = lambda index: 0.9 if index % 2 else 0.6  # noqa: E731
        right = lambda index: (index // 2) % 100 < round(100 * shares[value(index)])  # noqa: E731
        _calibration_run(kit.top / "cal", rows, answer=lambda q: q.answer if right(q.index) else "two polyps")
        _set_confidence(kit.top / "cal", value)
        assert kit.submit("--calibrate-on", kit.top / "cal", "--calibration", "temperature").returncode == 0
        record = json.loads((kit.out / "gi-bench.json").read_text(encoding="utf-8"))["calibration"]
        assert record["parameters"]["temperature"] == pytest.approx(2.0, abs=0.02)
        assert record["ece_after"] < 0.01


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"explain": lambda q: None}, "12 of 12 rows have no explanation"),
            ({"explain": lambda q: " " if q.index == 3 else "x"}, "1 of 12 rows have no explanation (rows 3)"),
            ({"answer": lambda q: "" if q.index == 3 else "x"}, "1 of 12 questions have no answer (rows 3)"),
            ({"confidence": 7.0}, "confidence 7.0 of row 0"),
            ({"confidence": float("nan")}, "confidence nan of row 0"),
            ({"confidence": float("inf")}, "confidence inf of row 0"),
            ({"confidence": -0.5}, "confidence -0.5 of row 0"),
            ({"rows": questions()[:10]}, "has 10 questions, Made Up 2031 asks 12"),
            ({"rows": questions()[::-1]}, "not of the rows that Made Up 2031 asks"),
            ({"rows": [replace(q, question="else?") for q in questions()]}, "not of the rows"),
            ({"manifest": {"recipe": {"limit": 12}}}, "--limit 12"),
            ({"manifest": {"recipe": {"model": {"role": "ceiling"}}}}, "knows the references"),
        ],
    )
    def test_an_unfit_run_is_refused(self, kit: Kit, options: dict[str, Any], message: str) -> None:
        write_run(kit.top / "unfit", **options)
        kit.refused(message, run="unfit")

    def test_a_region_that_is_no_code_is_refused(self, kit: Kit) -> None:
        part = kit.top / "run" / "predictions" / "part-00000.parquet"
        bad = (Region("polyp", 48, 48, "\u00e9"),)
        write_part(part, [replace(p, regions=bad) if p.regions else p for p in read_predictions(part)])
        kit.refused("a run-length code with characters of no code")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("Country = ", "Land = "), "Land"),
            (('Country = "Norway"\n', ""), "Country"),
            (('"Norway"', '" "'), "Country is empty"),
            (('"ada@example.org"', '"nobody"'), "no e-mail address"),
        ],
    )
    def test_a_team_with_a_missing_or_unknown_field(self, kit: Kit, change: tuple[str, str], message: str) -> None:
        (kit.top / "team.toml").write_text(EXAMPLE.replace(*change), encoding="utf-8")
        kit.refused(message)

    def test_no_team_no_repository_no_edition(self, kit: Kit) -> None:
        kit.refused("--repo nowhere", "--repo", "nowhere")
        kit.refused("medico", "--edition", "medico2099")
        (kit.top / "team.toml").unlink()
        kit.refused("team.toml")

    def test_a_folder_of_another_submission_or_with_other_files(self, kit: Kit) -> None:
        assert kit.submit().returncode == 0
        record = kit.out / "gi-bench.json"
        text = record.read_text(encoding="utf-8")
        for there in (("made2031", "medico2025"), ("task2", "task1")):
            record.write_text(text.replace(f'"{there[0]}"', f'"{there[1]}"'), encoding="utf-8")
            kit.refused("the folder holds the submission to")
        record.write_text(text, encoding="utf-8")
        record.write_text("{}", encoding="utf-8")
        kit.refused("holds files that gi-bench did not write")
        record.write_text(text, encoding="utf-8")
        (kit.out / "mine.txt").write_text("x", encoding="utf-8")
        kit.refused("mine.txt is not gi-bench's")
        (kit.out / "mine.txt").unlink()
        (kit.out / "README.md").write_text("mine", encoding="utf-8")
        kit.refused("README.md was changed")

    def test_a_folder_that_cannot_be_written(self, kit: Kit) -> None:
        kit.refused("cannot write", "-o", kit.top / "team.toml" / "out")
        kit.refused("is no folder", "-o", kit.top / "team.toml")

    @pytest.mark.parametrize("key", ["visuals", "lines", "script"])
    @pytest.mark.parametrize("place", ["../elsewhere", "/tmp/gi-bench-elsewhere"])
    def test_names_that_lead_out_of_the_folder(self, kit: Kit, key: str, place: str) -> None:
        path = kit.top / "editions.toml"
        head, _, table = path.read_text(encoding="utf-8").rpartition("[editions.made2031.task2]")
        kept = [line for line in table.splitlines() if not line.startswith(f"{key} =")]
        changed = "\n".join([*kept, f'{key} = "{place}"'])
        path.write_text(f"{head}[editions.made2031.task2]{changed}\n", encoding="utf-8")
        kit.refused("a file name leads out of the folder")

    def test_an_edition_that_wants_what_no_run_has(self, kit: Kit) -> None:
        path = kit.top / "editions.toml"
        path.write_text(path.read_text(encoding="utf-8") + 'required = ["val_id", "safety"]\n', encoding="utf-8")
        kit.refused("wants safety in every row")

    def test_fields_that_an_edition_does_not_know_are_left_out(self, kit: Kit) -> None:
        path = kit.top / "editions.toml"
        path.write_text(path.read_text(encoding="utf-8") + 'optional = ["visual_explanation"]\n', encoding="utf-8")
        assert kit.submit().returncode == 0
        assert all("confidence_score" not in row for row in kit.rows())
        assert "asks for none" in kit.readme()


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


def test_two_at_once_do_not_write_one_folder(kit: Kit) -> None:
    with held_elsewhere(kit.top, f".out.lock{ENDING}"):
        kit.refused("writes out")
    assert kit.submit().returncode == 0
    before = _bytes(kit.out)
    with held_elsewhere(kit.top, f".out.lock{ENDING}"):
        kit.refused("another process")
    assert _bytes(kit.out) == before


def test_subtask_1_is_not_written_into_the_folder_of_subtask_2(kit: Kit) -> None:
    assert kit.submit().returncode == 0
    before = _bytes(kit.out)
    record = json.loads(before["gi-bench.json"])
    (kit.out / "gi-bench.json").write_text(json.dumps({**record, "task": "task1"}), encoding="utf-8")
    kit.refused("holds the submission to made2031, task1")
    (kit.out / "gi-bench.json").unlink()
    kit.refused("holds files that gi-bench did not write")
    for name in before:
        if name != "README.md":
            (kit.out / name).unlink(missing_ok=True)
    kit.refused("did not write (README.md)")


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
