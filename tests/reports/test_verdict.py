"""What the page says in words: who is best, what is a tie, what fails, and against what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.metrics.completeness import METRICS, completeness, image_attributes
from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region, Score
from gi_bench.harness.store import Run, open_run
from gi_bench.reports.comparison import build_page
from gi_bench.reports.comparison.differences import against_best
from gi_bench.reports.comparison.runs import Entry, given_runs
from gi_bench.reports.comparison.signatures import signatures
from gi_bench.reports.comparison.table import p_text
from tests.run_folders import phrases, questions, square, write_run

ROWS = 80


def _right_on(share: int) -> Callable[[Question], str]:
    """Right on so many of ten images."""
    return lambda q: (q.answer or "") if (q.index // 2) % 10 < share else "seventeen instruments and a red flag"


def _shown_on(share: int) -> Callable[[Phrase], tuple[Region, ...]]:
    def ground(phrase: Phrase) -> tuple[Region, ...]:
        there = phrase.region is not None and phrase.region.area > 0
        if not there:
            return ()
        return (phrase.region,) if (phrase.index // 2) % 10 < share else (square("polyp", 40, 40, 4),)  # type: ignore[return-value]

    return ground


def _made(folder: Path, variant: str, share: int, *, role: str = "", learnt: list[str] | None = None) -> Path:
    write_run(
        folder,
        variant=variant,
        rows=questions(ROWS),
        shown=phrases(ROWS // 2),
        answer=_right_on(share),
        ground=_shown_on(share),
        explain=lambda q: None,
    )
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["recipe"]["model"] |= {"role": role} if role else {"trained_on": learnt or ["answer", "ground"]}
    path.write_text(json.dumps(content))
    score_run(folder, resamples=50)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("runs")
    return {
        "good": _made(top / "good-1", "good", 10),
        "same": _made(top / "same-1", "same", 10),
        "vqa": _made(top / "vqa-1", "vqa", 6, learnt=["answer"]),
        "blind": _made(top / "blind-1", "blind", 2, role="floor"),
    }


def _said(paths: list[Path], metric: str, baseline: str | None = None) -> str:
    return next(s.text for s in build_page(paths, baseline=baseline).verdict.sentences if s.metric == metric)


def test_the_best_is_named_with_what_it_is_better_than(runs: dict[str, Path]) -> None:
    paths = [runs["good"], runs["vqa"], runs["blind"]]
    page = build_page(paths)
    assert page.verdict.baseline.startswith("The baseline is vqa: the first run that learnt to answer only")
    text = _said(paths, "bleu")
    assert text.startswith("good is best with 1.000")
    assert "n 80, 40 images" in text
    assert "against the baseline vqa, beyond chance (p < 0.001)" in text
    assert "against the blind floor blind (floor), beyond chance" in text
    assert "tie" not in text
    assert "Holm" in page.verdict.tests
    assert "fingerprint" in page.verdict.compared_with


def test_equal_runs_are_a_tie(runs: dict[str, Path]) -> None:
    text = _said([runs["good"], runs["same"]], "bleu")
    assert text.startswith("A tie: good has the best value")
    assert "not told apart from same (1.000)" in text
    assert "is best" not in text


def test_a_run_that_is_no_better_than_what_never_looks_is_told_so(runs: dict[str, Path], tmp_path: Path) -> None:
    floor = _made(tmp_path / "floor-1", "floor", 10, role="floor")
    text = _said([runs["good"], floor], "bleu")
    assert "not better than the blind floor floor (floor) beyond chance" in text
    assert "nothing shows that it looks" in text


def test_one_run_is_held_against_the_floor_beside_it(runs: dict[str, Path]) -> None:
    page = build_page([runs["vqa"]])
    text = _said([runs["vqa"]], "bleu")
    assert page.baseline == ""
    assert text.startswith("vqa reaches")
    assert "against the blind floor blind (floor) (beside the runs), beyond chance" in text
    assert [band.role for band in page.headline.bands] == ["model"], "what was not given has no row"


def test_false_alarms_are_never_praised_alone(runs: dict[str, Path]) -> None:
    text = _said([runs["good"], runs["vqa"], runs["blind"]], "region_false_positive_rate")
    assert "Whoever denies everything raises no false alarm" in text
    assert "blind" not in text


def test_the_baseline_is_chosen_by_name_variant_or_folder(runs: dict[str, Path]) -> None:
    paths = [runs["good"], runs["vqa"]]
    for name in ("good", "good-1", str(runs["good"])):
        page = build_page(paths, baseline=name)
        assert page.baseline == "good"
        assert "chosen with --baseline" in page.verdict.baseline
        marks = {row.name: [cell.mark for cell in row.cells] for row in page.headline.bands[0].rows}
        assert "worse" in marks["vqa"]
        assert not any(marks["good"])
    with pytest.raises(GiBenchError, match="no run is called nobody") as raised:
        build_page(paths, baseline="nobody")
    assert "good, vqa" in str(raised.value)


def test_marks_say_what_the_interval_says(runs: dict[str, Path]) -> None:
    page = build_page([runs["good"], runs["vqa"], runs["blind"]])
    bleu = [head.metric for head in page.headline.heads].index("bleu")
    cells = {row.name: row.cells[bleu] for band in page.headline.bands for row in band.rows}
    assert (cells["good"].mark, cells["vqa"].mark, cells["blind (floor)"].mark) == ("better", "", "worse")
    assert cells["good"].told.startswith("+0.")


def test_runs_over_other_rows_never_share_a_table(runs: dict[str, Path], tmp_path: Path) -> None:
    part = write_run(tmp_path / "part", rows=questions(20), shown=phrases(10), limit=20)  # type: ignore[arg-type]
    score_run(part, resamples=20)
    with pytest.raises(GiBenchError, match="the first 20 questions and all questions"):
        build_page([runs["good"], part])
    assert "over the first 20 questions" in build_page([part]).verdict.compared_with
    other = write_run(tmp_path / "other", rows=questions(ROWS), shown=phrases(5))
    score_run(other, resamples=20)
    with pytest.raises(GiBenchError, match="10 and 80 phrases"):
        build_page([runs["good"], other])


def test_names_are_printable_and_each_its_own(tmp_path: Path) -> None:
    from gi_bench.reports.comparison import names_of

    made = [write_run(tmp_path / f"{i}" / "run-1", variant="a\x1b\u202e" + "x" * 100) for i in range(3)]
    names = names_of([open_run(path) for path in made])
    assert len(set(names)) == 3
    assert all(name.isprintable() and len(name) < 80 for name in names)


# ---- failure signatures


def _score(metric: str, low: float, high: float, slice_by: str = "all", value: str = "all", n: int = 100) -> Score:
    return Score(metric, slice_by, value, (low + high) / 2, n, n, low, high)


def _seen(runs: dict[str, Path], *scores: Score, floors: tuple[Score, ...] = ()) -> dict[str, str]:
    """Outcome of every signature for one run with these scores."""
    given = given_runs([runs["good"], runs["blind"]])

    def with_scores(entry: Entry, found: tuple[Score, ...]) -> Entry:
        run = replace(entry.run)
        run.__dict__["scores"] = replace(entry.run.scores, scores=found, not_computed={})
        return replace(entry, run=run)

    model, floor = given.entries
    entries = (with_scores(model, scores), with_scores(floor, floors))
    found = signatures(replace(given, entries=entries, beside=entries[1:], baseline=None))
    return {one.title: "seen" if one.seen else "not seen" if one.not_seen else "untold" for one in found}


def test_words_without_places_fire_on_intervals_only(runs: dict[str, Path]) -> None:
    title = "High BLEU with low IoU"
    assert _seen(runs, _score("bleu", 0.4, 0.5), _score("region_iou", 0.1, 0.2))[title] == "seen"
    assert _seen(runs, _score("bleu", 0.25, 0.5), _score("region_iou", 0.1, 0.2))[title] == "not seen"
    assert _seen(runs, _score("bleu", 0.4, 0.5), _score("region_iou", 0.1, 0.35))[title] == "not seen"
    floor = (_score("region_iou", 0.4, 0.5),)
    assert _seen(runs, _score("bleu", 0.4, 0.5), _score("region_iou", 0.3, 0.4), floors=floor)[title] == "seen"
    assert _seen(runs, _score("bleu", 0.4, 0.5))[title] == "untold"


def test_incomplete_explanations_and_worthless_confidence(runs: dict[str, Path]) -> None:
    title = "Incomplete explanations"
    assert _seen(runs, _score("explanation_completeness", 0.3, 0.6))[title] == "seen"
    assert _seen(runs, _score("explanation_completeness", 0.3, 0.8))[title] == "not seen"
    assert _seen(runs)[title] == "untold"
    title = "Confidence no better than base rates"
    assert _seen(runs, _score("confidence_gain", -0.1, 0.01))[title] == "seen"
    assert _seen(runs, _score("confidence_gain", 0.01, 0.2))[title] == "not seen"
    assert _seen(runs, _score("confidence_gain", -0.1, 0.2))[title] == "untold"


def test_rare_classes_far_below_the_commonest(runs: dict[str, Path]) -> None:
    title = "Rare classes far below the commonest"

    def classes(low: float, high: float, n: int) -> str:
        common = _score("region_iou", 0.6, 0.7, "label", "polyp", 400)
        return _seen(runs, common, _score("region_iou", low, high, "label", "z-line", n))[title]

    assert classes(0.2, 0.3, 100) == "seen"
    assert classes(0.2, 0.65, 100) == "not seen", "the intervals overlap"
    assert classes(0.52, 0.59, 100) == "not seen", "apart, but not far"
    assert classes(0.2, 0.3, 101) == "untold", "not rare"
    assert classes(0.2, 0.3, 29) == "untold", "too few rows to say anything"


# ---- completeness of explanations


def _asked(index: int, img_id: str, *facts: tuple[str, str]) -> Question:
    pairs = tuple(AtomicPair("q", answer) for _, answer in facts)
    slugs = tuple(slug for slug, _ in facts)
    return Question(index, img_id, "What?", "a", slugs, len(facts), pairs, wants_explanation=True)


def test_attributes_of_an_image_come_from_all_its_questions() -> None:
    rows = [
        _asked(0, "a", ("abnormality_color", "pink; red"), ("polyp_size", "none")),
        _asked(1, "a", ("abnormality_location", "center")),
        _asked(2, "b", ("polyp_type", "paris is"), ("landmark_color", "not relevant")),
        _asked(3, "c", ("polyp_count", "2")),
    ]
    found = image_attributes(rows)
    assert found["a"] == {"colour", "location"}
    assert "shape" in found["b"]
    assert "c" not in found


def test_completeness_is_the_share_of_known_attributes_that_are_named(tmp_path: Path) -> None:
    known = frozenset({"colour", "location"})
    assert completeness("A red area.", known) == 0.5
    assert completeness("A red area in the upper left, 5 mm.", known) == 1.0, "what is not known is not asked for"
    assert completeness("Something.", frozenset()) is None
    rows = [
        _asked(0, "a", ("abnormality_color", "red")),
        _asked(1, "a", ("abnormality_location", "center")),
        _asked(2, "c", ("polyp_count", "2")),
    ]
    texts = {0: "Red tissue bulges from the wall.", 1: "It has a smooth, shiny surface.", 2: "Two bumps rise."}
    run = write_run(
        tmp_path / "run", rows=rows, shown=[], answer=lambda q: "yes it is", explain=lambda q: texts[q.index]
    )
    (metric,) = METRICS
    made = metric.compute(Run(run))
    assert not isinstance(made, str)
    assert made.sums.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert made.counts["no attribute of the image known"] == 1
    silent = write_run(tmp_path / "silent", rows=rows, shown=[], explain=lambda q: None)
    assert isinstance(metric.compute(Run(silent)), str)


# ---- published results


def test_published_results_on_the_same_rows_stand_beside_ours_and_others_apart(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gi_bench.reports.comparison import others
    from gi_bench.reports.published import PublishedResult

    class Spec:
        def has_all(self, rows: object) -> bool:
            return True

    spec = Spec()
    results = (
        PublishedResult(("made/test",), "Theirs", "the same rows", "a paper", "same", "a board", bleu=0.4716),
        PublishedResult(("made/test",), "Hidden", "private rows", "a board", "private", "a board", "1", meteor=0.67),
    )
    monkeypatch.setattr(others, "stored_spec", lambda name: spec)
    monkeypatch.setattr(others, "published", lambda: results)
    same, apart = build_page([runs["good"], runs["vqa"]]).published
    assert [(line.name, line.values) for line in same.lines][::2] == [("good", ("1.0000",)), ("Theirs", ("0.4716",))]
    assert same.lines[-1].source == "published, not run here: a paper"
    assert [(line.number, line.name, line.values) for line in apart.lines] == [
        (None, "Hidden (rank 1 of a board)", ("0.67",))
    ]
    told = build_page([runs["good"], runs["vqa"]]).verdict.compared_with
    assert told.startswith("All official rows were run: BLEU may be compared with the published results")
    monkeypatch.setattr(Spec, "has_all", lambda self, rows: False)
    assert build_page([runs["good"]]).published == ()


def test_floors_alone_are_not_held_against_floors(runs: dict[str, Path], tmp_path: Path) -> None:
    other = _made(tmp_path / "other-1", "other", 2, role="floor")
    for paths in ([runs["blind"]], [runs["blind"], other]):
        told = " ".join(sentence.text for sentence in build_page(paths).verdict.sentences)
        assert "blind" in told
        assert "nothing shows that it looks" not in told
        assert "No blind floor has" not in told


def test_a_tie_of_many_names_few(runs: dict[str, Path], tmp_path: Path) -> None:
    paths = []
    for number in range(9):
        shutil.copytree(runs["good"], tmp_path / f"good-{number}")
        paths.append(tmp_path / f"good-{number}")
    page = build_page(paths)
    text = next(s.text for s in page.verdict.sentences if s.metric == "bleu")
    assert text.count("(1.000)") == 5
    assert text.endswith("good (5) (1.000) and 3 others.")
    assert "So few images tell these runs apart" in page.verdict.tests


def test_where_no_metric_has_a_value_the_verdict_says_so(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "mute-1", variant="mute", answer=lambda q: None, explain=lambda q: None, ground=lambda p: None
    )
    score_run(folder, resamples=50)
    sentences = build_page([folder]).verdict.sentences
    assert [sentence.text for sentence in sentences] == ["No run has a value of any metric that ranks."]


def test_the_difference_of_equal_runs_has_no_sign(runs: dict[str, Path]) -> None:
    given = given_runs([runs["good"], runs["same"]])
    found = against_best({"bleu": given.entries[0]}, given.entries)["bleu", "same"].found
    assert f"{found.difference:+.3f}" == "+0.000"


def test_an_upper_bound_of_p_is_rounded_up(runs: dict[str, Path]) -> None:
    given = given_runs([runs["good"], runs["vqa"]])
    one = against_best({"bleu": given.entries[0]}, given.entries)["bleu", "vqa"]
    bound = replace(one, found=replace(one.found, p=1e-5, smallest=1e-5, exact=False))
    told = {p: p_text(replace(bound, adjusted=p)) for p in (0.0002, 0.0013, 0.002, 1.0)}
    assert told == {0.0002: "p < 0.001", 0.0013: "p ≤ 0.002", 0.002: "p ≤ 0.002", 1.0: "p = 1"}
    assert p_text(replace(one, found=replace(one.found, exact=True), adjusted=0.0013)) == "p = 0.001"
