"""Exports: what other tools read of a run, checked by their own readers and types."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.store import Run, open_run
from gi_bench.reports.export.rows import row_scores
from tests.command_line import CommandLine
from tests.reports.export.exported_runs import TARGETS, card_results, exported, files_of, read_lm_eval
from tests.run_folders import write_run


def test_a_card_holds_the_scores_as_the_hub_reads_them(made: Path, tmp_path: Path) -> None:
    card = exported(made, "hub", tmp_path) / "README.md"
    run = open_run(made)
    found = {one.metric_type: one for one in card_results(card)}
    assert {"bleu", "rougeL", "fact_accuracy", "region_iou"} <= set(found)
    for name, one in found.items():
        score = run.scores.find(name)
        assert score is not None
        assert score.value is not None
        assert one.metric_value == round(score.value, 4)
        assert one.metric_args is not None
        assert (one.metric_args["n"], one.metric_args["fingerprint"]) == (score.n, run.fingerprint)
        assert one.dataset_type == "made/test"
        is_region = name.startswith("region_")
        assert one.task_type == ("image-segmentation" if is_region else "visual-question-answering")
    read = ModelCard.load(card)
    assert read.data.model_name == "tested"
    assert [one.metric_type for one in read.data.eval_results] == list(found)
    assert f"| BLEU | {found['bleu'].metric_value:.4f} |" in read.text
    assert "Made for tests." in read.text


@pytest.mark.parametrize("metric", [None, "rougeL"])
def test_a_leaderboard_gets_one_number(made: Path, tmp_path: Path, metric: str | None) -> None:
    options = {} if metric is None else {"metric": metric}
    folder = exported(made, "hub", tmp_path, dataset_id="SimulaMet/Kvasir-VQA-x1", task_id="answers", **options)
    assert set(files_of(folder)) == {"README.md", ".eval_results/Kvasir-VQA-x1_answers.yaml"}
    content = yaml.safe_load((folder / ".eval_results" / "Kvasir-VQA-x1_answers.yaml").read_text())
    (entry,) = parse_eval_result_entries(content)
    score = open_run(made).scores.find(metric or "bleu")
    assert score is not None
    assert score.value is not None
    assert (entry.dataset_id, entry.task_id) == ("SimulaMet/Kvasir-VQA-x1", "answers")
    assert entry.value == round(score.value, 4)
    assert entry.date == "2026-01-01T00:00:00Z"
    assert entry.notes is not None
    assert f"n {score.n}" in entry.notes
    assert "fingerprint ffffffffffffffff" in entry.notes
    assert "made for tests" in entry.notes
    assert card_results(folder / "README.md")[0].dataset_type == "SimulaMet/Kvasir-VQA-x1"


def test_rows_add_up_to_the_stored_scores(made: Path) -> None:
    run = open_run(made)
    found, others = row_scores(run)
    assert others == ()
    for name in ("rougeL", "meteor", "exact_match", "explanation_rougeL", "answer_false_negative_rate"):
        values = [row[name] for row in found.values() if name in row]
        score = run.scores.find(name)
        assert score is not None
        assert len(values) == score.n
        assert sum(values) / len(values) == pytest.approx(score.value, abs=1e-12)
    # Each row is scored as if it were alone.
    for index in (0, 1, 3):
        alone = score_run(run.restricted(frozenset({("question", index)})), resamples=0, write=False)
        for name in ("bleu", "rougeL", "fact_accuracy", "chrf", "exact_match"):
            score = alone.find(name)
            assert (score and score.value) == found[index].get(name), (index, name)
    # What ranks or bins has no value of one row.
    assert not {name for row in found.values() for name in row if "auroc" in name or "ece" in name}


def test_rows_of_other_predictions_are_left_out_and_named(made: Path) -> None:
    run = open_run(made)
    changed = {key: replace(one, answer="none") for key, one in run.predictions.items()}
    other = Run(made)
    other.__dict__.update(scores=run.scores, predictions=changed)
    found, others = row_scores(other)
    assert {"bleu", "rougeL"} <= set(others)
    assert not any("bleu" in row for row in found.values())


def test_a_log_of_inspect_comes_back_whole(made: Path, tmp_path: Path) -> None:
    folder = exported(made, "inspect", tmp_path)
    from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

    (info,) = list_eval_logs(folder.as_posix())
    log, run = read_eval_log(info), open_run(made)
    rows, _ = row_scores(run)
    assert (log.status, log.eval.task, log.eval.model) == ("success", "made/test", "gi-bench/tested")
    assert log.eval.created == "2026-01-01T00:00:00+00:00"
    assert log.eval.metadata is not None
    assert "made for tests" in log.eval.metadata["notes"]
    assert log.samples is not None
    for sample, question in zip(log.samples, run.questions, strict=True):
        said = run.predictions["question", question.index]
        assert (sample.id, sample.input, sample.target) == (question.index, question.question, question.answer)
        assert sample.output.completion == (said.answer or "")
        assert {name: one.value for name, one in (sample.scores or {}).items()} == rows[question.index]
        # The viewer's column of answers is that of the first score.
        assert next((name, one.answer) for name, one in (sample.scores or {}).items()) == ("bleu", said.answer)
        assert sample.metadata["question_class"] == list(question.question_class)
        assert (sample.metadata["complexity"], sample.metadata["img_id"]) == (1, question.img_id)
    assert log.results is not None
    stored = {one.metric: one for one in run.scores.scores if one.slice_by == "all" and one.value is not None}
    assert {one.name for one in log.results.scores} == set(stored)
    for one in log.results.scores:
        score, metric = stored[one.name], one.metrics["value"]
        assert metric.value == score.value
        assert metric.metadata is not None
        told = (metric.metadata["n"], metric.metadata["interval_low"], metric.metadata["interval_high"])
        assert told == (score.n, score.interval_low, score.interval_high)
    assert len(read_eval_log_sample_summaries(info)) == len(run.questions)


def test_samples_and_results_are_laid_out_as_lm_eval_does(made: Path, tmp_path: Path) -> None:
    folder = exported(made, "lm-eval", tmp_path)
    assert set(files_of(folder)) == {
        "tested/results_2026-01-01T00-00-00.000000.json",
        "tested/samples_made_test_2026-01-01T00-00-00.000000.jsonl",
    }
    results, samples = read_lm_eval(folder)
    run = open_run(made)
    rows, _ = row_scores(run)
    (bleu,) = [one for one in run.scores.scores if (one.metric, one.slice_by) == ("bleu", "all")]
    assert results["results"]["made_test"]["bleu,none"] == bleu.value
    assert results["n-samples"] == {"made_test": {"original": 12, "effective": 12}}
    assert results["model_name_sanitized"] == "tested"
    assert "made for tests" in results["gi_bench"]["notes"]
    hashes = "".join(one["doc_hash"] + one["prompt_hash"] + one["target_hash"] for one in samples)
    assert results["task_hashes"]["made_test"] == hashlib.sha256(hashes.encode()).hexdigest()
    for sample, question in zip(samples, run.questions, strict=True):
        said = run.predictions["question", question.index].answer or ""
        assert (sample["doc_id"], sample["target"]) == (question.index, question.answer)
        assert sample["filtered_resps"] == [said]
        assert sample["resps"] == [[said]]
        assert sample["arguments"]["gen_args_0"]["arg_0"] == question.question
        assert {name: sample[name] for name in sample["metrics"]} == rows[question.index]


@pytest.mark.parametrize("name", ["made", "hostile"])
def test_lm_eval_takes_the_files_for_its_own(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    schema = pytest.importorskip(
        "lm_eval.result_schema", reason="lm-eval is not installed: pip install --no-deps lm-eval"
    )
    from pydantic import ConfigDict, TypeAdapter

    results, samples = read_lm_eval(exported(request.getfixturevalue(name), "lm-eval", tmp_path))
    strict = ConfigDict(strict=True)
    for kind in (schema.SampleResult, schema.EvalResults):
        kind.__pydantic_config__ = strict
    read = TypeAdapter(list[schema.SampleResult])
    assert len(read.validate_python(samples)) == len(samples)
    known = set(schema.EvalResults.__annotations__) | {"gi_bench"}
    assert set(results) <= known
    TypeAdapter(schema.EvalResults).validate_python({key: one for key, one in results.items() if key in known})
    fixed = set(schema.SampleResult.__annotations__)
    for sample in samples:
        assert set(sample) == fixed | set(sample["metrics"])
        assert all(isinstance(sample[metric], float) for metric in sample["metrics"])


@pytest.mark.parametrize("to", TARGETS)
def test_the_same_run_gives_the_same_bytes(
    made: Path, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = files_of(exported(made, to, tmp_path / "a"))
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(made, copy)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert files_of(exported(copy, to, tmp_path / "b")) == first
    assert first
    # Over itself, again and again, and beside what is somebody else's.
    (tmp_path / "b" / "weights.bin").write_bytes(b"x")
    assert files_of(exported(copy, to, tmp_path / "b")) == {**first, "weights.bin": b"x"}


@pytest.mark.parametrize("to", TARGETS)
def test_numbers_that_are_none_do_not_break(made: Path, tmp_path: Path, to: str, gi_bench: CommandLine) -> None:
    if to == "inspect":
        pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'gi-bench[inspect]'")
    shutil.copytree(made, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "scores.json").read_text())
    for score, value in zip(content["scores"], (float("nan"), float("inf")), strict=False):
        score["value"] = score["interval_low"] = value
    (tmp_path / "run" / "scores.json").write_text(json.dumps(content))
    done = gi_bench("export", tmp_path / "run", "--to", to, "-o", tmp_path / "out", "--accept-changed")
    assert done.returncode in (0, 2), done.stderr
    assert "NaN" not in b"".join(files_of(tmp_path / "out").values()).decode()


def test_a_run_of_phrases_alone_is_for_the_hub(tmp_path: Path, gi_bench: CommandLine) -> None:
    run = write_run(tmp_path / "run", rows=[])
    score_run(run, resamples=0)
    done = gi_bench("export", run, "--to", "lm-eval", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "asks no question" in done.stderr
    assert "region_iou" in {
        one.metric_type for one in card_results(exported(run, "hub", tmp_path / "out") / "README.md")
    }
