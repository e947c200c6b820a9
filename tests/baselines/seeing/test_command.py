"""``gi-bench seeing``: what it prints, keeps, and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.baselines.seeing import asking
from gi_bench.baselines.seeing.asking import Request
from gi_bench.baselines.seeing.looking import Seen, Sight, read_seen
from gi_bench.harness.errors import ChangedError
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.command_line import CommandLine

MODEL = "vqa_only_r128"


@pytest.fixture(scope="module")
def suites() -> tuple[Suite, Suite]:
    return PhantomSuite("test", 16), PhantomSuite("train", 24)


@pytest.fixture
def few_images(suites: tuple[Suite, Suite], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_suites", lambda request: suites)


def test_what_was_found_is_told_kept_and_found_again(
    few_images: None, gi_bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("seeing", "-m", MODEL, "--limit", "10", "--beams", "1", "--device", "cpu", "-o", tmp_path)
    first = gi_bench(*call)
    assert first.returncode == 0, first.stderr
    for part in ("region, locations forced", "backbone", f"{MODEL}: the ", "nothing about real endoscopy"):
        assert part in first.stdout
    kept = sorted(tmp_path.glob("*.json"))
    assert [path.name.rpartition("-")[0] for path in kept] == ["florence2_zero_shot", MODEL]

    monkeypatch.setattr(Sight, "look", None)  # nothing is asked anew
    again = gi_bench(*call)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert f"{MODEL}: looked at before" in again.stderr
    document = gi_bench(*call, "--json")
    assert document.returncode == 0
    content = json.loads(document.stdout)
    assert {row["arm"] for row in content["rows"]} == {MODEL, "", "blind"}
    assert content["models"][0]["what_fell"] in first.stdout.replace("\n  ", " ")
    assert {"format", "words"} <= {one["part"] for one in content["models"][0]["readings"]}
    assert content["sample"]["test_images"] == 10
    assert set(content["by_finding"]) == {MODEL, ""}
    # Of so few images hardly a finding has enough with and without it, and that is said.
    assert "left out of the probes, with too few images" in content["notes"][-1]

    kept[1].write_text('{"words": {"value": "0.5"}}', encoding="utf-8")
    damaged = gi_bench(*call)
    assert damaged.returncode == 2
    assert "delete it, and it is made again" in damaged.stderr
    assert damaged.stderr.count("error") == 1


def test_other_samples_weights_and_decodings_are_other_files(
    few_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sight, "look", lambda self, model: Seen())
    first = Request((MODEL,), limit=10, beams=1)
    for request in (first, replace(first, limit=11), replace(first, beams=2), first):
        asking.ask_all(request, tmp_path)
    kept = list(tmp_path.glob(f"{MODEL}-*.json"))
    assert len(kept) == 3
    content = json.loads(kept[0].read_text(encoding="utf-8"))
    kept[0].write_text(json.dumps(content | {"words": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 9}}))
    with pytest.raises(ChangedError, match="changed after it was made"):
        read_seen(kept[0])
    del content["digest"]
    kept[0].write_text(json.dumps(content))
    assert read_seen(kept[0]) is None, "an earlier version's is looked at again"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-m", "multitask_r12"), "unknown model 'multitask_r12'"),
        (("-m", "blind_question_prior"), "blind_question_prior is no Florence-2"),
        (("-m", "oracle_facts"), "oracle_facts is no Florence-2"),
        (("-m", MODEL, "-m", "multitask_r32", "--checkpoint", "x"), "one checkpoint for several models"),
        (("-m", MODEL, "--checkpoint", "nowhere/at-all"), "nowhere/at-all"),
        (("-m", MODEL, "--backbone", "nowhere/at-all"), "for the backbone 'custom'"),
        (("-m", "florence2_zero_shot", "--backbone", "nowhere/at-all"), "nowhere/at-all"),
        (("-m", MODEL, "-s", "nothing"), "unknown suite 'nothing'"),
        (("-m", MODEL, "--train-suite", "nothing"), "unknown suite 'nothing'"),
        (("-m", MODEL, "--device", "tpu"), "unknown device"),
        (("-m", MODEL, "--dtype", "int8"), "unknown dtype"),
        (("-m", MODEL, "--limit", "9"), "--limit"),
        ((), "--model"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], told: str, gi_bench: CommandLine, tmp_path: Path
) -> None:
    gi_bench.offline(tmp_path / "hub")
    done = gi_bench("seeing", *arguments, "-o", tmp_path / "out", columns=200)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "out").exists()
    assert not done.stdout
