"""How far words alone tell negatives: the measure, its metrics, its audit, and the view with swapped wordings."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness.analysis.scoring import metric_scores, score_run
from gi_bench.harness.analysis.summary import score_lines
from gi_bench.harness.audit.wording import wording_report
from gi_bench.harness.bag_of_words import pair_share, pair_sums, phrase_rows, share_of_sums, two_sided, word_scores
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.metrics.wording import statistics_of, wording_notes
from gi_bench.harness.registry import load_suite, registered
from gi_bench.harness.schema import MetricInfo, Question, Score, Scores
from gi_bench.harness.statistics import Bootstrap
from gi_bench.harness.suites.crossed import crossed, crossed_questions
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.run_folders import write_run

TEST = PhantomSuite("test")


def _rows(texts: list[tuple[str, bool]]) -> list[tuple[str, str, str, bool, str]]:
    return [(text, f"image{i}", "polyp", negative, "polyp") for i, (text, negative) in enumerate(texts)]


def test_words_that_stand_on_one_side_tell_everything() -> None:
    rows = two_sided(_rows([("sessile polyp", True), ("polyp in the middle", False)] * 40))
    scores, bags = word_scores(rows)
    assert pair_share(scores, rows.negative, bags) == 1.0


def test_identical_texts_on_both_sides_tell_nothing() -> None:
    rows = two_sided(_rows([("a polyp", True), ("a polyp", False)] * 40))
    scores, bags = word_scores(rows)
    assert pair_share(scores, rows.negative, bags) == 0.5, "ties, whatever the image"


def test_half_of_the_negatives_in_words_of_their_own() -> None:
    rows = two_sided(_rows([("polyp", False), ("polyp", True), ("polyp", False), ("sessile polyp", True)] * 60))
    scores, bags = word_scores(rows)
    assert pair_share(scores, rows.negative, bags) == pytest.approx(0.75)


def test_random_words_tell_nothing_and_an_image_never_teaches_itself() -> None:
    random = np.random.default_rng(3)
    vocabulary = [f"word{i}" for i in range(30)]
    texts = [" ".join(random.choice(vocabulary, 4)) for _ in range(800)]
    rows = two_sided(_rows([(text, bool(random.integers(0, 2))) for text in texts]))
    scores, bags = word_scores(rows)
    assert 0.44 < pair_share(scores, rows.negative, bags) < 0.56
    # Every row of an image has a word of its own: only a bag that was taught by the image could know its side.
    own = [(f"polyp name{i // 4}", f"image{i // 4}", "polyp", i // 4 % 2 == 0, "") for i in range(400)]
    rows = two_sided(own)
    scores, bags = word_scores(rows)
    assert pair_share(scores, rows.negative, bags) <= 0.5


def test_the_sums_give_the_exact_share_where_levels_suffice_and_order_does_not_matter() -> None:
    rows = two_sided(_rows([("polyp", False), ("polyp", True), ("red polyp", False), ("sessile polyp", True)] * 20))
    scores, bags = word_scores(rows)
    sums, count = pair_sums(scores, rows.negative, bags)
    exact = pair_share(scores, rows.negative, bags)
    assert float(share_of_sums(sums.sum(axis=0), count)) == pytest.approx(exact)
    pairs = [
        (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2
        for i in np.flatnonzero(rows.negative)
        for j in np.flatnonzero(~rows.negative)
        if bags[i] == bags[j]
    ]
    assert exact == pytest.approx(np.mean(pairs)), "counted pair by pair"
    turned = two_sided(
        _rows([("polyp", False), ("polyp", True), ("red polyp", False), ("sessile polyp", True)] * 20)[::-1]
    )
    again, again_bags = word_scores(turned)
    assert pair_share(again, turned.negative, again_bags) == pytest.approx(exact)


def test_groups_with_one_side_are_counted_and_never_compared_with_others() -> None:
    rows = two_sided(
        [("a", f"i{i}", "one", True, "") for i in range(9)] + [("b", f"i{i}", "two", False, "") for i in range(9)]
    )
    assert rows.one_sided == 18
    assert isinstance(statistics_of(rows, "label"), str)


def test_neither_phantom_s_phrases_nor_its_questions_are_told_by_their_words() -> None:
    found = statistics_of(phrase_rows(TEST.phrases), "label")
    assert not isinstance(found, str)
    whole = next(iter(metric_scores("x", found, Bootstrap(200, 0))))
    assert whole.value is not None
    assert whole.interval_low is not None
    assert whole.interval_high is not None
    assert 0.45 < whole.value < 0.55
    assert whole.interval_low < 0.5 < whole.interval_high + 0.02
    report = wording_report(TEST)
    for kind in ("phrases", "questions"):
        told = next(one for one in report.told if one.rows == kind and one.group == "all")
        assert told.auroc is not None
        assert 0.45 < told.auroc < 0.55
    assert report.left_out["questions"] > 0, "nothing abnormal is never asked of an image with a finding"


def test_negatives_that_are_made_are_not_told_by_their_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main

    out = tmp_path / "n.jsonl"
    assert _main(["data", "negatives", "-s", "phantom/validation", "--ratio", "0.3", "-o", str(out)]) == 0
    capsys.readouterr()
    assert _main(["audit", "phantom/validation", "--wording", "--negatives", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    found = {(one["rows"], one["group"]): one for one in content["told"]}
    for kind in ("phrases", "questions"):
        assert found[kind, "all"]["auroc"] < 0.6
        assert found[kind, "all"]["negatives"] > 200
    assert _main(["audit", "phantom/validation", "--wording"]) == 0
    assert "may measure wording" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "--wording"],
        ["audit", "phantom/test", "phantom/train", "--wording"],
        ["audit", "phantom/test", "--negatives", "nowhere.jsonl"],
        ["audit", "phantom/test", "--wording", "--negatives", "nowhere.jsonl"],
    ],
)
def test_bad_calls_of_the_audit_end_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from gi_bench.harness.cli import _main

    assert _main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2


def test_a_file_that_holds_no_negatives_is_refused(tmp_path: Path) -> None:
    for content, message in (("{", "not JSON"), ("[1]", "not an object with the keys"), ("\n", "holds no negatives")):
        path = tmp_path / "n.jsonl"
        path.write_text(content)
        with pytest.raises(GiBenchError, match=message):
            wording_report(TEST, path)


def test_real_frames_without_a_polyp_are_not_told_by_the_words(shared: Path) -> None:
    report = wording_report(load_suite("kvasir-vqa-x1/test", shared / "data/real"))
    found = {(one.rows, one.group): one for one in report.told}
    assert found["phrases", "polyp"].negatives == 65
    assert 0.4 < (found["phrases", "polyp"].auroc or 0) < 0.6
    whole = wording_report(load_suite("kvasir-vqa-x1/test", shared / "data/kvasir-vqa-x1"))
    told = {one.group: one for one in whole.told if one.rows == "questions"}
    assert (told["polyp_count"].auroc or 0) > 0.99, "how many polyps: there are some; are there any: there are none"
    assert (told["all"].auroc or 0) > 0.8


def test_the_view_swaps_the_wordings_and_nothing_else() -> None:
    from gi_bench.harness.suites.crossed import CrossedSuite

    view = load_suite("phantom/test@cross-wording")
    # Fingerprints need pictures, which take time: a few images do.
    small = PhantomSuite("validation", 8)
    assert CrossedSuite(small).fingerprint != small.fingerprint
    assert [row.index for row in view.phrases] == list(range(len(view.phrases)))
    assert len(view.phrases) > 0.95 * len(TEST.phrases)
    own = {(row.img_id, row.label, row.is_negative, row.region) for row in TEST.phrases}
    texts = {
        (label, side): {row.phrase for row in TEST.phrases if row.label == label and row.is_negative == side}
        for label in {row.label for row in TEST.phrases}
        for side in (True, False)
    }
    for row in view.phrases:
        assert (row.img_id, row.label, row.is_negative, row.region) in own
        assert row.phrase in texts[row.label, not row.is_negative]
    assert len({(row.img_id, row.label, row.phrase) for row in view.phrases}) == len(view.phrases)
    shown = Counter(row.phrase for row in view.phrases if row.label == "z-line" and not row.is_negative)
    assert set(shown) <= texts["z-line", True]
    assert shown["z-line"] > 10
    assert "swapped" in view.note
    again, left_out = crossed(TEST.phrases)
    assert tuple(again) == tuple(view.phrases)
    assert left_out == len(TEST.phrases) - len(again)


def test_the_view_swaps_questions_within_their_classes() -> None:
    view = load_suite("phantom/test@cross-wording")
    rows, left_out = crossed_questions(TEST.questions)
    assert tuple(rows) == tuple(view.questions)
    assert left_out == len(TEST.questions) - len(rows)
    assert f"{left_out:,} of {len(TEST.questions):,} questions are left out" in view.note
    assert [row.index for row in rows] == list(range(len(rows)))
    about = [row for row in TEST.questions if row.finding is not None]
    assert len(rows) > 0.8 * len(about)
    own = Counter(replace(row, index=0, question="") for row in TEST.questions)
    assert not Counter(replace(row, index=0, question="") for row in rows) - own, "only the text is another"
    sides: dict[tuple[object, ...], set[str]] = {}
    for row in about:
        sides.setdefault((row.question_class, row.finding, row.is_negative), set()).add(row.question)
    for row in rows:
        assert row.question in sides[row.question_class, row.finding, not row.is_negative]
    assert {row.is_negative for row in rows} == {True, False}


def _asked(
    text: str,
    answer: str | None,
    negative: bool,
    img_id: str,
    slug: str = "instrument_presence",
    finding: str = "instrument",
) -> Question:
    return Question(0, img_id, text, answer, (slug,), 1, is_negative=negative, finding=finding)


def _crossed(*rows: Question) -> dict[str, str]:
    """New text of each image's question."""
    given, left_out = crossed_questions([replace(row, index=index) for index, row in enumerate(rows)])
    assert left_out == len(rows) - len(given)
    return {row.img_id: row.question for row in given}


