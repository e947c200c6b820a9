"""Experts' ratings: files that are refused, means by hand, agreement and correlation against libraries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.review import CRITERIA, RATING_COLUMNS, read_key, score_review
from gi_bench.harness.analysis.review.agreement import agreements, alpha_value, coincidences, kappa_value, pair_tables
from gi_bench.harness.analysis.review.correlation import spearman, weighted_rho
from gi_bench.harness.analysis.review.key import write_key
from gi_bench.harness.analysis.review.ratings import Ratings
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.metrics.explanations import row_scores
from gi_bench.harness.schema import Question
from gi_bench.harness.statistics import Bootstrap
from gi_bench.harness.store import open_run
from gi_bench.reports.review.sheet import write_explanation_sheet
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run

Rate = Any
BOOTSTRAP = Bootstrap(200, 0)


def _explained(q: Question) -> str:
    return f"A red bump on the left wall, row {q.index}." if q.index % 3 else "Nothing is raised here."


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """The key of a sheet of two runs, twelve questions of six images each."""
    first = write_run(tmp_path / "runs" / "first", variant="model-a", explain=_explained)
    second = write_run(tmp_path / "runs" / "second", variant="model-b", explain=lambda q: "The mucosa is smooth.")
    return write_explanation_sheet([first, second], tmp_path / "sheet.html").key


def _csv(key_path: Path, path: Path, rate: Rate, rater: str = "Anna", **changes: str) -> Path:
    """Ratings of every item: ``rate(item)`` gives three, None where one is missing."""
    key = read_key(key_path)
    lines = [",".join(RATING_COLUMNS)]
    for one in key.items:
        given = ["" if value is None else str(value) for value in rate(one)]
        lines.append(",".join([changes.get("sheet", key.sheet), rater, str(one.item), *given, ""]))
    path.write_bytes("\r\n".join(lines).encode() + b"\r\n")
    return path


def test_means_and_differences_are_those_made_by_hand(sheet: Path, tmp_path: Path) -> None:
    def anna(one: Any) -> list[int | None]:
        return [4 if one.run == 0 else 2, 1 + one.row % 5, None if one.row == 3 else 3]

    def ben(one: Any) -> list[int | None]:
        return [5 if one.run == 0 else 2, 1 + one.row % 5, None]

    found = score_review([_csv(sheet, tmp_path / "a.csv", anna), _csv(sheet, tmp_path / "b.csv", ben, "Ben")], sheet)
    assert found.runs == ("model-a", "model-b")
    scores = {(m.run, m.score.metric, m.score.slice_value): m.score for m in found.means}
    assert (scores["model-a", "correctness", "all"].value, scores["model-b", "correctness", "all"].value) == (4.5, 2.0)
    by_hand = [1 + row % 5 for row in range(12)]
    assert scores["model-a", "completeness", "all"].value == pytest.approx(np.mean(by_hand))
    of_polyps = scores["model-b", "completeness", "polyp_count"]
    assert of_polyps.value == pytest.approx(np.mean(by_hand[::2]))
    assert (of_polyps.n, of_polyps.image_count) == (6, 6)
    assert scores["model-a", "faithfulness", "all"].n == 11
    spread = scores["model-a", "completeness", "all"]
    assert 1 <= spread.interval_low < spread.value < spread.interval_high <= 5
    # Where nothing differs, rows of another kind may exist that were not drawn.
    same = scores["model-b", "correctness", "all"]
    assert 1 <= same.interval_low < 2
    gaps = {one.criterion: one for one in found.differences}
    assert (gaps["correctness"].difference, gaps["completeness"].difference) == (2.5, 0.0)
    assert (gaps["correctness"].n, gaps["correctness"].images) == (12, 6)
    # Six images that all point one way: 2 of 64 swaps are as extreme; three differences are tested.
    assert gaps["correctness"].p == pytest.approx(2 / 64)
    assert gaps["correctness"].adjusted == pytest.approx(6 / 64)
    assert gaps["completeness"].p == 1.0
    assert {one.name: one.missing for one in found.raters} == {
        "Anna": {"correctness": 0, "completeness": 0, "faithfulness": 2},
        "Ben": {"correctness": 0, "completeness": 0, "faithfulness": 24},
    }
    assert any("Ben: ratings are missing: 24 of faithfulness; of 24 items" in note for note in found.notes)
    one = found.items[0]
    assert one.ratings["Ben"]["faithfulness"] is None
    assert one.ratings["Anna"]["correctness"] == (4 if one.run == "model-a" else 2)
    assert one.img_id == f"img{one.row // 2}"


def _random_ratings(seed: int, raters: int, items: int) -> Ratings:
    random = np.random.default_rng(seed)
    truth = random.integers(1, 6, size=(1, items, len(CRITERIA)))
    values = np.clip(truth + random.integers(-1, 2, size=(raters, items, len(CRITERIA))), 1, 5).astype(float)
    values[random.random(values.shape) < 0.1] = np.nan
    return Ratings(tuple(f"rater {i}" for i in range(raters)), values, {})


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_that_of_the_libraries(seed: int) -> None:
    krippendorff = pytest.importorskip("krippendorff", reason="krippendorff is not installed (gi-bench[review])")
    from sklearn.metrics import cohen_kappa_score

    ratings = _random_ratings(seed, 3, 40)
    images = [f"img{i // 2}" for i in range(40)]
    found = list(agreements(ratings, images, BOOTSTRAP))
    assert len(found) == len(CRITERIA) * (3 + 1)
    for column, criterion in enumerate(CRITERIA):
        values = ratings.values[:, :, column]
        both = np.isfinite(values[:2]).all(axis=0)
        kappa = cohen_kappa_score(*values[:2, both].astype(int), labels=[1, 2, 3, 4, 5], weights="quadratic")
        ours = next(one for one in found if one.criterion == criterion and one.raters == ("rater 0", "rater 1"))
        assert (ours.value, ours.n) == (pytest.approx(kappa), both.sum())
        assert kappa_value(pair_tables(values[:2, both]).sum(axis=0)) == pytest.approx(kappa)
        alpha = krippendorff.alpha(values, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
        ours = next(one for one in found if one.criterion == criterion and one.measure == "Krippendorff's alpha")
        assert ours.value == pytest.approx(alpha)
        paired = np.isfinite(values).sum(axis=0) >= 2
        assert alpha_value(coincidences(values[:, paired]).sum(axis=0)) == pytest.approx(alpha)
        assert ours.low < alpha < ours.high < 1


def test_agreement_that_has_no_value_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [f"img{i}" for i in range(8)]
    equal = Ratings(("a", "b"), np.full((2, 8, 3), 4.0), {})
    assert {one.reason for one in agreements(equal, images, BOOTSTRAP)} <= {
        "all ratings are equal",
        "needs the package krippendorff: pip install 'gi-bench[review]'",
    }
    assert all(one.value is None for one in agreements(equal, images, BOOTSTRAP))
    apart = Ratings(("a", "b"), np.full((2, 8, 3), 4.0), {})
    apart.values[0, :4], apart.values[1, 4:] = np.nan, np.nan
    reasons = [one.reason for one in agreements(apart, images, BOOTSTRAP)]
    assert set(reasons) == {"no item was rated by both", "no item was rated by two"}
    assert list(agreements(Ratings(("a",), np.ones((1, 8, 3)), {}), images, BOOTSTRAP)) == []
    # By hand: two raters, one apart by one step of four in one of two items.
    monkeypatch.setitem(__import__("sys").modules, "krippendorff", None)
    missing = [one for one in agreements(_random_ratings(0, 2, 20), images * 3, BOOTSTRAP) if one.value is None]
    assert {one.reason for one in missing} == {"needs the package krippendorff: pip install 'gi-bench[review]'"}


@pytest.mark.parametrize("seed", range(4))
def test_correlation_is_that_of_scipy(seed: int) -> None:
    from scipy.stats import spearmanr

    random = np.random.default_rng(seed)
    ratings = random.integers(1, 6, size=30).astype(float)
    other = np.round(ratings / 5 + random.normal(size=30), 1)
    images = [f"img{i // 3}" for i in range(30)]
    value, bounds, reason = spearman(ratings, other, images, BOOTSTRAP)
    assert (value, reason) == (pytest.approx(spearmanr(ratings, other).statistic), "")
    assert -1 <= bounds[0] < value < bounds[1] <= 1
    # An image drawn twice counts as its rows written twice.
    weights = random.integers(0, 3, size=10).astype(float)
    rows = np.repeat(np.arange(30), np.repeat(weights, 3).astype(int))
    drawn = weighted_rho(ratings, other, np.arange(30) // 3)(weights[None, :])
    assert drawn[0] == pytest.approx(spearmanr(ratings[rows], other[rows]).statistic)


def test_correlation_needs_items_and_differences() -> None:
    four, five = np.arange(4.0), np.arange(5.0)
    assert spearman(four, four, ["a"] * 4, BOOTSTRAP) == (None, None, "fewer than 5 items")
    assert spearman(np.ones(5), five, ["a"] * 5, BOOTSTRAP) == (None, None, "all ratings are equal")
    assert spearman(five, np.ones(5), ["a"] * 5, BOOTSTRAP) == (None, None, "all values are equal")
    value, bounds, _ = spearman(five, five, ["a"] * 5, BOOTSTRAP)  # one image: a value, no interval
    assert (value, bounds) == (pytest.approx(1.0), None)


def test_ratings_are_held_against_confidence_by_class_and_against_the_rules(tmp_path: Path) -> None:
    from scipy.stats import spearmanr

    rows = questions(40)
    run = write_run(tmp_path / "run", rows=rows, explain=_explained)
    predictions = open_run(run).predictions
    confidence = {q.index: ((q.index * 7) % 40) / 40 for q in rows}
    from gi_bench.harness import files, store

    made = [replace(p, confidence=confidence[p.index]) if p.kind == "question" else p for p in predictions.values()]
    store.write_part(run / "predictions" / "part-00000.parquet", made)
    key = write_explanation_sheet([run], tmp_path / "sheet.html").key
    assert files.read_json(key)["stratify"] == "question_class"
    rate = {q.index: 1 + (q.index * 3) % 5 for q in rows}
    found = score_review([_csv(key, tmp_path / "a.csv", lambda one: [rate[one.row]] * 3)], key)
    ours = {(c.measure, c.slice_value): c for c in found.correlations if c.criterion == "correctness"}
    assert {"all", "polyp_count", "instrument_count"} == {name for measure, name in ours if measure == "confidence"}
    for name, kept in (("all", rows), ("polyp_count", rows[::2])):
        wanted = spearmanr([rate[q.index] for q in kept], [confidence[q.index] for q in kept]).statistic
        assert ours["confidence", name].value == pytest.approx(wanted)
        assert ours["confidence", name].n == len(kept)
    scores = row_scores(open_run(run), rows)["explanation_attributes"]
    assert (scores[1], scores[0]) == (3, 1)  # colour, location and shape; "raised"
    wanted = spearmanr([rate[i] for i in sorted(scores)], [scores[i] for i in sorted(scores)]).statistic
    assert ours["explanation_attributes", "all"].value == pytest.approx(wanted)
    assert ours["answer_right", "all"].reason == "all values are equal"
    assert not [measure for measure, _ in ours if measure.startswith("judge")]


def test_a_kept_judge_is_correlated(sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.harness.analysis.review import correlation

    monkeypatch.setattr(
        correlation, "kept_verdicts", lambda run, rows: {"judge_clarity": {q.index: q.index / 12 for q in rows}}
    )
    found = score_review([_csv(sheet, tmp_path / "a.csv", lambda one: [1 + one.row * 5 // 12] * 3)], sheet)
    ours = [c for c in found.correlations if c.measure == "judge_clarity"]
    assert len(ours) == 6
    assert all(c.value is not None and c.value > 0.9 for c in ours)


def test_verdicts_are_read_from_the_cache_alone(tmp_path: Path) -> None:
    from gi_bench.harness.analysis.scoring import score_run
    from gi_bench.harness.language_model import ask, replies
    from gi_bench.harness.metric_settings import MetricSettings
    from gi_bench.harness.metrics import judge

    run = open_run(write_run(tmp_path / "run", explain=lambda q: f"A bump, row {q.index}."))
    score_run(run.path, resamples=0)
    assert not any(judge.kept_verdicts(open_run(run.path), run.questions).values()), "no judge is named"

    class Told:
        name = "tiny judge"

        def reply(self, messages: Any, attempt: int) -> str:
            return json.dumps(dict.fromkeys(judge.CRITERIA, 7))

    cache = replies(MetricSettings().cache_folder() / "judge")
    for question in run.questions[:5]:
        messages = judge.messages_for(question, run.predictions["question", question.index])
        assert ask(Told(), messages, cache, lambda text: True)
    info = replace(judge.METRICS[0].info, definition=f"Rated. Judge: tiny judge, prompt {judge.PROMPT_DIGEST}.")
    again = open_run(run.path)
    again.__dict__["scores"] = replace(run.scores, metrics=(info,))
    kept = judge.kept_verdicts(again, run.questions)
    assert kept["judge_clarity"] == {q.index: 0.7 for q in run.questions[:5]}


def _broken(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: _broken(t, ",Anna,1,3,", ",Anna,1,6,"), "correctness is '6', and a rating is a whole number"),
        (lambda t: _broken(t, ",Anna,1,3,", ",Anna,1,0,"), "correctness is '0'"),
        (lambda t: _broken(t, ",Anna,1,3,", ",Anna,1,-3,"), "correctness is '-3'"),
        (lambda t: _broken(t, ",Anna,1,3,", ",Anna,1,3.5,"), "correctness is '3.5'"),
        (lambda t: _broken(t, ",Anna,1,3,", ",Anna,1,four,"), "correctness is 'four'"),
        (lambda t: _broken(t, ",Anna,2,", ",Anna,1,"), "item 1 of rater 'Anna' is there twice"),
        (lambda t: _broken(t, ",Anna,2,", ",Anna,25,"), "unknown item '25': the sheet has the items 1 to 24"),
        (lambda t: _broken(t, ",Anna,2,", ",Anna,,"), "unknown item ''"),
        (lambda t: _broken(t, "item", "number"), "no column item"),
        (lambda t: _broken(t, "comment", "remark"), "unknown key 'remark'"),
        (lambda t: t.splitlines()[0] + "\r\n", "no rating in what was given"),
        (lambda t: t.replace(",3,3,3,\n", ",,,,\n"), "no rating in what was given"),
        (lambda t: t[: len(t) // 2].rsplit(",", 1)[0], "fewer fields than the head"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(
    sheet: Path, tmp_path: Path, gi_bench: CommandLine, change: Any, told: str
) -> None:
    path = _csv(sheet, tmp_path / "a.csv", lambda one: [3, 3, 3])
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8", newline="")
    done = gi_bench("review", "score", path, "--key", sheet, "-o", tmp_path / "out.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


def test_ratings_of_another_sheet_and_two_people_of_one_name_are_refused(
    sheet: Path, tmp_path: Path, gi_bench: CommandLine
) -> None:
    other = _csv(sheet, tmp_path / "other.csv", lambda one: [3, 3, 3], sheet="0" * 64)
    done = gi_bench("review", "score", other, "--key", sheet)
    assert (done.returncode, "ratings of another sheet: 0000" in done.stderr) == (2, True)
    twins = [_csv(sheet, tmp_path / f"{name}.csv", lambda one: [3, 3, 3]) for name in ("a", "b")]
    done = gi_bench("review", "score", *twins, "--key", sheet)
    assert (done.returncode, "is there twice" in done.stderr) == (2, True)


def test_what_excel_saved_is_read(sheet: Path, tmp_path: Path) -> None:
    plain = _csv(sheet, tmp_path / "plain.csv", lambda one: [1 + one.item % 5, 2, None])
    wanted = score_review([plain], sheet)
    text = plain.read_text(encoding="utf-8")
    for name, content in (
        ("bom.csv", b"\xef\xbb\xbf" + text.encode()),
        ("semicolons.csv", text.replace(",", ";").encode("utf-8-sig") + b";;;;;;\r\n"),
        ("tabs.csv", text.replace(",", "\t").encode("utf-16")),
        ("decimals.csv", text.replace(",2,,", ';"2,0";;').replace(",", ";").replace('"2;0"', '"2,0"').encode()),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert score_review([path], sheet).means == wanted.means, name


def test_a_rater_without_a_name_is_called_after_the_file(sheet: Path, tmp_path: Path) -> None:
    paths = [_csv(sheet, tmp_path / f"{name}.csv", lambda one: [3, 4, 5], rater="") for name in ("x", "y")]
    found = score_review(paths, sheet)
    assert [one.name for one in found.raters] == ["x", "y"]
    assert any("x.csv names no rater in 24 of its rows" in note for note in found.notes)


def test_a_run_that_changed_or_moved(sheet: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    ratings = _csv(sheet, tmp_path / "a.csv", lambda one: [3, 3, 1 + one.item % 5])
    before = gi_bench("review", "score", ratings, "--key", sheet, "--json")
    assert before.returncode == 0, before.stderr
    moved = tmp_path / "elsewhere"
    (tmp_path / "runs" / "first").rename(moved)
    done = gi_bench("review", "score", ratings, "--key", sheet)
    assert (done.returncode, "model-a is not where it was" in done.stderr) == (2, True)
    assert len(done.stderr.splitlines()) == 1
    again = gi_bench("review", "score", ratings, "--key", sheet, "--run", moved, "--json")
    assert again.stdout == before.stdout
    done = gi_bench("review", "score", ratings, "--key", sheet, "--run", write_run(tmp_path / "third", variant="other"))
    assert (done.returncode, "none of this sheet's" in done.stderr) == (2, True)
    write_run(moved, variant="model-a", explain=lambda q: "Something else.")
    done = gi_bench("review", "score", ratings, "--key", sheet, "--run", moved)
    assert (done.returncode, "changed since the sheet was made" in done.stderr) == (2, True)
    done = gi_bench("review", "score", ratings, "--key", sheet, "--run", moved, "--accept-changed")
    assert done.returncode == 0, done.stderr
    assert "accepted with" in done.stdout


def test_a_key_that_is_none_or_changed_is_refused(sheet: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    ratings = _csv(sheet, tmp_path / "a.csv", lambda one: [3, 3, 3])
    content = json.loads(sheet.read_text(encoding="utf-8"))
    swapped = {**content, "items": [{**one, "run": 1 - one["run"]} for one in content["items"]]}
    for name, text, told in (
        ("swapped", json.dumps(swapped), "the key was changed"),
        ("list", "[]", "not the key of a review sheet"),
        ("manifest", '{"schema_version": 3}', "not the key of a review sheet"),
        ("later", json.dumps({**content, "key_version": 9}), "of version 9"),
        ("no", "{", "cannot read JSON"),
    ):
        path = sheet.with_name(f"{name}.key.json")
        path.write_text(text, encoding="utf-8")
        done = gi_bench("review", "score", ratings, "--key", path)
        assert (done.returncode, told in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
    key = read_key(sheet)
    write_key(tmp_path / "gap.key.json", replace(key, items=key.items[1:]))
    with pytest.raises(GiBenchError, match="not numbered from 1"):
        read_key(tmp_path / "gap.key.json")


def test_lines_fit_a_terminal_and_json_is_whole(sheet: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    pytest.importorskip("krippendorff", reason="krippendorff is not installed (gi-bench[review])")
    paths = [
        _csv(sheet, tmp_path / "a.csv", lambda one: [1 + one.item % 5, 3, 1 + one.row % 4]),
        _csv(sheet, tmp_path / "b.csv", lambda one: [1 + one.item % 4, 3, 2 + one.row % 4], "Ben"),
    ]
    done = gi_bench("review", "score", *paths, "--key", sheet, "-o", tmp_path / "review.json")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    for told in ("Mean rating", "model-a less model-b", "weighted kappa", "Krippendorff's alpha", "Spearman's rho"):
        assert told in done.stdout
    content = json.loads((tmp_path / "review.json").read_text(encoding="utf-8"))
    assert {"means", "differences", "agreement", "correlations", "items", "raters"} <= set(content)
    assert len(content["items"]) == 24
    printed = gi_bench("review", "score", *paths, "--key", sheet, "--json")
    assert json.loads(printed.stdout) == content
    refused = gi_bench("review", "score", *paths, "--key", sheet, "-o", paths[0])
    assert (refused.returncode, "one of the inputs" in refused.stderr) == (2, True)
