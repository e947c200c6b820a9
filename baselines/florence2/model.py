"""Florence-2 with or without an adapter, behind the harness's model interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2 import decoding, locations, prompts, vision
from gi_bench.baselines.florence2.backbone import Backbone
from gi_bench.baselines.florence2.grammar import RegionGrammar
from gi_bench.harness.model import Answer, Ask, GroundAsk, Grounding
from gi_bench.harness.schema import TASKS, Region, Task

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True)
class Decoding:
    """Decoding settings: beam count (3 in the paper's code) and the longest reply of each task, in tokens.

    ``microsoft_prompts`` gives the region prompt with the spaces that the original repository's processor leaves in
    it, for adapters that were trained with it.
    """

    beams: int = 3
    answer_tokens: int = 96
    ground_tokens: int = 256
    explain_tokens: int = 192
    microsoft_prompts: bool = False

    def describe(self) -> dict[str, Any]:
        """The settings as they go into a run's manifest."""
        return asdict(self)


class Florence2Model:
    """One variant on one backbone; see :class:`gi_bench.harness.model.Model`."""

    needs_image = True
    tasks: frozenset[Task] = frozenset(TASKS)

    def __init__(
        self,
        backbone: Backbone,
        network: Any,
        settings: Mapping[str, Any],
        decoding_settings: Decoding,
        *,
        training_images: frozenset[str] | None = None,
    ) -> None:
        self._backbone, self._network, self._decoding = backbone, network, decoding_settings
        self.prompts = prompts.told(microsoft=decoding_settings.microsoft_prompts)
        self.settings, self.training_images = settings, training_images
        self.batch_size = 64 if backbone.pictures.width <= 128 else 24

    def encode(self, images: Sequence[Image]) -> Sequence[torch.Tensor]:
        """Image features (image tokens, width), one a picture."""
        import torch

        # A CPU gains nothing from several large pictures at once: their maps push each other out of the cache.
        size = len(images) if self._backbone.device != "cpu" or self._backbone.pictures.width <= 128 else 1
        found: list[torch.Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(images), size):
                found.extend(vision.encode_pixels(self._network, self._backbone.pixels(images[start : start + size])))
        return found

    def _generate(
        self,
        features: Sequence[torch.Tensor],
        asked: Sequence[str],
        limit: int,
        grammar: RegionGrammar | None = None,
    ) -> list[decoding.Generated]:
        import torch

        return decoding.generate(
            self._network,
            self._backbone.tokenizer,
            torch.stack(list(features)),
            asked,
            max_new_tokens=limit,
            beams=self._decoding.beams,
            checkpoint_rules=self._backbone.rules,
            grammar=grammar,
        )

    def answer(self, features: Sequence[torch.Tensor], asks: Sequence[Ask]) -> list[Answer]:
        """Answers with the top-k confidence."""
        asked = [prompts.answer_prompt(ask.question) for ask in asks]
        replies = self._generate(features, asked, self._decoding.answer_tokens)
        return [self._reply(reply, "answer", prompt) for reply, prompt in zip(replies, asked, strict=True)]

    def ground(self, features: Sequence[torch.Tensor], asks: Sequence[GroundAsk]) -> list[Grounding]:
        """Regions from location tokens; a reply without locations shows nothing, and its state says what it is."""
        return self._ground(features, asks, None)

    def ground_forced(self, features: Sequence[torch.Tensor], asks: Sequence[GroundAsk]) -> list[Grounding]:
        """Regions of a decoder that can write nothing else: at least one polygon for every phrase.

        Raises:
            CheckpointError: the tokenizer lacks tokens of regions.
        """
        return self._ground(features, asks, RegionGrammar.of(self._backbone.tokenizer))

    def _ground(
        self, features: Sequence[torch.Tensor], asks: Sequence[GroundAsk], grammar: RegionGrammar | None
    ) -> list[Grounding]:
        microsoft = self._decoding.microsoft_prompts
        asked = [prompts.ground_prompt(ask.phrase, microsoft=microsoft) for ask in asks]
        replies = self._generate(features, asked, self._decoding.ground_tokens, grammar)
        found = []
        for ask, prompt, reply in zip(asks, asked, replies, strict=True):
            mask, warnings = locations.decode_mask(reply.text, ask.width, ask.height)
            regions = (Region.from_mask(ask.label, mask, reply.confidence),) if mask.any() else ()
            state = locations.reply_state(reply.text, shown=bool(regions))
            if state not in ("stated", "denied"):
                warnings += (f"region-{state.replace(' ', '-')}",)
            warnings += self._cut(reply, "ground")
            found.append(
                Grounding(
                    regions,
                    reply.confidence,
                    reply.token_count,
                    warnings,
                    state,
                    reply.text,
                    prompt,
                    reply.token_log_probs,
                )
            )
        return found

    def explain(self, features: Sequence[torch.Tensor], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        """Explanations; the paper's prompt does not hold the answer."""
        asked = [prompts.explain_prompt(ask.question) for ask in asks]
        replies = self._generate(features, asked, self._decoding.explain_tokens)
        return [self._reply(reply, "explain", prompt) for reply, prompt in zip(replies, asked, strict=True)]

    def _reply(self, reply: decoding.Generated, task: str, prompt: str) -> Answer:
        return Answer(
            reply.text,
            reply.confidence,
            reply.token_count,
            self._cut(reply, task),
            reply.log_prob,
            reply.margin,
            reply.entropy,
            prompt=prompt,
            reply=reply.text,
            token_log_probs=reply.token_log_probs,
        )

    def _cut(self, reply: decoding.Generated, task: str) -> tuple[str, ...]:
        limit: int = getattr(self._decoding, f"{task}_tokens")
        return (f"{task}-cut-off",) if reply.token_count >= limit else ()

    def close(self) -> None:
        """Let go of the merged network; the shared backbone stays."""
        self._network = None
