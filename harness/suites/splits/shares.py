"""What a split achieved: how its sides share the images of every group, class and task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gi_bench.harness.suites.splits.gathering import ImageUse, group_of
from gi_bench.harness.suites.splits.split import Split


@dataclass(frozen=True)
class Share:
    """Images of one group, class or task on both sides; ``kind`` is ``all``, ``group``, ``class`` or ``task``."""

    kind: str
    name: str
    train: int
    test: int

    @property
    def test_share(self) -> float:
        """Share of test images among them."""
        return self.test / (self.train + self.test)


def shares(split: Split, uses: Iterable[ImageUse]) -> list[Share]:
    """What the split achieved: for all images, each source group, each class and each task."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for use in uses:
        keys = [("all", "images"), ("group", group_of(use.img_id))]
        keys += [("class", name) for name in use.classes] + [("task", name) for name in use.tasks]
        for key in keys:
            counts[key][split.sides[use.img_id]] += 1
    order = ("all", "group", "class", "task")
    return [
        Share(kind, name, counts[kind, name]["train"], counts[kind, name]["test"])
        for kind, name in sorted(counts, key=lambda key: (order.index(key[0]), key[1]))
    ]


__all__ = ["Share", "shares"]