def test_a_question_that_names_another_thing_of_its_kind_is_not_asked() -> None:
    tube = _asked("Is there a tube?", "no instrument is visible", True, "without")
    snare = _asked("Which instrument is seen?", "a polyp snare", False, "snare")
    assert _crossed(tube, snare) == {"without": "Which instrument is seen?"}
    named = _asked("Which instrument is seen?", "a tube", False, "tube")
    assert _crossed(tube, named)["tube"] == "Is there a tube?"
    # An image that has an instrument and is asked for one that it lacks: "which" would ask for what it has.
    both = _asked("Is there a tube?", "no tube is visible", True, "snare")
    assert "snare" not in _crossed(both, snare)


def test_a_bare_answer_never_gets_a_question_that_turns_it_around() -> None:
    clean = _asked("Is the image free of text?", "Yes", True, "clean", "text_presence", "text")
    marked = _asked("Is there text?", "Yes", False, "marked", "text_presence", "text")
    assert _crossed(clean, marked) == {}
    worded = _asked("Is there text?", "Text is visible", False, "marked", "text_presence", "text")
    assert _crossed(clean, worded) == {"marked": "Is the image free of text?"}


def test_rows_without_a_reference_or_with_options_are_not_crossed() -> None:
    absent = _asked("Is an instrument seen?", "no instrument", True, "a")
    assert _crossed(absent, _asked("Which one?", None, False, "b")) == {}
    assert _crossed(absent, replace(_asked("Which one?", "a tube", False, "b"), options=("a tube", "none"))) == {}
    elsewhere = _asked("How many?", "one tube", False, "b", "instrument_count")
    assert _crossed(absent, elsewhere) == {}, "another class asks for other facts"


