"""Text metrics against the implementations that the field uses."""

from __future__ import annotations

import itertools
import json
import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gi_bench.harness.metrics import text
from gi_bench.harness.metrics.meteor import cut_words, meteor, meteor_scores, stem, tokenize
from gi_bench.harness.metrics.overlap import shared_ngrams
from gi_bench.harness.metrics.tokens import Block, cut_13a, cut_rouge, tokenize_13a, tokenize_rouge

EDGES = [
    ("", "one polyp"),
    ("one polyp", "one polyp"),
    ("...", "one polyp"),
    ("polyp", "polyp."),
    ("Ünïcode – naïve 5–10 mm polyp", "naïve polyp of 5–10 mm"),
    ("polyp " * 500, "polyp"),
    ("a b c d e f", "f e d c b a"),
    ("it's 3.5mm, isn't it? (yes) &amp; no", "It is 3.5 mm; isn't it - no"),
    ("1,000 polyps at 10-15 mm.", "1,000 polyps at 10-15 mm"),
    ("NO POLYPS", "no polyps"),
    ("x", ""),
    ("", ""),
    ("A polyp. No text. 5-10 mm, red; 1,5 cm.", "a polyp; no text. 5 - 10 mm, red, 1.5 cm"),
    ("I cannot see it--really,, no", "cannot see it -- really, no"),
    ("line one\nline two-\nthree", "line one line twothree"),
    ("car autos", "auto cars"),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(16, id="every sixteenth row"),
        pytest.param(1, id="all rows", marks=pytest.mark.slow(reason="minutes in the reference implementations")),
    ],
)
def references(request: pytest.FixtureRequest, shared: Path) -> list[str]:
    """Real answers: 998 of them, and in the slow tests all 15,955."""
    table = pq.read_table(shared / "data/kvasir-vqa-x1/test.parquet", columns=["answer"])
    return list(table["answer"].to_pylist())[:: request.param]


