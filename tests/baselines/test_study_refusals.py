"""Studies that end before anything is trained: wrong files and commands, errors, two at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.baselines.studies.running import make_runs
from gi_bench.baselines.studies.settings import Settings
from gi_bench.baselines.studies.workshop import Workshop
from gi_bench.harness.errors import GiBenchError
from tests.baselines.small_studies import SETTINGS, Small, write_explanations


@pytest.mark.parametrize("study", ["rank-sweep", "sam", "explanations"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\x00", "is not UTF-8"),
        (b"rank,steps\n1,2\n", "a line that is not JSON"),
        (b'{"img_id": "no-such", "question": "q", "explanation": "e"}\n', "is not in the training suite"),
        (b"\n", "the file holds no explanations"),
        (None, "explains none of the 3 images"),
    ],
)
def test_wrong_explanations_are_refused_before_anything_is_trained(
    study: str,
    content: bytes | None,
    message: str,
    few_images: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where no arm of the study takes them."""
    from gi_bench.harness.cli import _main

    file = tmp_path / "experts.jsonl"
    if content is None:
        suite = Small("train", 5)
        write_explanations(file, [row for row in suite.questions if row.img_id == suite.image_ids[4]])
    else:
        file.write_bytes(content)
    out = tmp_path / "out"
    assert (
        _main(["study", study, "--steps", "1", "--train-limit", "3", "--explanations", str(file), "-o", str(out)]) == 2
    )
    assert message in capsys.readouterr().err
    assert not list(out.glob("*/adapters"))


def test_an_error_in_one_process_ends_them_all(tmp_path: Path) -> None:
    import time

    settings = Settings("phantom/no-such", "phantom/train-small", epochs=None, steps=1, device="cpu")
    start = time.monotonic()
    arms = ["multitask_r128", "multitask_r32", "vqa_only_r32"]
    with pytest.raises(GiBenchError, match="unknown suite"):
        make_runs(arms, [0, 1], settings, tmp_path, jobs=2, say=lambda line: None)
    assert time.monotonic() - start < 300
    assert not list((tmp_path / "adapters").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rank"], "did you mean rank-sweep?"),
        (["sam", "--seeds", "0"], "see gi-bench study --help"),
        (["sam", "-s", "phantom/tests"], "unknown suite"),
        (["sam", "--arms", "multitask_r18"], "did you mean multitask_r128 or"),
        (["sam", "--arms", ", "], "no arm is named (--arms)"),
        (["explanations", "--arms", "explanations_file"], "give --explanations FILE"),
        (["sam", "--limit", "0"], "--limit"),
        (["sam", "--explanations", "no-such.jsonl"], "no file with explanations (no-such.jsonl)"),
    ],
)
def test_wrong_commands_are_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from gi_bench.harness.cli import _main

    assert _main(["study", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_suite_without_references_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = Small("test", 3)
    hidden.questions = tuple(replace(row, answer=None) for row in hidden.questions)  # type: ignore[misc]
    hidden.phrases = ()  # type: ignore[misc]
    monkeypatch.setattr(Workshop, "_load", lambda self, name: hidden)
    with pytest.raises(GiBenchError, match="no references to score by"):
        make_runs(["multitask_r128"], [0], SETTINGS, tmp_path, say=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_products_are_reproducible_before_the_first_training(
    few_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed study did first must not show in its last digits: the libraries are told once, at the start."""
    from gi_bench.baselines.studies import running

    told: list[str] = []
    monkeypatch.setattr(running, "use_threads", lambda wanted=None: told.append(f"threads {wanted}"))
    monkeypatch.setattr(running, "_check", lambda workshop, arms: told.append("work"))
    monkeypatch.setattr(running, "Thread", lambda **_: threading.Thread(target=lambda: None))
    monkeypatch.setattr(running, "estimate", lambda *_: (_ for _ in ()).throw(GiBenchError("enough")))
    with pytest.raises(GiBenchError, match="enough"):
        make_runs(["vqa_only_r32"], [0], SETTINGS, tmp_path, say=lambda line: None)
    monkeypatch.setattr(running, "_workshop", None)
    running._start(SETTINGS, tmp_path, 1)
    assert told == ["threads None", "work", "threads 1"]


def test_a_file_that_is_no_study_is_kept_and_nothing_is_trained(
    few_images: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main

    asked = ["study", "confidence", "--steps", "1", "--seeds", "1", "--device", "cpu", "-o", str(tmp_path)]
    folder = Settings("phantom/test", "phantom/train-small", epochs=None, steps=1, device="cpu").folder(tmp_path)
    (folder / "confidence").mkdir(parents=True)
    (folder / "confidence" / "study.json").write_text("notes", encoding="utf-8")
    assert _main(asked) == 2
    assert "move it away: the study writes its own there" in capsys.readouterr().err
    assert (folder / "confidence" / "study.json").read_text(encoding="utf-8") == "notes"
    assert not (folder / "adapters").exists()


def test_seeds_are_needed(tmp_path: Path) -> None:
    with pytest.raises(GiBenchError, match="needs seeds"):
        make_runs(["multitask_r128"], [], SETTINGS, tmp_path)


def test_two_at_once_do_not_work_on_one_study(
    few_images: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main
    from tests.locked import held_elsewhere

    with held_elsewhere(SETTINGS.folder(tmp_path)):
        code = _main(
            [
                "study",
                "confidence",
                "--steps",
                "1",
                "--beams",
                "1",
                "--device",
                "cpu",
                "--no-seeing",
                "-o",
                str(tmp_path),
            ]
        )
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (2, 1)
    assert "is working on these studies" in told
    assert not list(tmp_path.rglob("adapters"))
