"""Text from a language model: a server that speaks OpenAI's protocol, or a local ``transformers`` model.

vLLM, Ollama, llama.cpp and most hosted services speak that protocol. Replies are cached on disk by model and messages,
so that a repeated or resumed job asks nothing twice and gives the same result.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from gi_bench.harness.cache import Cache
from gi_bench.harness.errors import CheckpointError, GiBenchError

# Each with a role and a content: a text, or parts with texts and pictures.
Messages = Sequence[Mapping[str, Any]]

KEY_VARIABLE = "GI_BENCH_JUDGE_KEY"
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_REPLY = 4 * 1024 * 1024
# Replies are dear: they are dropped long after anything else is.
_MOST_REPLY_BYTES = 4 * 1024**3


class LanguageModelError(GiBenchError):
    """A language model cannot be reached, or does not answer as agreed."""


class Chat(Protocol):
    """Anything that continues a conversation."""

    @property
    def name(self) -> str:
        """What a report calls the model; part of the cache's keys."""

    def reply(self, messages: Messages, attempt: int) -> str:
        """The model's reply; ``attempt`` counts from 0 and changes what is asked only by its seed.

        Raises:
            LanguageModelError: no reply can be had.
        """


@dataclass(frozen=True)
class Endpoint:
    """A server with ``/chat/completions`` under a base address.

    Attributes:
        url: base address, ``http`` or ``https``, e.g. ``http://localhost:11434/v1``.
        model: the model's name at that server.
        timeout: seconds until a request is given up.
        retries: further attempts after a failure that may pass (busy, overloaded, connection lost).
        json_reply: ask for a JSON object instead of free text.
        pause: seconds before the first further attempt; doubles each time, unless the server names a time.
        sleep: waits; replaced in tests.

    Raises:
        LanguageModelError: the address is not http or https.
    """

    url: str
    model: str
    timeout: float = 120.0
    retries: int = 4
    json_reply: bool = True
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # a bracket that is not closed, a port that is no number
            fine = False
        if not fine:
            raise LanguageModelError(
                "not an http or https address",
                where=self.url,
                do="give the base address, e.g. http://localhost:8000/v1",
            )

    @property
    def name(self) -> str:
        """The model's name and its host; never the key."""
        return f"{self.model} at {urlsplit(self.url).hostname}"

    def reply(self, messages: Messages, attempt: int) -> str:
        """Ask the server, again where it says that it is busy."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "seed": attempt,
        }
        if self.json_reply:
            body["response_format"] = {"type": "json_object"}
        openai, client = _library(), self._client
        from gi_bench.harness.http_client import ReplyTooLongError

        for failures in range(self.retries + 1):
            try:
                return self._ask(client, body)
            except openai.APIStatusError as error:
                code, headers = error.response.status_code, error.response.headers
                if code not in _RETRIED or failures == self.retries:
                    raise LanguageModelError(
                        f"the server answers {code} {error.response.reason_phrase}", where=self.url
                    ) from error
                self.sleep(_wait(headers.get("Retry-After"), self.pause * 2**failures))
            except openai.APIConnectionError as error:
                reason = error.__cause__ or error
                if isinstance(reason, ReplyTooLongError):
                    raise LanguageModelError(str(reason), where=self.url) from error
                if failures == self.retries:
                    raise LanguageModelError(
                        f"the server cannot be reached: {reason}", where=self.url, do="start it, or check the address"
                    ) from error
                self.sleep(self.pause * 2**failures)
        raise AssertionError("unreachable")

    @cached_property
    def _client(self) -> Any:
        """OpenAI's client over one of ours, which alone decides what is sent: no further attempts, no other headers."""
        from gi_bench.harness.http_client import make_client

        web = make_client(self.url, _key, timeout=self.timeout, most_bytes=_LONGEST_REPLY)
        try:
            # Without a key of its own the library would take that of OpenAI from the environment.
            return _library().OpenAI(api_key="none", base_url=self.url, http_client=web, max_retries=0)
        except Exception as error:  # what is no address to httpx is no single type of error
            raise LanguageModelError(f"not an address: {error}", where=self.url) from error

    def _ask(self, client: Any, body: Mapping[str, Any]) -> str:
        _key()  # OpenAI's library would take an error from below for a lost connection
        content = client.chat.completions.with_raw_response.create(**body).content
        try:
            text = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise LanguageModelError("the reply is not of OpenAI's form", where=self.url) from error
        return text if isinstance(text, str) else ""


