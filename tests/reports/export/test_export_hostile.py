"""Exports of hostile texts: nothing is lost, nothing becomes markup, and what has to be said is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from gi_bench.harness.store import open_run
from tests.reports.export.exported_runs import HOSTILE, TARGETS, exported, files_of, read_lm_eval


@pytest.mark.parametrize("to", TARGETS)
def test_what_has_to_be_said_is_said(hostile: Path, tmp_path: Path, to: str) -> None:
    text = b"".join(files_of(exported(hostile, to, tmp_path / "out")).values()).decode("utf-8")
    for told in ("artial run: only the first 6 questions", "eferences of 2 of 6 questions are hidden",
                 "mported predictions: gi-bench read them from the file"):  # fmt: skip
        assert told in text.replace("\\", ""), told


def test_hostile_texts_come_back_from_samples_as_they_are(hostile: Path, tmp_path: Path) -> None:
    results, samples = read_lm_eval(exported(hostile, "lm-eval", tmp_path / "lm"))
    answers = [open_run(hostile).predictions["question", index].answer for index in range(6)]
    assert [one["filtered_resps"][0] for one in samples] == answers
    assert [one["target"] for one in samples][2:4] == ["", ""]
    assert [one["doc"]["reference"] for one in samples] == ["known"] * 2 + ["hidden"] * 2 + ["known"] * 2
    assert "/" not in results["model_name_sanitized"]
    assert {path.parent.parent for path in (tmp_path / "lm").rglob("*.json*")} == {tmp_path / "lm"}
    folder = exported(hostile, "inspect", tmp_path / "inspect")
    from inspect_ai.log import read_eval_log

    (path,) = folder.iterdir()
    log = read_eval_log(path.as_posix())
    assert log.samples is not None
    assert [sample.output.completion for sample in log.samples] == answers
    assert [sample.target for sample in log.samples][2:4] == ["", ""]
    assert log.eval.config.limit == 6


def test_hostile_texts_are_no_markup_of_a_card(hostile: Path, tmp_path: Path) -> None:
    folder = exported(hostile, "hub", tmp_path, dataset_id="a/b", task_id="c")
    card = ModelCard.load(folder / "README.md")
    assert set(card.data.to_dict()) == {"language", "pipeline_tag", "datasets", "tags", "model-index"}
    assert card.data.model_name == f"../../{HOSTILE}"
    text = card.text.replace("<!-- written", "").replace("<details><summary>", "").replace("</summary>", "")
    for control in "\x1b\x00\u202e\u2028\x85\r":
        assert control not in text
    for line in text.splitlines():
        body = line.replace("\\<", "").replace("\\`", "").replace("\\[", "").replace("\\|", "")
        if line.startswith("|"):
            assert body.count("|") in (3, 7), line
        if "alert" in line and not line.startswith("    "):
            outside = "".join(body.split("`")[::2])
            assert "<script" not in outside, line
            assert "[x]" not in outside, line
    assert not [line for line in text.splitlines() if line.startswith(("- evil", "# h"))]
    content = yaml.safe_load((folder / ".eval_results" / "b_c.yaml").read_text(encoding="utf-8"))
    (entry,) = parse_eval_result_entries(content)
    assert (entry.dataset_id, entry.task_id) == ("a/b", "c")
    assert entry.notes is not None
    assert "\n" not in entry.notes
