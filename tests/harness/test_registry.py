from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gi_bench.harness.errors import GiBenchError, UnknownNameError
from gi_bench.harness.registry import load_plugin, load_suite, model_entry, registered

ROOT = Path(__file__).parents[2]


def _gi_bench(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    code = "from gi_bench.harness.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, **options)  # type: ignore[call-overload,no-any-return]


def test_our_own_entries_come_through_entry_points() -> None:
    models = registered("gi_bench.models")
    for name in (
        "vqa_only_r32", "vqa_only_r64", "vqa_only_r128", "multitask_r32", "multitask_r64", "multitask_r128",
        "multitask_r128_sam", "multitask_r128_neg", "florence2_zero_shot", "blind_constant", "blind_class_prior",
        "blind_question_prior",
    ):  # fmt: skip
        assert name in models
    for name, model in models.items():
        if name.startswith(("vqa_only", "multitask")):
            assert model.details["alpha"] == 2 * model.details["rank"]
    assert {"phantom/test", "kvasir-vqa-x1/test"} <= registered("gi_bench.suites").keys()
    assert {"bleu", "rougeL", "meteor", "region_iou"} <= registered("gi_bench.metrics").keys()
    assert {"report", "submit", "train"} <= registered("gi_bench.commands").keys()


def test_an_unknown_name_gives_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        model_entry("multitask_r12")
    assert "multitask_r128" in caught.value.line()
    with pytest.raises(UnknownNameError, match="unknown suite"):
        load_suite("fantom")


def test_the_short_name_of_a_suite_means_its_test_split() -> None:
    assert load_suite("phantom").name == "phantom/test"


def test_a_plugin_file_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("raise ValueError('first\\nsecond')")
    with pytest.raises(GiBenchError, match="plugin failed") as caught:
        load_plugin(bad)
    assert "\n" not in caught.value.line()
    bad.write_text("x = 1")
    with pytest.raises(GiBenchError, match="declares nothing"):
        load_plugin(bad)
    with pytest.raises(GiBenchError, match="not found"):
        load_plugin(tmp_path / "none.py")


def _their_package(project: Path) -> Path:
    """A package that registers a model, ready to be installed."""
    project.mkdir()
    (project / "pyproject.toml").write_text(
        textwrap.dedent(
            """
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "their-model"
            version = "1.0"
            [tool.setuptools]
            py-modules = ["their_model"]
            [project.entry-points."gi_bench.models"]
            theirs = "their_model:MODELS"
            """
        )
    )
    (project / "their_model.py").write_text(
        textwrap.dedent(
            """
            from gi_bench.harness.model import Answer
            from gi_bench.harness.registry import ModelEntry

            class Parrot:
                tasks = frozenset({"answer"})
                needs_image = True
                settings = {"kind": "parrot"}
                batch_size = 4
                def encode(self, images):
                    return [image.size for image in images]
                def answer(self, features, asks):
                    return [Answer(f"{ask.question} {size}") for size, ask in zip(features, asks)]
                def ground(self, features, asks):
                    raise AssertionError
                def explain(self, features, asks, answers):
                    raise AssertionError
                def close(self):
                    pass

            MODELS = [ModelEntry("parrot", "repeats the question", ("answer",), lambda context: Parrot())]
            """
        )
    )
    return project


def test_a_third_party_package_is_found_and_runs(tmp_path: Path) -> None:
    """A package as another team would write it: installed into a folder of its own, found by entry point."""
    project = _their_package(tmp_path / "project")
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
            "--disable-pip-version-check", "--target", str(site), str(project),
        ],
        check=True,
    )  # fmt: skip
    import os

    environment = {**os.environ, "PYTHONPATH": str(site)}
    listed = _gi_bench("models", "--json", env=environment)
    assert "parrot" in {model["name"] for model in json.loads(listed.stdout)}
    done = _gi_bench(
        "run", "--model", "parrot", "--suite", "phantom/validation", "--limit", "20", "--output",
        str(tmp_path / "runs"), "--device", "cpu", env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs" / "phantom-validation").glob("parrot-*")
    from gi_bench.harness.store import open_run

    run = open_run(folder)
    assert run.predictions["question", 0].answer == f"{run.questions[0].question} (256, 256)"
    assert run.scores.find("bleu") is not None
