"""Rows that both subtasks ask: subtask 1 decides, differences are counted, unfit runs are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.run_folders import questions, write_run
from tests.submissions.task2_kit import Kit, rows_of_task1, write_task1


class TestAgreement:
    def test_answers_that_are_the_same_stay(self, kit: Kit) -> None:
        write_task1(kit.top / "one")
        done = kit.submit("--task1", kit.top / "one")
        assert done.returncode == 0, done.stderr
        assert "4 rows are asked by subtask 1 too, and have its answers" in done.stdout
        assert "answered differently" not in done.stdout
        assert "--task1 one" in kit.readme()

    def test_subtask_1_decides_and_the_difference_is_counted(self, kit: Kit) -> None:
        write_task1(kit.top / "one", answer=lambda q: "nine polyps" if q.index in (0, 3) else q.answer, confidence=0.25)
        done = kit.submit("--task1", kit.top / "one")
        rows = kit.rows()
        assert [row["val_id"] for row in rows if row["answer"] == "nine polyps"] == [4, 7]
        assert [row["val_id"] for row in rows if row["confidence_score"] == 0.25] == [4, 7]
        for said in (done.stdout, kit.readme()):
            assert "2 of them were answered differently" in said
            assert "(val_id 4, 7)" in said

    def test_any_of_several_answers_of_subtask_1_is_right(self, kit: Kit) -> None:
        rows = rows_of_task1(8)
        rows = [*rows[:7], replace(rows[0], index=7)]
        write_task1(kit.top / "one", rows=rows, answer=lambda q: "another" if q.index == 0 else q.answer)
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
            ({"rows": rows_of_task1(7)}, "has 7 questions, Made Up 2031 asks 8"),
            ({"answer": lambda q: None}, "8 of 8 questions have no answer"),
        ],
    )
    def test_an_unfit_run_is_refused(self, kit: Kit, options: dict[str, Any], message: str) -> None:
        write_task1(kit.top / "one", **options)
        kit.refused(message, "--task1", kit.top / "one")

    def test_the_name_of_a_backbone_is_not_its_weights(self, kit: Kit) -> None:
        for name, place in (("run", "base"), ("one", "/home/me/base")):
            model = {"backbone": place, "backbone_digest": "b" * 64, "decoding": {"beams": 3}}
            manifest = {"recipe": {"model": model}}
            (write_task1 if name == "one" else write_run)(kit.top / name, manifest=manifest)
        assert kit.submit("--task1", kit.top / "one").returncode == 0
        model = {"backbone": "base", "backbone_digest": "c" * 64, "decoding": {"beams": 3}}
        write_task1(kit.top / "other", manifest={"recipe": {"model": model}})
        kit.refused("its backbone digest is cccccccccccccccc...", "--task1", kit.top / "other")

    def test_of_files_the_name_is_all_that_is_known(self, kit: Kit) -> None:
        for name, make in (("run", write_run), ("one", write_task1)):
            model = {"kind": "predictions of a file", "file": f"/home/me/{name}.json", "sha256": name}
            make(kit.top / name, manifest={"recipe": {"model": model}})
        done = kit.submit("--task1", kit.top / "one")
        assert done.returncode == 0, done.stderr
        assert "both are files of predictions" in done.stdout
        assert "gi-bench score run.json -s made/test" in kit.readme()
