"""The masks that arms are trained on in the place of the suite's own, and how far they agree with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gi_bench.baselines.studies.definitions import Arm
from gi_bench.baselines.studies.seals import is_sealed, seal, unseal
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.base import Suite

Say = Callable[[str], None]
Masks = Mapping[tuple[str, str], Region]


class MaskRoom:
    """Masks of one training suite: pseudo-masks and refined ones are kept as files, noisy ones are made anew."""

    def __init__(self, folder: Path, suite: Suite, device: Callable[[], str], say: Say) -> None:
        """Make a room.

        Args:
            folder: where files lie.
            suite: training suite.
            device: what CLIPSeg and SAM run on; asked only when they are needed.
            say: called with lines for the user.
        """
        self._folder, self._suite, self._device, self._say = folder, suite, device, say

    def file(self, name: str) -> Path:
        """Where the masks of a name lie."""
        return self._folder / f"{name}-{self._suite.fingerprint[:8]}.parquet"

    def noisy(self, level: str, seed: int) -> dict[tuple[str, str], Region]:
        """Masks with the noise of a level."""
        from gi_bench.baselines.data.masks.noise import noisy_masks

        return {(one.img_id, one.region.label): one.region for one in noisy_masks(self._suite, level, seed)}

    @cached_property
    def _truth(self) -> Masks:
        from gi_bench.baselines.data.masks.making import reference_masks

        return {(one.img_id, one.region.label): one.region for one in reference_masks(self._suite)}

    @cached_property
    def frequencies(self) -> dict[str, int]:
        """By label, how many images have a region of it."""
        return dict(sorted(Counter(label for _, label in self._truth).items()))

    def make(self, arms: Collection[Arm], seed: int) -> dict[str, Any]:
        """Make the masks that arms need, and tell how far each kind agrees with the suite's own.

        Embedded suites: filled boxes, then GrabCut. Others: CLIPSeg, then SAM.

        Args:
            arms: to be trained.
            seed: of the noise that is told of.
        """
        from gi_bench.baselines.data.masks.making import agreement

        wanted = {one.masks for one in arms if one.variant.adapter} - {"suite"}
        told: dict[str, Any] = {}
        if wanted & {"pseudo", "refined"}:
            told |= self._files()
        for level in dict.fromkeys(one.noise for one in arms if one.noise is not None):
            made = self.noisy(level, seed)
            told[f"noise:{level}"] = {
                "masks": len(made),
                "agreement with the suite's own": agreement(made, self._truth),
            }
        return told

    def _files(self) -> dict[str, Any]:
        from gi_bench.baselines.data.masks import making
        from gi_bench.harness.files import read_table
        from gi_bench.harness.suites.mask_table import SCHEMA, read_masks

        embedded = self._suite.is_embedded
        sources = (
            {"pseudo": "filled boxes", "refined": "GrabCut"} if embedded else {"pseudo": "CLIPSeg", "refined": "SAM"}
        )
        told = {}
        for name, source in sources.items():
            path, counts = self.file(name), Counter[str]()
            if not path.is_file():
                count = sum(self.frequencies.values())
                self._say(f"making {name} masks ({source}), {count:,} at most; their time is not in the estimate")
                given = read_masks(self.file("pseudo")) if name == "refined" else {}
                unseal(path)
                making.write_masks(path, self._masks(name, given, embedded, counts), self._say)
            if not is_sealed(path):
                seal(path)
            made = read_masks(path)
            kept = sum(read_table(path, SCHEMA)["kept_input"].to_pylist())
            told[name] = {
                "source": source,
                "masks": len(made),
                "input kept": kept,
                "agreement with the suite's own": making.agreement(made, self._truth),
            }
        return told

    def _masks(self, name: str, given: Masks, embedded: bool, counts: Counter[str]) -> Iterator[Any]:
        from gi_bench.baselines.data.masks import making

        if name == "pseudo" and embedded:
            return making.box_masks(self._suite)
        if name == "refined" and embedded:
            from gi_bench.baselines.data.masks.refining import GrabCut

            return making.refined_masks(self._suite, given, GrabCut(), "refine", counts)
        if name == "pseudo":
            from gi_bench.baselines.data.masks.clipseg import DEFAULTS, ClipSeg, TextMaskSettings

            settings = TextMaskSettings.read(DEFAULTS)
            model = ClipSeg(settings.model, self._device())
            return making.text_masks(self._suite, model, settings, counts)
        from gi_bench.baselines.data.masks.sam import HUB_ID, Sam

        return making.refined_masks(self._suite, given, Sam(HUB_ID, self._device()), "sam", counts)
