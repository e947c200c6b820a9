"""What a user may choose about scoring: encoders and judges. Everything has a default that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.cache import cache_folder


@dataclass(frozen=True)
class MetricSettings:
    """Settings that metrics read from :attr:`gi_bench.harness.store.Run.settings`.

    Attributes:
        bertscore_model: encoder of BERTScore: a Hub id in the cache, or a folder. ``roberta-large`` is the challenge's;
            any other gives numbers that cannot be compared with published ones, and the score says so.
        bertscore_layer: hidden layer whose states are compared; None for the model's own (17 for ``roberta-large``,
            the last one where nothing is known).
        bleurt_model: folder or Hub id of a BLEURT checkpoint; None leaves BLEURT out.
        judge_url: base address of an OpenAI-compatible server, e.g. ``http://localhost:11434/v1``; None for none.
        judge_model: name of the judge's model at that server or, without an address, a folder or Hub id for
            ``transformers``; None leaves the judge out.
        judge_limit: number of rows judged, drawn with a fixed seed; None for all.
        cache: folder for embeddings and verdicts; None for the user's cache folder.
    """

    bertscore_model: str = "roberta-large"
    bertscore_layer: int | None = None
    bleurt_model: str | None = None
    judge_url: str | None = None
    judge_model: str | None = None
    judge_limit: int | None = None
    cache: Path | None = None

    def cache_folder(self) -> Path:
        """Folder for embeddings and verdicts: the chosen one, or that of everything cached."""
        return self.cache if self.cache is not None else cache_folder()


def encoders_state(settings: MetricSettings) -> list[Any] | None:
    """Plain values that change with the encoders that are chosen or come to be there; None where a judge is asked.

    A judge's server may change its mind, and nothing tells.
    """
    if settings.judge_model is not None:
        return None
    from gi_bench.harness.encoders import checkpoint_state

    wanted = [name for name in (settings.bertscore_model, settings.bleurt_model) if name is not None]
    return [[settings.bertscore_layer, settings.bleurt_model], [[name, checkpoint_state(name)] for name in wanted]]
