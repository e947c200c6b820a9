"""The main job as a user runs it, on the embedded suite and on real data."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gi_bench.harness.schema import Scores
from gi_bench.harness.store import open_run
from tests.command_line import CommandLine
from tests.conftest import MadeOnce

ROOT = Path(__file__).parents[1]
BLIND = ("blind_constant", "blind_class_prior", "blind_question_prior")


def _arguments(output: Path, models: Sequence[str], options: Sequence[str]) -> list[str]:
    return ["run", *(word for name in models for word in ("--model", name)), *options, "--output", str(output),
            "--device", "cpu"]  # fmt: skip


def _process(output: Path, models: Sequence[str], *options: str) -> None:
    """In a process of its own, as a shell starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "gi_bench.harness.cli", *_arguments(output, models, options)],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def _run(gi_bench: CommandLine, output: Path, models: Sequence[str], *options: str) -> str:
    done = gi_bench(*_arguments(output, models, options))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def _scores(folder: Path, variant: str) -> Scores:
    (path,) = folder.glob(f"{variant}-????????")
    return open_run(path).scores


@pytest.fixture(scope="session")
def phantom(made_once: MadeOnce) -> Path:
    """Runs of the whole test split: those of ``make demo`` where GI_BENCH_DEMO names its folder, else made here."""
    if demo := os.environ.get("GI_BENCH_DEMO"):
        return ROOT / demo / "phantom-test"
    return made_once("phantom", lambda output: _process(output, (*BLIND, "multitask_r128"))) / "phantom-test"


@pytest.fixture(scope="session")
def trained_with_negatives(made_once: MadeOnce) -> Path:
    """Regions alone, on an eighth of the images: nobody looks at the answers of this variant here."""
    if demo := os.environ.get("GI_BENCH_DEMO"):
        return ROOT / demo / "phantom-test"
    options = ("--tasks", "ground", "--limit", "400")
    made = made_once("negatives", lambda output: _process(output, ("multitask_r128_neg",), *options))
    return made / "phantom-test"


@pytest.mark.parametrize("name", BLIND)
@pytest.mark.parametrize("metric", ["bleu", "rougeL", "fact_accuracy"])
def test_the_shipped_model_beats_the_blind_baselines(phantom: Path, name: str, metric: str) -> None:
    ours, blind = (_scores(phantom, one).find(metric) for one in ("multitask_r128", name))
    assert ours is not None
    assert blind is not None
    assert ours.n == blind.n
    assert ours.interval_low is not None
    assert blind.interval_high is not None
    assert ours.interval_low > blind.interval_high


def test_the_shipped_model_shows_polyps(phantom: Path) -> None:
    found = _scores(phantom, "multitask_r128").find("region_iou", "label", "polyp")
    assert found is not None
    assert found.value is not None
    assert found.value >= 0.2, "the mean mask of the training images has .07"
    assert found.n > 150


def test_negatives_in_training_end_the_false_alarms(phantom: Path, trained_with_negatives: Path) -> None:
    without = _scores(phantom, "multitask_r128").find("region_false_positive_rate")
    with_negatives = _scores(trained_with_negatives, "multitask_r128_neg").find("region_false_positive_rate")
    assert without is not None
    assert with_negatives is not None
    assert without.value is not None
    assert with_negatives.value is not None
    assert without.value > 0.9
    assert with_negatives.value < 0.1


def test_the_card_s_scores_are_those_of_the_shipped_weights(phantom: Path) -> None:
    card = json.loads((ROOT / "baselines/weights/multitask_r128-tiny/card.json").read_text())
    scores = _scores(phantom, "multitask_r128")
    assert card["scores"]["fingerprint"] == scores.fingerprint
    for row in card["scores"]["rows"]:
        slice_by = "all" if row["slice"] == "all" else "label"
        found = scores.find(row["metric"], slice_by, row["slice"])
        assert found is not None
        # Other processors may round differently in a few rows.
        assert found.value == pytest.approx(row["value"], abs=0.005), row