def _kinds(references: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Four kinds of predictions for real references."""
    yield "copies", references
    shuffled = references[:]
    random.Random(0).shuffle(shuffled)
    yield "shuffled answers", shuffled
    yield "most frequent answer", [Counter(references).most_common(1)[0][0]] * len(references)
    yield (
        "shuffled words",
        [" ".join(random.Random(i).sample(r.split(), len(r.split()))) for i, r in enumerate(references)],
    )


def _reference_bleu(predictions: list[str], references: list[str]) -> float:
    """Corpus BLEU as the definition states it, written down a second time and independently."""
    clipped, possible = [0] * 4, [0] * 4
    ours = theirs = 0
    for prediction, reference in zip(predictions, references, strict=True):
        a, b = tuple(tokenize_13a(prediction)), tuple(tokenize_13a(reference))
        ours, theirs = ours + len(a), theirs + len(b)
        for n in range(1, 5):
            grams = Counter(a[i : i + n] for i in range(len(a) - n + 1))
            wanted = Counter(b[i : i + n] for i in range(len(b) - n + 1))
            clipped[n - 1] += sum(min(count, wanted[gram]) for gram, count in grams.items())
            possible[n - 1] += max(0, len(a) - n + 1)
    if min(clipped) == 0:
        return 0.0
    precision = math.exp(sum(math.log(c / p) for c, p in zip(clipped, possible, strict=True)) / 4)
    return precision * (1.0 if ours > theirs else math.exp(1 - theirs / ours))


def test_bleu_equals_sacrebleu_on_real_references(references: list[str]) -> None:
    from sacrebleu.metrics import BLEU

    reference = BLEU(tokenize="13a", smooth_method="none", lowercase=False)
    for kind, predictions in _kinds(references):
        expected = reference.corpus_score(predictions, [references]).score / 100
        assert text.bleu(predictions, references) == pytest.approx(expected, abs=1e-9), kind
        assert text.bleu(predictions, references) == pytest.approx(_reference_bleu(predictions, references), abs=1e-9)


def test_bleu_on_edge_cases() -> None:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    for prediction, reference in EDGES:
        for side in (prediction, reference):
            assert tokenize_13a(side) == Tokenizer13a()(side).split()
        assert text.bleu([prediction], [reference]) == pytest.approx(_reference_bleu([prediction], [reference]))
    assert text.bleu(["one two three"], ["one two three"]) == 0.0, "no 4-gram: no smoothing"
    assert text.bleu(["ONE POLYP IS SEEN"], ["one polyp is seen"]) == 0.0, "case counts"
    assert math.isnan(text.bleu([], []))
    with pytest.raises(ValueError, match="zip"):
        text.bleu(["a"], [])


def test_rouge_equals_rouge_score(references: list[str]) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    pairs = list(EDGES)
    for _, predictions in _kinds(references):
        pairs += list(zip(predictions, references, strict=True))
    for (prediction, reference), row in zip(pairs, text.rouge_scores(pairs), strict=True):
        expected = scorer.score(reference, prediction)
        for found, name in zip(row, ("rouge1", "rouge2", "rougeL"), strict=True):
            assert found == pytest.approx(expected[name].fmeasure, abs=1e-12), (name, prediction, reference)


def test_sacrebleu_and_chrf_equal_sacrebleu(references: list[str]) -> None:
    from sacrebleu.metrics import BLEU, CHRF

    kinds = {kind: (predictions, references) for kind, predictions in _kinds(references)}
    kinds["edges"] = ([p for p, _ in EDGES], [r for _, r in EDGES])
    kinds |= {f"edge {i}": ([p], [r]) for i, (p, r) in enumerate(EDGES)}
    for kind, (predictions, wanted) in kinds.items():
        pairs = list(zip(predictions, wanted, strict=True))
        counted = BLEU()._extract_corpus_statistics(predictions, [wanted])
        sums = text.bleu_rows(pairs).sum(axis=0)
        bleu, plain = (BLEU(smooth_method=name)._aggregate_and_compute(counted) for name in ("exp", "none"))
        assert text.sacrebleu_value(sums) == pytest.approx(bleu.score, abs=1e-9), kind
        assert 100 * text.bleu_value(sums) == pytest.approx(plain.score, abs=1e-9), kind
        rows, expected = text.chrf_rows(pairs), CHRF()._extract_corpus_statistics(predictions, [wanted])
        assert np.array_equal(rows, np.array(expected)), kind
        chrf = CHRF()._aggregate_and_compute(expected)
        assert text.chrf_value(rows.sum(axis=0)) == pytest.approx(chrf.score, abs=1e-9), kind
    definitions = {metric.name: metric.info.definition for metric in text.METRICS}
    for name, metric in {"bleu": BLEU(smooth_method="none"), "sacrebleu": BLEU(), "chrf": CHRF()}.items():
        # The library's release is no part of what is computed.
        assert str(_signed(metric).get_signature()).split("|version")[0] in definitions[name]


def _signed(metric: Any) -> Any:
    metric.corpus_score(["a"], [["a"]])
    return metric


# The alphabet on which the fast paths of the tokenizers have to agree with the full ones.
_NEAR_PLAIN = st.text(alphabet="abXY 059.,;:/-'\"!?()<>&%\n\t\u00e9\u2019", max_size=40)
_WORDS = st.lists(
    st.sampled_from(["cannot", "polyp", "5-10", "mm.", "a,b", "1,5", "e.g.", "Dr.", "gonna", "--", ";", "it's", "x/y"]),
    max_size=8,
).map(" ".join)


@given(st.lists(st.one_of(_NEAR_PLAIN, _WORDS), max_size=6))
@settings(max_examples=400, deadline=None)
def test_texts_cut_together_equal_texts_cut_alone(texts: list[str]) -> None:
    assert cut_13a(texts) == [tokenize_13a(t) for t in texts]
    assert cut_rouge(texts) == [tokenize_rouge(t) for t in texts] or not texts
    assert cut_words(texts) == [tokenize(t) for t in texts]


def test_scores_do_not_depend_on_the_other_rows(references: list[str]) -> None:
    pairs = [*EDGES, *itertools.pairwise(references[:300])]
    alone = [text.rouge_scores([pair])[0] for pair in pairs]
    assert np.array_equal(text.rouge_scores(pairs), np.array(alone))
    assert np.array_equal(meteor_scores(pairs), [meteor(*pair) for pair in pairs])
    assert np.array_equal(text.bleu_rows(pairs), np.concatenate([text.bleu_rows([pair]) for pair in pairs]))


@pytest.mark.parametrize("alphabet", [2, 300, 40_000, 2**31 - 1])
def test_shared_ngrams_equal_counted_ones(alphabet: int) -> None:
    chance = np.random.default_rng(alphabet)
    ours, theirs = (chance.integers(alphabet - min(alphabet, 90), alphabet, (70, width)) for width in (60, 45))
    lengths = chance.integers(0, 61, 70), chance.integers(0, 46, 70)
    block = Block(np.arange(70), ours.astype(np.int32), theirs.astype(np.int32), *lengths)
    for order, found in enumerate(shared_ngrams(block, 6), start=1):
        for row in range(70):
            a, b = (
                Counter(tuple(side[row, i : i + order]) for i in range(int(length[row]) - order + 1))
                for side, length in ((ours, lengths[0]), (theirs, lengths[1]))
            )
            assert found[row] == (a & b).total()


def test_very_long_texts_are_counted_without_a_square_of_their_length() -> None:
    words = " ".join(f"w{i % 700}" for i in range(9000))
    pairs = [(words, words[:-3]), ("polyp", words)]
    for prediction, reference in pairs:
        assert text.bleu([prediction], [reference]) == pytest.approx(_reference_bleu([prediction], [reference]))
    assert meteor(words, words) == pytest.approx(1 - 0.5 / 9000**3)


def test_meteor_equals_nltk(references: list[str], shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NLTK's own WordNet and punkt_tab, from a copy outside the project."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.data import FileSystemPathPointer
    from nltk.tokenize import word_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    folder = shared / "nltk_data"
    if not folder.is_dir():
        pytest.skip(f"no NLTK data at {folder}")
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    wordnet: Any = WordNetCorpusReader(FileSystemPathPointer(str(folder / "corpora/wordnet")), None)
    pairs = [*EDGES, ("Dr. Smith saw it. It is e.g. red. 3.5 mm.", "Dr. Smith saw red at 3.5 mm. e.g. it.")]
    for _, predictions in _kinds(references):
        pairs += list(zip(predictions, references, strict=True))
    for (prediction, reference), found in zip(pairs, meteor_scores(pairs), strict=True):
        ours, theirs = word_tokenize(prediction), word_tokenize(reference)
        assert tokenize(prediction) == [token.lower() for token in ours]
        expected = single_meteor_score(theirs, ours, wordnet=wordnet)
        assert found == pytest.approx(expected, abs=1e-12), (prediction, reference)


def test_nltk_stays_whole_for_others() -> None:
    """The stemmer and tokenizers of METEOR are loaded without the rest of NLTK, and nothing is left half loaded."""
    code = (
        "import sys; from gi_bench.harness.metrics.meteor import stem, tokenize\n"
        "assert (stem('polyps'), tokenize('It\\'s one. No two.')) == "
        "('polyp', ['it', \"'s\", 'one', '.', 'no', 'two', '.'])\n"
        "assert not {'nltk', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "import nltk; assert nltk.stem.PorterStemmer().stem('polyps') == 'polyp'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_synonyms_equal_wordnet(references: list[str], shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.data import FileSystemPathPointer

    from gi_bench.harness.metrics.wordnet import synonyms

    folder = shared / "nltk_data/corpora/wordnet"
    if not folder.is_dir():
        pytest.skip(f"no WordNet at {folder}")
    monkeypatch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
    wordnet: Any = WordNetCorpusReader(FileSystemPathPointer(str(folder)), None)
    words = {token for reference in references for token in tokenize(reference)}
    words |= {stem(word) for word in words} | set(sorted(wordnet.all_lemma_names())[::41]) | {"mice", "went", "-s"}
    for word in words:
        expected = {n for s in wordnet.synsets(word) for n in s.lemma_names() if "_" not in n}
        assert synonyms(word) == expected, word


def test_punkt_parameters_equal_nltk_s(shared: Path) -> None:
    from punkt.data import english

    folder = shared / "nltk_data/tokenizers/punkt_tab/english"
    if not folder.is_dir():
        pytest.skip(f"no punkt_tab at {folder}")
    lines = {name: (folder / name).read_text(encoding="utf-8").splitlines() for name in (
        "abbrev_types.txt", "sent_starters.txt", "collocations.tab", "ortho_context.tab")}  # fmt: skip
    assert set(english.ABBREV_TYPES) == set(lines["abbrev_types.txt"])
    assert set(english.SENT_STARTERS) == set(lines["sent_starters.txt"])
    assert set(english.COLLOCATIONS) == {tuple(line.split("\t")) for line in lines["collocations.tab"]}
    expected = {word: int(code) for word, code in (line.split("\t") for line in lines["ortho_context.tab"])}
    assert expected == english.ORTHO_CONTEXT


def test_known_values_without_any_real_data() -> None:
    """Values worked out by hand, so that the definitions are held on every machine."""
    assert text.rouge_scores([("one red polyp", "one polyp")])[0] == pytest.approx((0.8, 0.0, 0.8))
    # 2 of 2 words match in one chunk: (1 - .5 * (1/2)^3) * 1
    assert meteor("one polyp", "one polyp") == pytest.approx(1 - 0.5 / 8)
    # "lesions" and "lesion" match by stem, "car" and "auto" by synonym
    assert meteor("car lesions", "auto lesion") == pytest.approx(1 - 0.5 / 8)
    assert meteor("", "polyp") == meteor("polyp", "") == 0.0
    assert text.exact_match(" One Polyp", "one polyp ") == 1.0


def test_a_real_submission_gets_its_official_scores(shared: Path) -> None:
    """Team FAST-NU-DS, 2025: transcribed file with the scores of the organisers' template."""
    rows = pq.read_table(shared / "data/kvasir-vqa-x1/test.parquet", columns=["img_id", "answer"]).to_pylist()
    official = [rows[i] for i in np.random.default_rng(42).permutation(len(rows))[:1500]]
    submitted = json.loads((shared / "data/outputs/predictions_1.FAST-NU-DS.json").read_text(encoding="utf-8"))
    predictions = [entry["answer"] for entry in submitted["predictions"]]
    references = [row["answer"] for row in official]
    found = text.corpus_scores(list(zip(predictions, references, strict=True)))
    expected = {"bleu": 0.0033, "rouge1": 0.0853, "rouge2": 0.0193, "rougeL": 0.0820, "meteor": 0.057}
    assert found == pytest.approx(expected, abs=1e-3)


def test_sacrebleu_differs_from_the_library_on_line_ends_only() -> None:
    """The library strips a text's end first, and so keeps a hyphen that tokenizer 13a takes away with the line end."""
    from sacrebleu.metrics import BLEU, CHRF

    reference = "a red polyp of 5 mm lies in the upper left, text-"
    same = ("{}", "{}\n", "{} \r\n", "\n{}", "{}\t", "{}\x0b")
    kept = "a red polyp of 5 mm\nlies in the up-\nper left, text"
    ends = [form.format(kept) for form in same] + [kept + "- ", kept + "-\r\n"]
    differing = [kept + "-\n", kept + "-\n\n", kept + "-\n  "]

    def ours(prediction: str) -> float:
        return float(text.sacrebleu_value(text.bleu_rows([(prediction, reference)]).sum(axis=0)))

    def theirs(prediction: str) -> float:
        return float(BLEU().corpus_score([prediction], [[reference]]).score)

    for prediction in ends:
        assert ours(prediction) == pytest.approx(theirs(prediction), abs=1e-9), prediction
    for prediction in differing:
        assert ours(prediction) == pytest.approx(theirs(kept), abs=1e-9)
        assert theirs(prediction) == pytest.approx(theirs(kept + "-"), abs=1e-9)
        assert abs(ours(prediction) - theirs(prediction)) > 1
    for prediction in (*ends, *differing):
        found = float(text.chrf_value(text.chrf_rows([(prediction, reference)]).sum(axis=0)))
        assert found == pytest.approx(CHRF().corpus_score([prediction], [[reference]]).score, abs=1e-9)
    definition = next(metric.info.definition for metric in text.METRICS if metric.name == "sacrebleu")
    assert "hyphen and a line end" in definition
