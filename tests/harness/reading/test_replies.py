"""What a reply is: states of texts, of runs, and what scores make of them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gi_bench.harness import store
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.summary import score_lines
from gi_bench.harness.metrics import participation
from gi_bench.harness.reading import replies
from gi_bench.harness.reading.replies import answer_state, explanation_state, refuses, repeats, without_refusals
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import REPLY_STATES, Prediction, Question, Reply
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.run_folders import phrases, questions, square, write_run

POLYP = Question(0, "i", "Is there a polyp in the image?", None, ("polyp_count",), 1, finding="polyp")
BOTH = Question(0, "i", "How many polyps and which procedure?", None, ("polyp_count", "procedure_type"), 2)
PROCEDURE = Question(0, "i", "Which procedure is it?", None, ("procedure_type",), 1)
HIDDEN = Question(0, "i", "Which procedure is it?", None, (), 1)


@pytest.mark.parametrize(
    ("answer", "question", "state"),
    [
        ("one polyp visible", POLYP, "stated"),
        ("no polyps visible", POLYP, "denied"),
        ("none", POLYP, "denied"),
        ("I'm sorry, there is no polyp.", POLYP, "denied"),
        ("As an AI, I cannot diagnose, but one polyp is visible.", POLYP, "stated"),
        ("I apologize for the confusion; two polyps are seen", POLYP, "stated"),
        ("I cannot see a polyp", POLYP, "denied"),
        ("No polyp is visible, but I am not a doctor", POLYP, "denied"),
        ("I am sorry", POLYP, "refused"),
        ("I’m sorry, but I can’t assist with that.", POLYP, "refused"),
        ("I cannot answer", POLYP, "refused"),
        ("I cannot see the image", POLYP, "refused"),
        ("I cannot determine whether a polyp is present", POLYP, "refused"),
        ("I do not have enough information to determine whether there is a polyp", POLYP, "refused"),
        ("Unable to determine", POLYP, "refused"),
        ("not sure", POLYP, "refused"),
        ("I don't know", POLYP, "refused"),
        ("Please consult a doctor.", POLYP, "refused"),
        ("I must decline to answer.", POLYP, "refused"),
        ("No image was provided", POLYP, "refused"),
        ("The image does not allow an assessment", POLYP, "refused"),
        ("unknown", POLYP, "refused"),
        ("It is unclear.", POLYP, "refused"),
        ("", POLYP, "not given"),
        (" \n", POLYP, "not given"),
        (None, POLYP, "not given"),
        ("no polyps; colonoscopy", BOTH, "stated"),
        ("zero polyps", BOTH, "denied"),
        ("hello there", BOTH, "unreadable"),
        ("gastroscopy", PROCEDURE, "stated"),
        ("hello there", PROCEDURE, "unreadable"),
        ("???", PROCEDURE, "unreadable"),
        ("gastroscopy", HIDDEN, "stated"),
        ("???", HIDDEN, "unreadable"),
        ("As a language model I cannot tell", HIDDEN, "refused"),
    ],
)
def test_states_of_answers(answer: str | None, question: Question, state: str) -> None:
    assert answer_state(answer, question) == state


def test_the_references_take_part(shared: Path) -> None:
    """No reference refuses, none is empty, and what cannot be read is rare."""
    rows = pq.read_table(shared / "data/kvasir-vqa-x1/test.parquet").slice(0, 4000).to_pylist()
    states = Counter()  # type: Counter[str]
    for row in rows:
        question = Question(0, "i", row["question"], None, tuple(row["question_class"]), row["complexity"])
        states[answer_state(row["answer"], question)] += 1
    assert states["refused"] == states["not given"] == 0
    assert (states["stated"] + states["denied"]) / len(rows) > 0.9


def test_clauses_about_the_reply_are_taken_out() -> None:
    assert without_refusals("I am sorry, but there is no polyp.") == "there is no polyp"
    assert without_refusals("One polyp, 5.5 mm.") == "One polyp, 5.5 mm."
    assert not refuses("No polyps are seen and no instruments.")


QUESTION = "How many polyps are there in the image?"


@pytest.mark.parametrize(
    "text",
    [
        "one polyp", "One polyp.", "Yes.", "one polyp. one polyp.", "The answer is: one polyp.", "There is 1 polyp.",
        "Because one polyp can be seen.", QUESTION, f"{QUESTION} one polyp", "A single polyp is visible here.",
        "This supports the answer: one polyp.", "one polyp identified", "one polyp; text",
        "It can be concluded with certainty that one polyp is visible, as explained above.",
    ],
)  # fmt: skip
def test_repetitions_are_no_explanation(text: str) -> None:
    assert repeats(text, "one polyp", QUESTION)
    assert explanation_state(text, "one polyp", POLYP) == "not given"


@pytest.mark.parametrize(
    "text",
    [
        "A smooth bump rises from the wall.", "It is red.", "One polyp lies in the lower left.",
        "One round elevation with a short stalk is all that stands out.", "The polyp measures 5 to 10 mm.",
        "One polyp: its surface is paler than the folds around it.", "Only healthy lining can be seen besides it.",
    ],
)  # fmt: skip
def test_paraphrases_with_a_reason_are_explanations(text: str) -> None:
    assert not repeats(text, "one polyp", QUESTION)
    assert explanation_state(text, "one polyp", POLYP) == "stated"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("hello there how do you do", "unreadable"),
        ("???", "unreadable"),
        ("I am sorry, I cannot explain this.", "refused"),
        ("As an AI language model I cannot interpret medical images.", "refused"),
        ("No polyp interrupts the smooth, pink wall.", "denied"),
        (None, "not given"),
    ],
)
def test_other_states_of_explanations(text: str | None, state: str) -> None:
    assert explanation_state(text, "one polyp", POLYP) == state


def test_real_explanations_are_not_dropped(shared: Path) -> None:
    for split, most in (("test", 0), ("train", 2)):
        with (shared / f"data/paper-splits/{split}/vqa_exp.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["n_answer"] != "n_answer"]
        dropped = [
            row["exp_ans"]
            for row in rows
            if explanation_state(row["exp_ans"], row["n_answer"], replace(HIDDEN, question=row["question"]))
            not in ("stated", "denied")
        ]
        assert len(rows) > 400
        assert len(dropped) <= most, dropped


def test_the_explanations_of_phantom_are_not_dropped() -> None:
    rows = [row for row in PhantomSuite("validation").questions if row.explanation]
    assert rows
    for row in rows:
        assert explanation_state(row.explanation, row.answer, row) in ("stated", "denied"), row


def _with(folder: Path, change: object) -> Path:
    """A run whose stored predictions are changed one by one; None leaves one out."""
    assert callable(change)
    run = open_run(folder)
    found = [new for old in run.predictions.values() if (new := change(old)) is not None]
    store.write_part(folder / "predictions" / "part-00000.parquet", found)
    return folder


def test_a_run_that_refuses_gets_no_rate(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", answer=lambda q: "I am sorry", explain=lambda q: q.answer, ground=lambda p: ())
    _with(
        run, lambda p: replace(p, ground_reply=Reply(text="I am sorry", state="refused")) if p.kind == "phrase" else p
    )
    scores = score_run(run)
    for name in ("answer_false_positive_rate", "answer_specificity", "answer_false_negative_rate",
                 "region_false_positive_rate", "region_specificity", "region_false_negative_rate",
                 "explanation_false_positive_rate", "explanation_fact_score", "explanation_contradiction",
                 "explanation_echo", "explanation_rougeL"):  # fmt: skip
        assert scores.find(name) is None, name
        assert "takes no part: 0 of" in scores.not_computed[name], name
    for task, state in (("answers", "refused"), ("regions", "refused"), ("explanations", "not given")):
        assert scores.states[task]["all"] == {s: 12 if s == state else 0 for s in REPLY_STATES}
    assert scores.states["answers"]["instrument_count"]["refused"] == 6
    assert scores.states["regions"]["instrument"]["refused"] == 6
    assert scores.find("answer_participation").value == 0.0  # type: ignore[union-attr]
    assert any("takes no part: 0 of 12 regions" in note for note in scores.notes)
    assert store.open_run(run).scores == scores
    lines = "\n".join(score_lines([scores], everything=True))
    assert "replies of tested: of 12 answers 12 refused; of 12 regions 12 refused" in lines


def test_rates_rest_on_what_is_stated_or_denied(tmp_path: Path) -> None:
    """Of six absent instruments two are asserted, two denied, one refused and one is missing."""
    said = {
        1: "one instrument",
        3: "one instrument",
        5: "no instruments",
        7: "no instruments",
        9: "I am sorry",
        11: None,
    }
    scores = score_run(write_run(tmp_path / "run", answer=lambda q: said[q.index] if q.is_negative else q.answer))
    rate = scores.find("answer_false_positive_rate")
    assert rate is not None
    assert (rate.value, rate.n) == (0.5, 4)
    assert scores.find("answer_specificity").value == 0.5  # type: ignore[union-attr]
    assert scores.find("answer_participation", "finding", "instrument").value == pytest.approx(4 / 6)  # type: ignore[union-attr]
    assert scores.counts["answer_false_positive_rate: answers refused"] == 1
    assert scores.counts["answer_false_positive_rate: answers not given"] == 1


def test_a_class_without_replies_has_no_rate_of_its_own(tmp_path: Path) -> None:
    rows = questions(24)
    rows = [
        replace(q, finding="text", question="Is there text?", question_class=("text_presence",))
        if q.index % 8 == 1
        else q
        for q in rows
    ]
    answer = {"text": "I cannot tell", "instrument": "no instruments", "polyp": "one polyp"}
    scores = score_run(write_run(tmp_path / "run", rows=rows, answer=lambda q: answer[str(q.finding)]))
    assert scores.find("answer_false_positive_rate", "finding", "instrument") is not None
    assert scores.find("answer_false_positive_rate", "finding", "text") is None
    assert any("no value for finding text" in reason for reason in scores.counts)


def test_a_region_run_of_before_is_read_and_not_taken_for_denials(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    part = run / "predictions" / "part-00000.parquet"
    old = pq.read_table(part).drop_columns(["answer_reply", "ground_reply", "explain_reply"])
    pq.write_table(old, part)
    assert all(p.ground_reply is None for p in open_run(run).predictions.values())
    scores = score_run(run)
    assert scores.find("region_iou").value == pytest.approx(1.0)  # type: ignore[union-attr]
    assert scores.find("region_false_positive_rate") is None
    assert scores.states["regions"]["all"]["unreadable"] == 6
    assert any("6 empty regions were stored without what the model wrote" in note for note in scores.notes)


def test_scores_of_before_have_no_states(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"))
    content = {key: value for key, value in store.scores_to_json(scores).items() if key != "states"}
    assert store.scores_from_json(content) == replace(scores, states={})


def test_too_few() -> None:
    assert participation.too_few(["stated", "refused"], "answers") is None
    assert participation.too_few([], "answers") is None
    assert participation.too_few(["stated", "refused", "not given"], "answers") == (
        "takes no part: 1 of 3 answers state or deny something (1 refused, 1 not given)"
    )


# Metrics over what was given: dropped rows leave their n, and the share that states or denies shows it.
_GIVEN = {
    "answer_false_positive_rate": "answer_participation",
    "answer_false_negative_rate": "answer_participation",
    "answer_specificity": "answer_participation",
    "region_false_positive_rate": "region_participation",
    "region_specificity": "region_participation",
    "explanation_false_positive_rate": "explanation_participation",
    "fact_precision": "fact_coverage",
}
_GIVEN_GROUPS = {"confidence": "answer_participation", "explanations": "explanation_participation"}


def _explain(question: Question, *, wrong: bool) -> str:
    if question.is_negative:
        return "One metal instrument enters from the left." if wrong else "No instrument enters the smooth, pink field."
    return "Two polyps: blue bumps in the corner." if wrong else "One polyp: a red bump of 5 mm is seen."


def _mixed(folder: Path, keep: object = None) -> Path:
    """Twelve images, every third of them answered, explained and shown wrongly; ``keep`` sees the image's number."""
    rows, shown = questions(24), phrases(12)
    wrong = {q.index for q in rows if (q.index // 2) % 3 == 0}
    run = write_run(
        folder,
        rows=rows,
        shown=shown,
        answer=lambda q: ("two polyps" if not q.is_negative else "one instrument") if q.index in wrong else q.answer,
        explain=lambda q: _explain(q, wrong=q.index in wrong),
        ground=lambda p: (square(p.label, 30, 30, 8),) if int(p.img_id[3:]) % 3 == 0 else
        ((p.region,) if p.region and p.region.area else ()),
    )  # fmt: skip

    def change(p: Prediction) -> Prediction | None:
        number = int(p.img_id[3:])
        sure = 0.2 + 0.05 * number + (0.1 if p.index % 2 else 0.0)
        return replace(p, confidence=sure) if keep is None or keep(number) else None  # type: ignore[operator]

    return _with(run, change)


def test_no_metric_gains_from_missing_predictions(tmp_path: Path) -> None:
    """Half of the images without predictions, right and wrong ones alike."""
    whole = score_run(_mixed(tmp_path / "whole"), resamples=0)
    half = score_run(_mixed(tmp_path / "half", lambda number: number % 2 == 0), resamples=0)
    assert half.counts["missing predictions"] == 24
    checked = 0
    for info in whole.metrics:
        before, after = whole.find(info.name), half.find(info.name)
        assert before is not None
        if after is None or after.value is None or before.value is None:
            continue
        checked += 1
        share = _GIVEN.get(info.name, _GIVEN_GROUPS.get(info.group, ""))
        if (
            share
            and info.name != share
            and not info.name.startswith(("explanation_bleu", "explanation_rouge", "explanation_meteor"))
        ):
            assert after.n < before.n or info.name == "fact_precision", info.name
            assert half.find(share).value <= 0.51 * whole.find(share).value, info.name  # type: ignore[union-attr, operator]
        elif info.higher_is_better:
            assert after.value <= before.value, info.name
        else:
            assert after.value >= before.value, info.name
    assert checked >= 35
    assert set(whole.not_computed) <= {
        name
        for name in registered("gi_bench.metrics")
        # The fixture has no other measure of how sure it was than a confidence, too few texts on either side, and
        # images of which no attribute is known.
        if name.startswith(("bert", "bleurt", "judge"))
        or name == "explanation_completeness"
        or name.endswith(("_log_prob", "_margin", "_entropy", "_wording_auroc"))
    }


def test_a_missing_prediction_is_an_empty_one(tmp_path: Path) -> None:
    missing = score_run(_mixed(tmp_path / "missing", lambda number: number % 2 == 0), resamples=0)
    empty = score_run(
        _with(
            _mixed(tmp_path / "empty"),
            lambda p: p if int(p.img_id[3:]) % 2 == 0 else
            replace(p, answer="" if p.answer is not None else None,
                    explanation="" if p.explanation is not None else None,
                    regions=() if p.regions is not None else None, confidence=None,
                    ground_reply=Reply(state="not given") if p.kind == "phrase" else None),
        ),
        resamples=0,
    )  # fmt: skip
    assert missing.states == empty.states
    for info in missing.metrics:
        assert missing.find(info.name) == empty.find(info.name), info.name
    assert missing.not_computed == empty.not_computed


def test_missing_regions_lower_average_precision(tmp_path: Path) -> None:
    shown = phrases(8)

    def value(folder: Path, keep: int) -> float:
        run = write_run(folder, shown=shown, rows=questions(2))
        _with(run, lambda p: (replace(p, confidence=0.5 + 0.01 * p.index) if p.index < keep else None)
              if p.kind == "phrase" else p)  # fmt: skip
        scores = score_run(run, resamples=0)
        return scores.find("region_average_precision").value  # type: ignore[union-attr, return-value]

    assert value(tmp_path / "whole", 16) == pytest.approx(1.0)
    assert value(tmp_path / "half", 8) == pytest.approx(0.5)


def test_a_model_says_why_its_text_is_empty(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", answer=lambda q: "" if q.index < 3 else "no polyp", explain=lambda q: "")
    filtered = Reply(text="", state="refused")
    _with(run, lambda p: replace(p, answer_reply=filtered, explain_reply=filtered) if p.kind == "question" else p)
    states = score_run(run, resamples=0).states
    assert states["answers"]["all"]["refused"] == 3, "a text is read whatever was stored"
    assert states["answers"]["all"]["not given"] == 0
    assert states["explanations"]["all"]["refused"] == 12


def test_a_refusal_is_not_passed_over() -> None:
    """The words that are looked for first are in every text that the pattern of refusals matches."""
    refusals = [
        *("i am sorry", "my apologies", "i regret that", "as an ai", "i'm just a language model", "i cannot answer"),
        *(
            "we couldn't tell",
            "it was not able to help",
            "i won't say",
            "i will not comment",
            "i do not have to answer",
        ),
        *("it is impossible to say", "hard to tell", "not qualified to judge", "not authorised to reply", "not sure"),
        *("never entirely certain", "no idea", "ask a doctor", "seek medical advice", "not enough context", "no data"),
        *("no comment", "i must decline", "i'd refuse, i refuse", "dunno", "artificial intelligence", "our policies"),
        *("guidelines", "need more detail", "please upload", "not permit any", "no image was provided"),
    ]
    for text in refusals:
        assert replies._REFUSAL.search(text) is None or replies._of_reply(text), text
    matched = [text for text in refusals if replies._REFUSAL.search(text)]
    assert len(matched) > 0.8 * len(refusals)