def test_a_suite_of_questions_alone_has_a_view() -> None:
    from gi_bench.harness.suites.crossed import CrossedSuite

    class Asked(PhantomSuite):
        phrases = ()  # type: ignore[assignment]

    view = CrossedSuite(Asked("validation", 60))
    assert view.questions
    assert not view.phrases


def test_a_suite_without_negatives_has_no_view() -> None:
    from gi_bench.harness.suites.crossed import CrossedSuite

    class Positive(PhantomSuite):
        phrases = tuple(row for row in PhantomSuite("validation", 3).phrases if not row.is_negative)  # type: ignore[assignment]
        questions = ()  # type: ignore[assignment]

    with pytest.raises(GiBenchError, match="no label and no question class"):
        CrossedSuite(Positive("validation", 3))


def _score(metric: str, value: float) -> Score:
    return Score(metric, "all", "all", value, 10, 10)


def test_a_rate_says_that_it_may_measure_wording() -> None:
    rate = _score("region_false_positive_rate", 0.0)
    (note,) = wording_notes([rate, _score("region_wording_auroc", 0.89)])
    assert "may measure wording" in note
    assert "0.89" in note
    assert not list(wording_notes([rate, _score("region_wording_auroc", 0.55)]))
    assert not list(wording_notes([_score("region_wording_auroc", 0.89)])), "no rate, no note"
    info = MetricInfo("region_false_positive_rate", "rate", "d", "s", group="negatives")
    scores = Scores("s", "f", "v", "r", "m", (info,), (rate, _score("region_wording_auroc", 0.89)))
    assert any("told by words alone: 0.89" in line for line in score_lines([scores], everything=True))
    assert "told by words alone (AUROC): false alarms of regions .89" in score_lines([scores])


def test_a_scored_run_has_the_metrics(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    scores = score_run(run, resamples=20, metrics=registered("gi_bench.metrics"))
    names = {info.name for info in scores.metrics} | set(scores.not_computed)
    assert {"answer_wording_auroc", "region_wording_auroc"} <= names
