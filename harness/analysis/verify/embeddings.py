"""BERTScore by bert-score, where that is right under the installed transformers and the encoder is on this machine."""

from __future__ import annotations

import contextlib
import io
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gi_bench.harness.analysis.verify.methods import Method, Rows, Unavailable, library_version
from gi_bench.harness.analysis.verify.texts import answers
from gi_bench.harness.encoders import find_checkpoint, quiet
from gi_bench.harness.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from gi_bench.harness.store import Run

_DEFAULT = "roberta-large"
_PACKAGED = "all-MiniLM-L6-v2"  # what --bertscore-model offline stands for
_LAYER = re.compile(r"\(layer (\d+)\)")


def _bertscore(run: Run) -> Rows | str | Unavailable:
    """bert-score's F1 with the encoder and the layer that the stored definition names."""
    texts = answers(run)
    if isinstance(texts, str):
        return texts
    definition = next((info.definition for info in run.scores.metrics if info.name == "bertscore"), None)
    if definition is None:
        return run.scores.not_computed.get("bertscore", "scores.json has no BERTScore")
    if find_spec("bert_score") is None:
        return Unavailable("bert-score is not installed", "pip install bert-score")
    layer = _LAYER.search(definition)
    wanted = run.settings.bertscore_model
    if wanted == _DEFAULT and _PACKAGED in definition:
        wanted = "offline"
    repo = f"FacebookAI/{wanted}" if wanted == _DEFAULT else wanted
    try:
        checkpoint = find_checkpoint(wanted, run.settings.cache_folder(), f"fetch it once with: hf download {repo}")
    except CheckpointError as error:
        return Unavailable(error.line())
    if layer is None or checkpoint.label not in definition:
        return Unavailable(f"the scores were made with another encoder than {wanted}", "give it with --bertscore-model")
    # bert-score writes lines of its own to standard error.
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        if reason := _defect(checkpoint.folder):
            return Unavailable(reason)
        pairs = [pair for pair in texts.distinct() if pair[0].strip() and pair[1].strip()]
        values = dict(zip(pairs, _f1(pairs, checkpoint.folder, int(layer.group(1))), strict=True)) if pairs else {}
    # bert-score gives 0 to a text without a word; under transformers 5 it cannot encode one.
    for pair in texts.distinct():
        values.setdefault(pair, 0.0)
    return texts.mean(values, f"score(model_type={checkpoint.name!r}, num_layers={layer.group(1)}), mean of F1")


def _defect(folder: Path) -> str | None:
    """Why bert-score does not do with this tokenizer what its authors meant it to; None if it does."""
    from bert_score.utils import get_tokenizer, sent_encode

    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and '"auto_map"' in path.read_text(encoding="utf-8", errors="replace"):
            return "the encoder brings code of its own, which bert-score would offer to run"
    together = f"{library_version('bert-score')} under {library_version('transformers')}"
    try:
        tokenizer = get_tokenizer(str(folder))
        one, two = (
            [token for token in sent_encode(tokenizer, text) if token not in tokenizer.all_special_ids]
            for text in ("polyp", "polyp polyp")
        )
    except Exception as error:  # it calls what a newer transformers may have dropped
        return f"{together} cannot encode a text ({type(error).__name__}: {error})"
    if one * 2 != two and re.search("Roberta|GPT2", type(tokenizer).__name__):
        return f"{together} leaves out the space before the first word that this encoder expects"
    return None


def _f1(pairs: list[tuple[str, str]], folder: Path, layer: int) -> list[float]:
    from bert_score import score

    predictions, references = ([pair[side] for pair in pairs] for side in (0, 1))
    found: Any = score(predictions, references, model_type=str(folder), num_layers=layer, verbose=False)
    return [float(value) for value in found[2]]


METHODS: tuple[Method, ...] = (
    Method(
        "bertscore",
        "bert-score",
        _bertscore,
        tolerance=1e-3,
        why="gi-bench encodes in half precision on a GPU; in single precision the order of a batch moves the 6th digit",
    ),
)

__all__ = ["METHODS"]
