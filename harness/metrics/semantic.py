"""BERTScore, where its model is there; never downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.metrics.base import Metric, Statistics, ratio
from harness.metrics.text import Pairs, text_statistics
from harness.schema import MetricInfo

if TYPE_CHECKING:
    from harness.store import Run

MODEL = "roberta-large"
LAYER = 17  # the layer that bert-score recommends for roberta-large


def _unavailable() -> str | None:
    """Why BERTScore cannot be computed here, or None."""
    from importlib.util import find_spec

    if find_spec("bert_score") is None:
        return "the package bert-score is not installed: pip install bert-score"
    from huggingface_hub import try_to_load_from_cache

    for name in ("model.safetensors", "config.json"):
        if not isinstance(try_to_load_from_cache(f"FacebookAI/{MODEL}", name), str) and not isinstance(
            try_to_load_from_cache(MODEL, name), str
        ):
            return f"the weights of {MODEL} are not in the Hugging Face cache: download them once with network access"
    return None


def _f1(pairs: Pairs) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """F1 of every pair with the weight 1, each distinct pair scored once."""
    from bert_score import score

    distinct = list(dict.fromkeys(pairs))
    _, _, f1 = score([p for p, _ in distinct], [r for _, r in distinct], model_type=MODEL, num_layers=LAYER)
    values = dict(zip(distinct, f1.tolist(), strict=True))
    return np.array([(values[pair], 1.0) for pair in pairs])


def compute(run: Run) -> Statistics | str:
    """BERTScore F1 of the answers, or the reason why not."""
    reason = _unavailable()
    return reason if reason is not None else text_statistics(run, _f1, ratio)


METRICS: list[Metric] = [
    Metric(
        MetricInfo(
            "bertscore",
            "BERTScore F1",
            "Mean F1 of contextual embeddings of roberta-large (layer 17), without idf and without rescaling.",
            "Zhang et al. 2020; organisers' extended metrics",
        ),
        compute,
    )
]