def _library() -> Any:
    """OpenAI's package.

    Raises:
        LanguageModelError: it is not installed.
    """
    try:
        import httpx  # noqa: F401
        import openai
    except ImportError as error:
        raise LanguageModelError(
            "asking a server needs the package openai", do="pip install 'gi-bench[served]'"
        ) from error
    return openai


def _key() -> str | None:
    """The key, read again for every request.

    Raises:
        LanguageModelError: no header can hold it; said without showing it.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise LanguageModelError(
            f"the key in {KEY_VARIABLE} holds a line end or a character beyond ASCII", do="set it again without"
        )
    return key


def _wait(named: str | None, otherwise: float) -> float:
    """Seconds that a server asks for, at most a minute; ``otherwise`` where it names none."""
    try:
        return min(60.0, max(0.0, float(named))) if named is not None else otherwise
    except ValueError:
        return otherwise


class LocalModel:
    """A causal language model of ``transformers``, from a folder or the Hugging Face cache; greedy, no remote code."""

    def __init__(self, model: str, *, tokens: int = 400) -> None:
        self._model_name, self._tokens = model, tokens
        self._loaded: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """The folder's or the Hub's name."""
        folder = Path(self._model_name)
        return folder.resolve().name if folder.is_dir() else self._model_name

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            try:
                tokenizer = AutoTokenizer.from_pretrained(self._model_name, local_files_only=True)
                model = AutoModelForCausalLM.from_pretrained(
                    self._model_name, local_files_only=True, use_safetensors=True
                )
            except Exception as error:
                reason = str(error).split("\n")[0][:160]
                raise CheckpointError(
                    f"the judge cannot be loaded: {reason}",
                    where=self._model_name,
                    do="give a folder with safetensors, or a Hub id that is in the cache",
                ) from error
            self._loaded = tokenizer, model.eval()
        return self._loaded

    def reply(self, messages: Messages, attempt: int) -> str:
        """Generate greedily; a further attempt cannot differ and gives an empty reply."""
        if attempt:
            return ""
        import torch

        tokenizer, model = self._load()
        plain = [dict(message) for message in messages]
        if getattr(tokenizer, "chat_template", None):
            text = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
        else:
            text = "\n\n".join(str(message["content"]) for message in plain) + "\n\n"
        limit = int(getattr(model.config, "max_position_embeddings", 4096)) - self._tokens
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=max(16, limit))
        with torch.inference_mode():
            output = model.generate(
                **tokens.to(model.device),
                do_sample=False,
                max_new_tokens=self._tokens,
                pad_token_id=tokenizer.eos_token_id,
            )
        return str(tokenizer.decode(output[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True))


def replies(folder: Path) -> Cache:
    """The cache of replies in a folder."""
    return Cache(folder / "replies.sqlite3", most_bytes=_MOST_REPLY_BYTES)


def ask(
    chat: Chat, messages: Messages, cache: Cache, accept: Callable[[str], bool], *, attempts: int = 3
) -> str | None:
    """The first reply that is accepted, from the cache where it has one.

    Args:
        chat: the model.
        messages: the conversation.
        cache: where accepted replies are kept.
        accept: whether a reply has the form that was asked for.
        attempts: how often to ask at most.

    Returns:
        The reply, or None if none was accepted.

    Raises:
        LanguageModelError: the model cannot be reached.
    """
    known = kept_reply(chat.name, messages, cache)
    if known is not None and accept(known):
        return known
    for attempt in range(attempts):
        reply = chat.reply(messages, attempt)
        if accept(reply):
            cache.put(_key_of(chat.name, messages), reply.encode("utf-8", "surrogatepass"))
            return reply
    return None


def kept_reply(name: str, messages: Messages, cache: Cache) -> str | None:
    """The reply that a cache holds of the model with this name; None where it holds none."""
    kept = cache.get(_key_of(name, messages))
    return None if kept is None else kept.decode("utf-8", "surrogatepass")


def _key_of(name: str, messages: Messages) -> str:
    plain = json.dumps([name, [dict(m) for m in messages]], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(plain.encode("utf-8")).hexdigest()
