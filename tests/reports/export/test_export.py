"""Exports: what other tools read of a run, checked by their own readers and types."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Question
from gi_bench.harness.store import Run, open_run
from gi_bench.reports.export.command import Target, export_run
from gi_bench.reports.export.rows import row_scores
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run

TARGETS = [target.value for target in Target]
HOSTILE = (
    "\x1b[2J\x00a\u202eb\u2028c\x85\"'|`*_[x](javascript:alert(1))<script>alert(1)</script>\n---\n"
    "- evil: {{7*7}}\r\n# h"
)


def _answer(question: Question) -> str | None:
    """Right, wrong, empty and not there."""
    return {1: "one polyp", 3: "", 5: None}.get(question.index, question.answer)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = write_run(tmp_path_factory.mktemp("export") / "run", answer=_answer)
    score_run(run, resamples=20)
    return run


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of a model and of a manifest as nobody should write them, some hidden references, cut short."""
    rows = [
        replace(
            row, answer=None if row.index in (2, 3) else row.answer, img_id=HOSTILE if row.index < 2 else row.img_id
        )
        for row in questions(6)
    ]
    texts = {0: HOSTILE, 1: "x" * 100_000, 4: "\U0001f600" * 3}
    run = write_run(
        tmp_path_factory.mktemp("hostile") / "run",
        rows=rows,
        shown=[],
        answer=lambda q: texts.get(q.index, "no"),
        explain=lambda q: HOSTILE,
        manifest={
            "suite_note": HOSTILE,
            "recipe": {
                "variant": f"../../{HOSTILE}",
                "suite": f"made/{HOSTILE}",
                "limit": 6,
                "model": {HOSTILE: HOSTILE, "kind": "predictions of a file", "file": HOSTILE, "sha256": "ab"},
            },
        },
    )
    score_run(run, resamples=0)
    return run


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _exported(run: Path, to: str, folder: Path, **options: str) -> Path:
    if to == "inspect":
        pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'gi-bench[inspect]'")
    export_run(run, Target(to), folder, **options)
    return folder


def _results(card: Path) -> list[EvalResult]:
    name, found = model_index_to_eval_results(yaml.safe_load(card.read_text().split("---\n")[1])["model-index"])
    assert name
    return list(found)


def test_a_card_holds_the_scores_as_the_hub_reads_them(made: Path, tmp_path: Path) -> None:
    card = _exported(made, "hub", tmp_path) / "README.md"
    run = open_run(made)
    found = {one.metric_type: one for one in _results(card)}
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
    folder = _exported(made, "hub", tmp_path, dataset_id="SimulaMet/Kvasir-VQA-x1", task_id="answers", **options)
    assert set(_files(folder)) == {"README.md", ".eval_results/Kvasir-VQA-x1_answers.yaml"}
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
    assert _results(folder / "README.md")[0].dataset_type == "SimulaMet/Kvasir-VQA-x1"


@pytest.mark.parametrize(
    ("to", "options", "told"),
    [
        ("hub", ["--task-id", "a"], "a task belongs to a data set"),
        ("hub", ["--metric", "bleu"], "a metric is chosen for a leaderboard"),
        ("hub", ["--dataset-id", "no-owner"], "not the id of a data set"),
        ("hub", ["--dataset-id", "a/../../b", "--task-id", "a"], "not the id of a data set"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "../a"], "not the id of a task"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "a\n- x"], "not the id of a task"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "a", "--metric", "blue"], "did you mean bleu"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "a", "--metric", "bleurt"], "the run has no bleurt"),
        ("lm-eval", ["--task-id", "a"], "--task-id is for the Hub"),
        ("inspect", ["--dataset-id", "a/b"], "--dataset-id is for the Hub"),
        ("paper", [], "'paper' is not one of"),
    ],
)
def test_wrong_options_are_one_line(
    gi_bench: CommandLine, made: Path, tmp_path: Path, to: str, options: list[str], told: str
) -> None:
    done = gi_bench("export", made, "--to", to, "-o", tmp_path / "out", *options, columns=200)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


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
    folder = _exported(made, "inspect", tmp_path)
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