def test_every_score_has_its_n_and_every_metric_its_definition(phantom: Path) -> None:
    scores = _scores(phantom, "multitask_r128")
    defined = {info.name for info in scores.metrics}
    assert {score.metric for score in scores.scores} == defined
    assert all(info.definition and info.source for info in scores.metrics)
    assert all(score.n > 0 and score.image_count > 0 for score in scores.scores if score.value is not None)
    assert {score.slice_by for score in scores.scores} == {"all", "question_class", "complexity", "label", "finding"}
    assert len({s.slice_value for s in scores.scores if s.slice_by == "question_class"}) == 18
    assert "bertscore" in scores.not_computed


def test_the_report_is_there_and_nothing_that_was_not_asked_for(phantom: Path) -> None:
    assert (phantom / "report.html").stat().st_size > 100_000
    (path,) = phantom.glob("multitask_r128-????????")
    assert not (path / "submission").exists()


def _bytes(folder: Path) -> dict[str, str]:
    files = [*sorted((folder / "predictions").iterdir()), folder / "scores.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_lost_part_is_made_again_byte_for_byte(gi_bench: CommandLine, tmp_path: Path) -> None:
    options = ("--suite", "phantom/validation", "--limit", "400", "--beams", "1")
    _run(gi_bench, tmp_path, ("multitask_r32",), *options)
    (folder,) = (tmp_path / "phantom-validation").glob("multitask_r32-????????")
    before = _bytes(folder)
    assert len(before) >= 4
    (folder / "predictions" / "part-00001.parquet").unlink()
    (folder / "scores.json").unlink()
    _run(gi_bench, tmp_path, ("multitask_r32",), *options)
    assert _bytes(folder) == before


def test_another_batch_size_gives_the_same_texts_and_regions(gi_bench: CommandLine, tmp_path: Path) -> None:
    options = ("--suite", "phantom/validation", "--limit", "60")
    found = []
    for size in ("3", "50"):
        _run(gi_bench, tmp_path / size, ("multitask_r32",), *options, "--batch-size", size)
        (folder,) = (tmp_path / size / "phantom-validation").glob("multitask_r32-????????")
        predictions = open_run(folder).predictions.values()
        found.append([(p.answer, p.explanation, [r.counts for r in p.regions or ()]) for p in predictions])
    assert found[0] == found[1]


def test_real_images_end_to_end(gi_bench: CommandLine, shared: Path, tmp_path: Path) -> None:
    """313 real images, real masks, 846 phrases, 65 real frames without a polyp; the tiny weights score badly."""
    data = str(shared / "data" / "real")
    options = ("--suite", "kvasir-vqa-x1/test", "--data", data, "--backbone", "tiny", "--beams", "1")
    models = ("blind_class_prior", "multitask_r128")
    text = _run(gi_bench, tmp_path, models, *options, "--train-suite", "kvasir-vqa-x1/test")
    folder = tmp_path / "kvasir-vqa-x1-test"
    assert "not comparable with published numbers" in " ".join(text.split())
    scores = _scores(folder, "multitask_r128")
    assert scores.find("bleu").n == 1183  # type: ignore[union-attr]
    assert scores.find("region_iou", "label", "polyp").n == 846  # type: ignore[union-attr]
    alarms = scores.find("region_false_positive_rate")
    assert alarms is not None
    # A reply without a location is no denial: the rate rests on the others, and says how many it left out.
    left_out = sum(n for name, n in scores.counts.items() if name.startswith("region_false_positive_rate: "))
    assert alarms.n + left_out == 65
    assert alarms.n > 50
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") >= 24


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=()
            if name == "blind_question_prior"
            else pytest.mark.slow(reason="one blind variant is quick enough"),
        )
        for name in BLIND
    ],
)
def test_blind_variants_run_over_all_real_rows_without_images(
    gi_bench: CommandLine, shared: Path, tmp_path: Path, name: str
) -> None:
    data = str(shared / "data" / "kvasir-vqa-x1")
    options = ("--suite", "kvasir-vqa-x1/test", "--data", data, "--train-suite", "kvasir-vqa-x1/test")
    _run(gi_bench, tmp_path, (name,), *options)
    found = _scores(tmp_path / "kvasir-vqa-x1-test", name).find("bleu")
    assert found is not None
    assert found.n == 15_955
    assert found.image_count == 4058
