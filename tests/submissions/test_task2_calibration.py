"""The calibrated confidence of subtask 2: learnt from other rows, recorded, and refused without any to learn from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.schema import AtomicPair, Question
from gi_bench.harness.suites.specs import rows_digest
from tests.run_folders import questions, write_run
from tests.submissions.task2_kit import Kit, rows_of_task1, set_confidence, write_task1


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
    set_confidence(folder, lambda index: 0.6 if index % 2 else 0.9)
    return folder


class TestCalibration:
    @pytest.mark.parametrize("method", ["isotonic", "temperature"])
    def test_it_is_learnt_from_other_rows_and_recorded(self, kit: Kit, method: str) -> None:
        _calibration_run(kit.top / "cal")
        set_confidence(kit.top / "run", lambda index: 0.9 if index % 2 == 0 else 0.6)
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
        write_task1(kit.top / "one", rows=[*rows_of_task1(7), replace(rows[9], index=7)])
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
        write_task1(kit.top / "one")
        kit.refused("all of its rows are submitted ones", "--task1", kit.top / "one", "--calibrate-on", kit.top / "one")
        text = (kit.top / "editions.toml").read_text(encoding="utf-8")
        digest = rows_digest(rows_of_task1(8), is_numbered=False)
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
        set_confidence(kit.top / "cal", value)
        assert kit.submit("--calibrate-on", kit.top / "cal", "--calibration", "temperature").returncode == 0
        record = json.loads((kit.out / "gi-bench.json").read_text(encoding="utf-8"))["calibration"]
        assert record["parameters"]["temperature"] == pytest.approx(2.0, abs=0.02)
        assert record["ece_after"] < 0.01
