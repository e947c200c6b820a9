"""The grammar of written regions: what the decoder may emit where it is held to location tokens.

A region is one polygon or several with a separator between them; a polygon is at least three corners of two locations
each. Held to it, a network that has forgotten how to write a region still says where it would put one: what is then
measured is where it points, not whether it keeps to the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.locations import BINS, SEPARATOR
from gi_bench.harness.errors import CheckpointError

if TYPE_CHECKING:
    import torch

LEAST_CORNERS = 3


@dataclass(frozen=True)
class RegionGrammar:
    """Which token may follow which.

    Attributes:
        locations: ids of all location tokens.
        separator: id of the token between polygons.
        end: id of the token that ends a reply.
    """

    locations: tuple[int, ...]
    separator: int
    end: int

    @staticmethod
    def of(tokenizer: Any) -> RegionGrammar:
        """The grammar in a tokenizer's ids.

        Raises:
            CheckpointError: it lacks a location or the separator.
        """
        known = tokenizer.get_vocab()
        wanted = [*(f"<loc_{number}>" for number in range(BINS)), SEPARATOR]
        missing = [token for token in wanted if token not in known]
        if missing:
            raise CheckpointError(
                f"the tokenizer lacks {len(missing)} of the {len(wanted)} tokens of regions, {missing[0]} first",
                do="use a Florence-2 backbone with its own tokenizer",
            )
        *locations, separator = (int(known[token]) for token in wanted)
        return RegionGrammar(tuple(locations), separator, int(tokenizer.eos_token_id))

    def hold(self, logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The logits with minus infinity for every token that may not come next.

        A location may always follow: the first or the second of a corner, of this polygon or of the next. A separator
        or the end may follow whole corners only, and not before there are three of them.

        Args:
            logits: (n, beams, vocabulary).
            tokens: (n, beams, length) of every hypothesis so far, the token that starts the decoder first; what is
                neither location nor separator (a forced first token) counts for nothing.
        """
        import torch

        is_location = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
        is_location[list(self.locations)] = True
        separators = (tokens == self.separator).long()
        # 0 behind the last separator: counted from the end, none has come yet.
        in_polygon = separators.flip(-1).cumsum(-1).flip(-1) == 0
        written = (is_location[tokens] & in_polygon).sum(-1)
        may_close = (written % 2 == 0) & (written >= 2 * LEAST_CORNERS)
        closing = torch.zeros_like(is_location)
        closing[[self.separator, self.end]] = True
        allowed = is_location | (closing & may_close[..., None])
        return logits.masked_fill(~allowed, float("-inf"))
