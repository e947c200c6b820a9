"""What the terminal shows of scores: one table with a row a run, or all metrics; and what machines are given."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gi_bench.harness import cli
from gi_bench.harness.analysis.families import FIRST
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.summary import score_lines
from gi_bench.harness.commands.run import COMMAND
from gi_bench.harness.schema import MetricInfo, Score, Scores
from tests.command_line import CommandLine
from tests.run_folders import write_run


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    run = write_run(
        tmp_path_factory.mktemp("runs") / "run",
        explain=lambda q: f"A smooth, shiny bump rises from the wall: {q.answer}",
    )
    return score_run(run, resamples=20)


def _rows(lines: list[str], names: list[str]) -> dict[str, list[str]]:
    return {name: line.split()[1:] for name in names for line in lines if line.split()[:1] == [name]}


def test_the_table_has_a_row_a_run_and_says_how_many_more_metrics_there_are(scores: Scores) -> None:
    lines = score_lines([scores])
    (row,) = [line.split() for line in lines if line.startswith("tested ")]
    values = {name: scores.find(name) for name in FIRST}
    shown = [one for one in values.values() if one is not None and one.value is not None]
    assert len(row) == 1 + len(shown) == 7, "of the seven one is not computed: the confidence is constant"
    assert row[1:] == [f"{one.value:.3f}".replace("0.", ".") for one in shown if one.value is not None]
    assert any(f"{len(scores.metrics) - 6} more metrics" in line for line in lines)
    assert max(map(len, lines)) <= 80
    everything = score_lines([scores], everything=True)
    assert len([line for line in everything if line.startswith("  tested")]) == len(scores.metrics)
    assert not any("more metrics" in line for line in everything)


def _many(scores: Scores, count: int, name: str) -> list[Scores]:
    return [replace(scores, variant=f"{name}{i}", recipe_digest=f"{i:08x}") for i in range(count)]


@pytest.mark.parametrize("width", [4, 20, 30, 40, 50, 70])
def test_seven_runs_fit_80_columns_whatever_they_are_called(scores: Scores, width: int) -> None:
    runs = _many(scores, 7, "m" * (width - 1))
    lines = score_lines(runs)
    assert max(map(len, lines)) <= 80
    told = " ".join(" ".join(lines).split())
    assert len(lines) < 50
    rows = [line for line in lines if line.startswith("mmm")]
    blocks = len(rows) // 7
    assert len(rows) == 7 * blocks
    assert blocks == (1 if width <= 26 else 2 if width >= 40 else blocks)
    firsts = [row.split()[0] for row in rows[:7]]
    assert len(set(firsts)) == 7, "each keeps a name of its own"
    assert "BLEU" in told
    assert told.count("+/-") == blocks
    assert "\x1b" not in told


def test_runs_of_other_limits_or_suites_share_no_table(scores: Scores) -> None:
    part = replace(scores, variant="part", counts={**scores.counts, "questions": 5})
    other = replace(scores, variant="other", suite="other/test", fingerprint="e" * 64)
    lines = score_lines([scores, part, other])
    titles = [line for line in lines if "fingerprint" in line]
    assert [line.split(",")[0] for line in titles] == ["made/test", "made/test", "other/test"]
    assert ", 5 questions" in titles[1]
    assert len([line for line in lines if line.startswith("run ")]) == 3
    whole = [line for line in score_lines([scores, part], everything=True) if "fingerprint" in line]
    assert len(whole) == 2


def test_runs_of_one_variant_are_told_apart(scores: Scores) -> None:
    first, second = replace(scores, recipe_digest="a" * 64), replace(scores, recipe_digest="b" * 64)
    lines = score_lines([first, second, second])
    assert {"tested-aaaaaaaa", "tested-bbbbbbbb"} <= {line.split()[0] for line in lines if line.strip()}
    assert any(line.startswith("tested-bbbbbbbb (2)") for line in lines)


def test_reasons_name_their_run_and_are_short(scores: Scores) -> None:
    reason = "takes no part: 2 of 12 regions state or deny something (10 not given); 10 repeat the answer"
    without = replace(
        scores,
        variant="other",
        metrics=tuple(info for info in scores.metrics if info.name not in ("region_iou", "bleu")),
        scores=tuple(one for one in scores.scores if one.metric not in ("region_iou", "bleu")),
        not_computed={**scores.not_computed, "region_iou": reason, "bleu": reason, "meteor": "x" * 500},
        notes=("only here",),
    )
    lines = score_lines([scores, without])
    (line,) = [line for line in _joined(lines) if line.startswith("not computed for other")]
    assert line == "not computed for other: BLEU, IoU (takes no part: 2 of 12 regions)"
    assert "note on other: only here" in lines
    assert not any("x" * 50 in line for line in lines), "what is not in the table is behind --all"
    (line,) = [line for line in _joined(lines) if line.startswith("not computed for any run")]
    assert "AUROC of confidence" in line
    assert _rows(lines, ["other"])["other"][:3] == ["-", "1.000", "-"]


def _joined(lines: list[str]) -> list[str]:
    """Wrapped lines put together again."""
    made: list[str] = []
    for line in lines:
        if line.startswith("  ") and made:
            made[-1] += " " + line.strip()
        else:
            made.append(line)
    return made


def test_what_a_plugin_measures_is_in_the_table(scores: Scores) -> None:
    info = MetricInfo("mine", "my own measure of goodness", "d", "s", high=50.0, higher_is_better=False)
    with_mine = replace(
        scores, metrics=(*scores.metrics, info), scores=(*scores.scores, Score("mine", "all", "all", 12.34, 5, 5))
    )
    lines = score_lines([with_mine])
    assert next(line for line in lines if line.startswith("tested ")).split()[-1] == "12.3"
    assert any(line.startswith("lower is better: ") and "my own measure of goodness" in line for line in _joined(lines))
    many = [replace(info, name=f"mine{i}") for i in range(20)]
    more = replace(
        scores,
        metrics=(*scores.metrics, *many),
        scores=(*scores.scores, *(Score(one.name, "all", "all", 1.0, 5, 5) for one in many)),
    )
    lines = score_lines([more])
    assert max(map(len, lines)) <= 80
    assert sum(len(line.split()) - 1 for line in lines if line.startswith("tested ")) == 10


def test_a_score_without_a_value_says_so(scores: Scores) -> None:
    empty = replace(
        scores,
        scores=tuple(replace(one, value=None, n=0) if one.metric == "bleu" else one for one in scores.scores),
    )
    assert "not computed for tested: BLEU (no value, n 0)" in _joined(score_lines([empty]))


def test_a_metric_of_a_plugin_is_shown() -> None:
    assert MetricInfo("mine", "mine", "d", "s").headline


def test_run_prints_all_metrics_where_asked(
    scores: Scores, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gi_bench.harness.engine.run

    finished = [SimpleNamespace(scores=scores, path=Path("runs/s/run"), seconds=1.0)]
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
    assert printed[()].splitlines()[-1] == "run: runs/s/run"
    assert "\nDice\n" in printed["--all",]


def test_run_gives_one_document_of_json(
    scores: Scores, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gi_bench.harness.engine.run

    def evaluate(*given: object, say: Callable[[str], None], **more: object) -> list[SimpleNamespace]:
        say("progress")
        return [SimpleNamespace(scores=scores, path=Path("runs/s/run"), seconds=1.25)]

    monkeypatch.setattr(gi_bench.harness.engine.run, "evaluate", evaluate)
    made = [("submit with", "gi-bench submit"), ("report", Path("runs/s/report.html"))]
    monkeypatch.setattr(sys.modules[COMMAND.app.__module__], "_after_run", lambda paths: made)
    assert cli._main(["run", "-m", "blind_constant", "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == "progress\n"
    content = json.loads(told.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(content) == {"runs", "report", "made"}
    assert content["report"] == "runs/s/report.html"
    assert content["made"][0] == {"what": "submit with", "path": "gi-bench submit"}
    (run,) = content["runs"]
    assert (run["path"], run["seconds"], run["variant"], run["suite"]) == ("runs/s/run", 1.25, "tested", "made/test")
    found = scores.find("bleu")
    assert found is not None
    assert run["scores"]["bleu"]["value"] == found.value
    assert run["scores"]["bleu"]["interval_low"] == found.interval_low
    assert run["not_computed"] == dict(scores.not_computed)


def test_score_and_report_give_json(gi_bench: CommandLine, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "run")
    done = gi_bench("score", run, "--resamples", 20, "--json")
    assert done.returncode == 0
    (scored,) = json.loads(done.stdout)["runs"]
    assert scored["path"] == str(run)
    assert scored["scores"]["exact_match"]["value"] == 1.0
    page = tmp_path / "page.html"
    done = gi_bench("report", run, "-o", page, "--json")
    assert json.loads(done.stdout) == {"report": str(page), "runs": [str(run)]}
    assert page.is_file()
    again = gi_bench("report", *page.parent.glob("runs/*"), "-o", page, "--json")
    assert json.loads(again.stdout)["runs"] == [str(run)]
    assert "left out" in again.stderr
    for command in (("score", tmp_path / "none", "--json"), ("report", tmp_path / "none", "--json")):
        failed = gi_bench(*command)
        assert (failed.returncode, failed.stdout) == (2, "")
        assert len(failed.stderr.strip().splitlines()) == 1


def test_what_is_wrong_with_a_file_is_json_too(gi_bench: CommandLine, tmp_path: Path) -> None:
    given = tmp_path / "answers.csv"
    given.write_text("index,answer\n0,a polyp\n0,two polyps\n", encoding="utf-8")
    plain = gi_bench("score", "--check", "--predictions", given, "-s", "phantom/validation", "--partial")
    done = gi_bench("score", "--check", "--predictions", given, "-s", "phantom/validation", "--partial", "--json")
    assert done.returncode == plain.returncode == 2
    (one,) = json.loads(done.stdout)["files"]
    assert one["path"] == str(given)
    assert one["problems"] == plain.stdout.splitlines()[:-1] != []
