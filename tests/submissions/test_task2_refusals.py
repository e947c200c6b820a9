"""What the folder of subtask 2 is not made of, and the folders that stay as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gi_bench.harness.placing import ENDING
from gi_bench.harness.schema import Region
from gi_bench.harness.store import read_predictions, write_part
from gi_bench.submissions.info import EXAMPLE
from tests.locked import held_elsewhere
from tests.run_folders import questions, write_run
from tests.submissions.task2_kit import Kit, contents


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


def test_two_at_once_do_not_write_one_folder(kit: Kit) -> None:
    with held_elsewhere(kit.top, f".out.lock{ENDING}"):
        kit.refused("writes out")
    assert kit.submit().returncode == 0
    before = contents(kit.out)
    with held_elsewhere(kit.top, f".out.lock{ENDING}"):
        kit.refused("another process")
    assert contents(kit.out) == before


def test_subtask_1_is_not_written_into_the_folder_of_subtask_2(kit: Kit) -> None:
    assert kit.submit().returncode == 0
    before = contents(kit.out)
    record = json.loads(before["gi-bench.json"])
    (kit.out / "gi-bench.json").write_text(json.dumps({**record, "task": "task1"}), encoding="utf-8")
    kit.refused("holds the submission to made2031, task1")
    (kit.out / "gi-bench.json").unlink()
    kit.refused("holds files that gi-bench did not write")
    for name in before:
        if name != "README.md":
            (kit.out / name).unlink(missing_ok=True)
    kit.refused("did not write (README.md)")
