"""The decoding rules that a checkpoint brings along (``generation_config.json``): read, honoured, or refused by name.

Our search has the rules of Florence-2's own configuration: tokens forced at the first and the last place, no repeated
n-grams, a length penalty, beams that stop as soon as enough replies have ended. A rule that it does not have would
change the replies of whoever follows it, and is never dropped in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.files import refuse_pipes

FILE = "generation_config.json"
# The paper's code searches with three beams, and so do we where the checkpoint does not say.
DEFAULT_BEAMS = 3

_NEVER: tuple[Any, ...] = (None, False, [], {}, "")
# What the search honours, and what is no rule: tokens, lengths that every task has of its own, outputs, caches, and
# what counts for sampling or for an assistant model alone.
_HONOURED = frozenset(
    {"forced_bos_token_id", "forced_eos_token_id", "no_repeat_ngram_size", "length_penalty", "num_beams"}
)
_TOKENS = frozenset({"eos_token_id", "decoder_start_token_id"})
_NO_RULE = frozenset(
    [
        "_from_model_config",
        "transformers_version",
        "_commit_hash",
        "pad_token_id",
        "bos_token_id",
        "max_length",
        "max_new_tokens",
        "use_cache",
        "cache_implementation",
        "cache_config",
        "max_cache_len",
        "return_dict_in_generate",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "output_logits",
        "return_legacy_cache",
        "compile_config",
        "disable_compile",
        "low_memory",
        "prefill_chunk_size",
        "continuous_batching_config",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "top_h",
        "typical_p",
        "epsilon_cutoff",
        "eta_cutoff",
        "is_assistant",
        "num_assistant_tokens",
        "num_assistant_tokens_schedule",
        "assistant_confidence_threshold",
        "assistant_early_exit",
        "assistant_lookbehind",
        "target_lookbehind",
        "assistant_ensemble_weight",
        "max_matching_ngram_size",
        "speculation_type",
    ]
)
# Values at which a rule that the search does not have changes nothing, beside those of _NEVER.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1, 1.0),
    "encoder_repetition_penalty": (1, 1.0),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "diversity_penalty": (0, 0.0),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "guidance_scale": (1, 1.0),
    "penalty_alpha": (0, 0.0),
    "prompt_lookup_num_tokens": (0,),
}


@dataclass(frozen=True)
class CheckpointRules:
    """The rules of a checkpoint that the search keeps to.

    Attributes:
        forced_first, forced_last: tokens forced at the first and at the last possible place; None for neither.
        no_repeat: n-grams of this length never occur twice; 0 allows them.
        length_penalty: exponent of a reply's length.
        beams: as the file says; None where it does not.
        ignored: what the file holds and was not kept to because the user said so; None where nothing was ignored.
    """

    forced_first: int | None = None
    forced_last: int | None = None
    no_repeat: int = 0
    length_penalty: float = 1.0
    beams: int | None = None
    ignored: tuple[str, ...] | None = None

    def of_search(self) -> dict[str, Any]:
        """The fields of :class:`gi_bench.baselines.florence2.search.Rules` that a checkpoint decides."""
        return {
            "forced_first": self.forced_first,
            "forced_last": self.forced_last,
            "no_repeat": self.no_repeat,
            "length_penalty": self.length_penalty,
        }

    def describe(self) -> dict[str, Any]:
        """The rules as they go into a run's recipe; rules that were ignored are part of it."""
        return self.of_search() | ({} if self.ignored is None else {"ignored_rules": list(self.ignored)})


def read_file(folder: Path) -> dict[str, Any] | None:
    """The content of a checkpoint's file; None where there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder / FILE
    refuse_pipes(folder, CheckpointError)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(folder, f"cannot read it: {str(error)[:120]}") from error
    if not isinstance(content, dict):
        raise _refused(folder, "it is no JSON object")
    return content


def checkpoint_rules(content: Mapping[str, Any], folder: Path, *, ignore: bool = False) -> CheckpointRules:
    """The rules that the search keeps to.

    Args:
        content: of the file.
        folder: for the message.
        ignore: go on without any of the file's rules.

    Raises:
        CheckpointError: it holds a rule that the search does not have, or a value that is none.
    """
    if ignore:
        return CheckpointRules(ignored=tuple(sorted(key for key in content if _is_rule(key, content[key]))))
    foreign = sorted(key for key in content if key not in _HONOURED and _is_rule(key, content[key]))
    if foreign:
        first = foreign[0]
        more = f" (and {len(foreign) - 1} more: {', '.join(foreign[1:4])})" if len(foreign) > 1 else ""
        raise _refused(folder, f"it has a rule that our search does not have: {first} = {_short(content[first])}{more}")
    return CheckpointRules(
        forced_first=_whole(content, "forced_bos_token_id", folder),
        forced_last=_whole(content, "forced_eos_token_id", folder),
        no_repeat=_whole(content, "no_repeat_ngram_size", folder) or 0,
        length_penalty=_number(content, "length_penalty", folder),
        beams=_whole(content, "num_beams", folder, least=1),
    )


def check_tokens(content: Mapping[str, Any], folder: Path, *, end: int | None, start: int | None) -> None:
    """Refuse a file that ends or starts replies with other tokens than tokenizer and network do.

    Args:
        content: of the file.
        folder: for the message.
        end: the tokenizer's end token.
        start: the token that starts the network's decoder.

    Raises:
        CheckpointError: it names another token.
    """
    for key, known, whose in (
        ("eos_token_id", end, "the tokenizer's end token"),
        ("decoder_start_token_id", start, "the decoder's start token in config.json"),
    ):
        said = content.get(key)
        if said is not None and (said if isinstance(said, list) else [said]) != [known]:
            raise _refused(folder, f"{key} is {_short(said)}, {whose} {known}")


def _is_rule(key: str, value: Any) -> bool:
    """Whether a key of the file says something about the replies, at this value."""
    if key in _NO_RULE or key in _TOKENS:
        return False
    if key == "early_stopping":  # our search stops early: the file's False is a rule, its True is what we do
        return value is not None and value is not True
    if any(value is one or (type(value) is type(one) and value == one) for one in _NEVER):
        return False
    return not any(type(value) is type(one) and value == one for one in _NEUTRAL.get(key, ()))


def _whole(content: Mapping[str, Any], key: str, folder: Path, *, least: int = 0) -> int | None:
    value = content.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
        raise _refused(folder, f"{key} is {_short(value)}, a whole number from {least} is needed")
    return value


def _number(content: Mapping[str, Any], key: str, folder: Path) -> float:
    value = content.get(key)
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 100:
        raise _refused(folder, f"{key} is {_short(value)}, a number is needed")
    return float(value)


def _short(value: Any) -> str:
    return json.dumps(value, default=str)[:60]


def _refused(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint's decoding rules cannot be kept to: {why}",
        where=folder / FILE,
        do="go on without any rule of this file with --ignore-generation-config",
    )
