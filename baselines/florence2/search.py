"""Greedy and beam search over a step decoder, with the confidence of every token kept on the way.

The rules are those of ``transformers``' beam search, which the paper's code ran: hypotheses are ranked by the sum
of log-probabilities, a finished one by its sum over its length to the power of the length penalty; a prompt is done
when as many hypotheses as there are beams have ended (``early_stopping=True``) or the length is used up. One beam
is greedy search. Prompts do not influence each other; one that is done leaves the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gi_bench.harness.errors import RunError

if TYPE_CHECKING:
    import torch

    from gi_bench.baselines.florence2.decoder import Cache, Memory, StepDecoder
    from gi_bench.baselines.florence2.grammar import RegionGrammar

TOP_K = 5
MEASURED = 4  # numbers kept of every step


@dataclass(frozen=True)
class Rules:
    """What decides the search beside the network.

    Attributes:
        beams: hypotheses a prompt; 1 is greedy.
        limit: longest reply in tokens.
        start, end: token that starts the decoder, token that ends a reply.
        forced_first, forced_last: tokens forced at the first and at the last possible step, None for neither.
        no_repeat: n-grams of this length never occur twice; 0 allows them.
        length_penalty: exponent of the length.
        grammar: what the reply has to be; None for any text. Log-probabilities stay those of the free network.
    """

    beams: int
    limit: int
    start: int
    end: int
    forced_first: int | None = None
    forced_last: int | None = None
    no_repeat: int = 0
    length_penalty: float = 1.0
    grammar: RegionGrammar | None = None


@dataclass(frozen=True)
class Hypothesis:
    """One finished reply.

    Attributes:
        tokens: generated tokens, the end token included.
        score: sum of log-probabilities over length ** length_penalty.
        steps: (tokens, 4) top-k mass, log-probability of the token, margin between the two likeliest tokens, entropy of
            the distribution as a share of log(vocabulary).
    """

    tokens: tuple[int, ...]
    score: float
    steps: torch.Tensor


@dataclass
class _Live:
    """The prompts still running: their positions, hypotheses (n, beams, ...) and what they read."""

    prompts: torch.Tensor
    tokens: torch.Tensor
    scores: torch.Tensor
    steps: torch.Tensor
    memory: Memory


@dataclass(frozen=True)
class _Candidates:
    """The 2 x beams best continuations of every prompt, best first.

    Attributes:
        scores, origins, tokens: summed scores, the hypothesis each continues, its token: (n, 2 x beams).
        steps: (n, 2 x beams, 4) what :class:`Hypothesis` keeps of the step.
    """

    scores: torch.Tensor
    origins: torch.Tensor
    tokens: torch.Tensor
    steps: torch.Tensor


def search(decoder: StepDecoder, memory: Memory, rules: Rules) -> list[Hypothesis]:
    """The best reply to every prompt of ``memory``.

    Raises:
        RunError: the network computes NaN or infinity.
    """
    import torch

    count, beams = memory.keys[0].shape[0], rules.beams
    device = memory.keys[0].device
    live = _Live(
        prompts=torch.arange(count),
        tokens=torch.full((count, beams, 1), rules.start, dtype=torch.int64, device=device),
        scores=torch.full((count, beams), -1e9, device=device),
        steps=torch.empty((count, beams, 0, MEASURED), device=device),
        memory=memory,
    )
    live.scores[:, 0] = 0.0  # all hypotheses are equal at first: only one of them may branch
    finished: list[list[Hypothesis]] = [[] for _ in range(count)]
    cache = decoder.cache(count * beams, rules.limit)
    for length in range(1, rules.limit + 1):
        logits = decoder.step(live.tokens[:, :, -1], live.memory, cache)
        found = _candidates(logits, live, rules, length)
        ends = found.tokens == rules.end if length < rules.limit else torch.ones_like(found.tokens, dtype=torch.bool)
        _collect(live, finished, rules, length, found, ends)
        if length == rules.limit:
            break
        # Twice as many candidates as beams are looked at, and every hypothesis ends in one way only: enough go on.
        order = (found.scores + ends * -1e9).topk(beams, dim=1).indices
        origins, tokens = found.origins.gather(1, order), found.tokens.gather(1, order)
        history = live.tokens.gather(1, origins[:, :, None].expand(-1, -1, length))
        live.tokens = torch.cat([history, tokens[:, :, None]], dim=2)
        live.scores = found.scores.gather(1, order)
        past = live.steps.gather(1, origins[:, :, None, None].expand(-1, -1, length - 1, MEASURED))
        now = found.steps.gather(1, order[:, :, None].expand(-1, -1, MEASURED))
        live.steps = torch.cat([past, now[:, :, None]], dim=2)
        open_ = torch.tensor([len(finished[i]) < beams for i in live.prompts.tolist()], device=device)
        if not bool(open_.any()):
            break
        _carry_on(live, cache, origins, open_)
    return [max(ended, key=lambda hypothesis: hypothesis.score) for ended in finished]


def _candidates(logits: torch.Tensor, live: _Live, rules: Rules, length: int) -> _Candidates:
    """The best continuations of every prompt."""
    import torch

    count, beams, vocabulary = logits.shape
    wanted = min(2 * beams, vocabulary)
    total = logits.logsumexp(dim=-1, keepdim=True)
    if not bool(torch.isfinite(total).all()):
        raise RunError(
            "the model computes NaN or infinity instead of probabilities",
            do="use --dtype float32 (float16 overflows where bfloat16 and float32 do not)",
        )
    top = logits.topk(min(max(wanted, TOP_K), vocabulary), dim=-1)
    likeliest = (top.values - total).exp()
    mass = likeliest[..., :TOP_K].sum(-1)
    margin = likeliest[..., 0] - likeliest[..., 1]
    entropy = torch.special.entr((logits - total).exp()).sum(-1) / math.log(vocabulary)
    forced = rules.forced_first if length == 1 else rules.forced_last if length == rules.limit else None
    if forced is not None:
        allowed = torch.full((count, beams, wanted), float("-inf"), device=logits.device)
        allowed[..., 0] = 0.0
        values, tokens = allowed, torch.full_like(allowed, forced, dtype=torch.int64)
    else:
        usable = _ban_repeats(logits, live.tokens, rules.no_repeat)
        if rules.grammar is not None:
            usable = rules.grammar.hold(logits if usable is None else usable, live.tokens)
        picked = top if usable is None else usable.topk(wanted, dim=-1)
        values, tokens = picked.values[..., :wanted] - total, picked.indices[..., :wanted]
    summed = (values + live.scores[:, :, None]).reshape(count, -1)
    best = summed.topk(wanted, dim=1)
    origins = best.indices // wanted
    chosen = tokens.reshape(count, -1).gather(1, best.indices)
    rows = torch.arange(count, device=logits.device)[:, None]
    log_probability = logits[rows, origins, chosen] - total[rows, origins, 0]
    steps = torch.stack([mass[rows, origins], log_probability, margin[rows, origins], entropy[rows, origins]], dim=-1)
    return _Candidates(best.values, origins, chosen, steps)


def _ban_repeats(logits: torch.Tensor, tokens: torch.Tensor, size: int) -> torch.Tensor | None:
    """A copy of the logits without tokens that would repeat an n-gram; None if nothing is banned."""
    length = tokens.shape[2]
    if size < 1 or length < size:
        return None
    grams = tokens.unfold(2, size, 1)  # (n, beams, places, size)
    tail = tokens[:, :, length - size + 1 :]
    repeats = (grams[..., : size - 1] == tail[:, :, None, :]).all(dim=-1)
    if not bool(repeats.any()):
        return None
    banned = logits.clone()
    prompt, beam, place = repeats.nonzero(as_tuple=True)
    banned[prompt, beam, grams[prompt, beam, place, size - 1]] = float("-inf")
    return banned


def _collect(
    live: _Live,
    finished: list[list[Hypothesis]],
    rules: Rules,
    length: int,
    candidates: _Candidates,
    ends: torch.Tensor,
) -> None:
    """Keep the continuations that end among the best ``beams`` of their prompt; the others only stand by."""
    import torch

    for row, place in ends[:, : rules.beams].nonzero().tolist():
        score = float(candidates.scores[row, place])
        if score < -1e8:  # continues a hypothesis that does not exist
            continue
        origin = int(candidates.origins[row, place])
        said = (*live.tokens[row, origin, 1:].tolist(), int(candidates.tokens[row, place]))
        kept = torch.cat([live.steps[row, origin], candidates.steps[row, place][None]])
        found = Hypothesis(said, score / length**rules.length_penalty, kept.cpu())
        finished[int(live.prompts[row])].append(found)


def _carry_on(live: _Live, cache: Cache, origins: torch.Tensor, open_: torch.Tensor) -> None:
    """Give every hypothesis the history of the one that it continues, and drop prompts that are done."""
    import torch

    count, beams = origins.shape
    rows = origins + torch.arange(count, device=origins.device)[:, None] * beams
    kept = open_.nonzero()[:, 0]
    if len(kept) < count:
        rows = rows[kept]
        live.prompts = live.prompts[kept.cpu()]
        live.tokens, live.scores, live.steps = live.tokens[kept], live.scores[kept], live.steps[kept]
        live.memory = live.memory.select(kept)
    flat = rows.reshape(-1)
    if len(kept) < count or not torch.equal(flat, torch.arange(len(flat), device=flat.device)):
        cache.reorder(flat)


def confidences(hypothesis: Hypothesis) -> tuple[float, float, float, float]:
    """Mean top-k mass (k = 5; the paper's score), token log-probability, margin and normalised entropy of one reply."""
    mass, log_probability, margin, entropy = hypothesis.steps.double().mean(dim=0).tolist()
    return min(1.0, mass), min(0.0, log_probability), margin, min(1.0, entropy)


def token_log_probs(hypothesis: Hypothesis) -> tuple[float, ...]:
    """Log-probability of every token of one reply, the end token included, at most 0."""
    return tuple(min(0.0, float(value)) for value in hypothesis.steps[:, 1].tolist())


__all__: Sequence[str] = ["TOP_K", "Hypothesis", "Rules", "confidences", "search", "token_log_probs"]
