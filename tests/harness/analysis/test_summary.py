"""What the terminal shows of scores: ten metrics, or all."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gi_bench.harness import cli
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.summary import score_lines
from gi_bench.harness.commands.run import COMMAND
from gi_bench.harness.schema import MetricInfo, Scores
from tests.run_folders import write_run


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    run = write_run(
        tmp_path_factory.mktemp("runs") / "run",
        explain=lambda q: f"A smooth, shiny bump rises from the wall: {q.answer}",
    )
    return score_run(run, resamples=20)


def test_the_headline_is_short_and_says_how_many_more_there_are(scores: Scores) -> None:
    lines = score_lines([scores])
    shown = [line for line in lines if line.startswith("  tested")]
    assert len(shown) == 9, "the tenth is not computed: the confidence is constant"
    assert {"BLEU", "IoU"} <= set(lines)
    assert not {"Dice", "METEOR", "specificity of answers"} & set(lines)
    assert any(f"{len(scores.metrics) - 9} more metrics" in line for line in lines)
    everything = score_lines([scores], everything=True)
    assert len([line for line in everything if line.startswith("  tested")]) == len(scores.metrics)
    assert not any("more metrics" in line for line in everything)


def test_a_metric_of_a_plugin_is_shown() -> None:
    assert MetricInfo("mine", "mine", "d", "s").headline


def test_run_prints_all_metrics_where_asked(
    scores: Scores, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gi_bench.harness.engine.run

    finished = [SimpleNamespace(scores=scores, path=Path("run"))]
    monkeypatch.setattr(gi_bench.harness.engine.run, "evaluate", lambda *a, **k: finished)
    command = sys.modules[COMMAND.app.__module__]
    monkeypatch.setattr(command, "_after_run", lambda paths: [])
    monkeypatch.setattr(command, "_bounds", lambda paths: [])
    printed = {}
    for options in ((), ("--all",)):
        with pytest.raises(SystemExit) as left:
            cli.main(["run", "-m", "blind_constant", *options])
        assert left.value.code == 0
        printed[options] = capsys.readouterr().out
    assert "\nDice\n" not in printed[()]
    assert "\nDice\n" in printed["--all",]