def _lm_eval(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    (results,), (samples,) = folder.glob("*/results_*.json"), folder.glob("*/samples_*.jsonl")
    assert samples.parent == results.parent
    lines = samples.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert len(samples.read_text(encoding="utf-8").splitlines()) == len(lines)
    return json.loads(results.read_text(encoding="utf-8")), [json.loads(line) for line in lines]


def test_samples_and_results_are_laid_out_as_lm_eval_does(made: Path, tmp_path: Path) -> None:
    folder = _exported(made, "lm-eval", tmp_path)
    assert set(_files(folder)) == {
        "tested/results_2026-01-01T00-00-00.000000.json",
        "tested/samples_made_test_2026-01-01T00-00-00.000000.jsonl",
    }
    results, samples = _lm_eval(folder)
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

    results, samples = _lm_eval(_exported(request.getfixturevalue(name), "lm-eval", tmp_path))
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
    first = _files(_exported(made, to, tmp_path / "a"))
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(made, copy)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert _files(_exported(copy, to, tmp_path / "b")) == first
    assert first
    # Over itself, again and again, and beside what is somebody else's.
    (tmp_path / "b" / "weights.bin").write_bytes(b"x")
    assert _files(_exported(copy, to, tmp_path / "b")) == {**first, "weights.bin": b"x"}


@pytest.mark.parametrize("to", TARGETS)
def test_files_of_others_stay(made: Path, tmp_path: Path, to: str) -> None:
    options = {"dataset_id": "a/b", "task_id": "c"} if to == "hub" else {}
    names = list(_files(_exported(made, to, tmp_path / "first", **options)))
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        (folder / name).parent.mkdir(parents=True)
        for content in ("mine\n", '{"eval": {}}', '{"gi_bench": 3}', "[]", "---\nlicense: mit\n---\n# mine"):
            (folder / name).write_text(content)
            with pytest.raises(GiBenchError, match="no file of this kind that gi-bench wrote"):
                export_run(made, Target(to), folder, **options)
            assert _files(folder) == {name: content.encode()}
        if name.endswith(".jsonl"):
            shutil.copy(tmp_path / "first" / names[1 - number], folder / names[1 - number])
            for content in (
                "[1]\n",
                '{"doc_hash": 1}\n',
                "",
                '{"doc_hash": "a", "prompt_hash": "b", "target_hash": "c"}',
            ):
                (folder / name).write_text(content + "\n")
                with pytest.raises(GiBenchError, match="no file of this kind that gi-bench wrote"):
                    export_run(made, Target(to), folder, **options)
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "first" / names[-1])
        with pytest.raises(GiBenchError, match="the output is a link"):
            export_run(made, Target(to), folder, **options)
    (tmp_path / "file").write_text("x")
    with pytest.raises(GiBenchError, match="is no folder"):
        export_run(made, Target(to), tmp_path / "file", **options)


def test_a_card_that_somebody_went_on_writing_stays(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    card = _exported(made, "hub", tmp_path) / "README.md"
    card.write_text(card.read_text() + "\nTrained with care.\n")
    before = card.read_bytes()
    done = gi_bench("export", made, "--to", "hub", "-o", tmp_path)
    assert done.returncode == 2
    assert card.read_bytes() == before
    # One of ours, of other scores, is replaced.
    shutil.copytree(made, tmp_path / "copy")
    _exported(made, "hub", tmp_path / "card")
    score_run(tmp_path / "copy", resamples=0)
    assert _files(_exported(tmp_path / "copy", "hub", tmp_path / "card")) != {"README.md": before}


def test_an_export_that_cannot_be_written_leaves_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / ".eval_results").write_text("a file where a folder has to be")
    with pytest.raises(GiBenchError):
        export_run(made, Target.HUB, tmp_path, dataset_id="a/b", task_id="c")
    assert set(_files(tmp_path)) == {".eval_results"}


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
    assert "NaN" not in b"".join(_files(tmp_path / "out").values()).decode()


def _changed(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    content = json.loads((folder / "scores.json").read_text())
    content["scores"][0]["value"] = 0.99
    (folder / "scores.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("to", TARGETS)
def test_changed_runs_are_refused_or_said(made: Path, tmp_path: Path, to: str, gi_bench: CommandLine) -> None:
    run = _changed(made, tmp_path / "changed")
    if to == "inspect":
        pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'gi-bench[inspect]'")
    done = gi_bench("export", run, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "the scores were changed after they were made" in done.stderr
    assert not (tmp_path / "out").exists()
    done = gi_bench("export", run, "--to", to, "-o", tmp_path / "out", "--accept-changed")
    assert done.returncode == 0, done.stderr
    text = b"".join(_files(tmp_path / "out").values()).decode()
    assert "accepted with" in text


@pytest.mark.parametrize("to", TARGETS)
def test_what_has_to_be_said_is_said(hostile: Path, tmp_path: Path, to: str) -> None:
    text = b"".join(_files(_exported(hostile, to, tmp_path / "out")).values()).decode("utf-8")
    for told in ("artial run: only the first 6 questions", "eferences of 2 of 6 questions are hidden",
                 "mported predictions: gi-bench read them from the file"):  # fmt: skip
        assert told in text.replace("\\", ""), told


def test_hostile_texts_come_back_from_samples_as_they_are(hostile: Path, tmp_path: Path) -> None:
    results, samples = _lm_eval(_exported(hostile, "lm-eval", tmp_path / "lm"))
    answers = [open_run(hostile).predictions["question", index].answer for index in range(6)]
    assert [one["filtered_resps"][0] for one in samples] == answers
    assert [one["target"] for one in samples][2:4] == ["", ""]
    assert [one["doc"]["reference"] for one in samples] == ["known"] * 2 + ["hidden"] * 2 + ["known"] * 2
    assert "/" not in results["model_name_sanitized"]
    assert {path.parent.parent for path in (tmp_path / "lm").rglob("*.json*")} == {tmp_path / "lm"}
    folder = _exported(hostile, "inspect", tmp_path / "inspect")
    from inspect_ai.log import read_eval_log

    (path,) = folder.iterdir()
    log = read_eval_log(path.as_posix())
    assert log.samples is not None
    assert [sample.output.completion for sample in log.samples] == answers
    assert [sample.target for sample in log.samples][2:4] == ["", ""]
    assert log.eval.config.limit == 6


def test_hostile_texts_are_no_markup_of_a_card(hostile: Path, tmp_path: Path) -> None:
    folder = _exported(hostile, "hub", tmp_path, dataset_id="a/b", task_id="c")
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


def test_a_package_that_is_missing_is_one_line(
    made: Path, tmp_path: Path, gi_bench: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [one for one in sys.modules if one.partition(".")[0] == "inspect_ai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    done = gi_bench("export", made, "--to", "inspect", "-o", tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "pip install 'gi-bench[inspect]'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("change", ["no scores", "no run", "no date"])
def test_runs_that_cannot_be_exported_are_one_line(
    made: Path, tmp_path: Path, to: str, change: str, gi_bench: CommandLine
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made, run)
    if change == "no date":
        content = json.loads((run / "manifest.json").read_text())
        (run / "manifest.json").write_text(json.dumps({**content, "created": "yesterday"}))
    else:
        (run / ("scores.json" if change == "no scores" else "manifest.json")).unlink()
    done = gi_bench("export", run, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_run_of_phrases_alone_is_for_the_hub(tmp_path: Path, gi_bench: CommandLine) -> None:
    run = write_run(tmp_path / "run", rows=[])
    score_run(run, resamples=0)
    done = gi_bench("export", run, "--to", "lm-eval", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "asks no question" in done.stderr
    assert "region_iou" in {one.metric_type for one in _results(_exported(run, "hub", tmp_path / "out") / "README.md")}


def test_a_card_does_not_change_the_name_of_a_run(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    changed = _changed(made, tmp_path / "changed")
    done = gi_bench("export", changed, "--to", "hub", "-o", tmp_path / "out", "--accept-changed")
    assert done.returncode == 0, done.stderr
    name = open_run(made).variant
    said = [line for line in (tmp_path / "out" / "README.md").read_text().splitlines() if "accepted with" in line]
    assert said
    assert all(line.startswith(f"- {name}: the scores were changed") for line in said)
