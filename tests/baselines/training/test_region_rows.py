"""Regions as training rows: many parts, and none that could be outlined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.baselines.florence2.backbone import load_backbone
from gi_bench.baselines.florence2.locations import TINY_STYLE, decode_mask
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.baselines.training.adapter import Choices, Material, train_adapter
from gi_bench.baselines.training.extra_rows import ExtraRows
from gi_bench.baselines.training.rows import check_examples, task_examples
from gi_bench.baselines.training.settings import Running
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 12)


def test_regions_of_many_parts_are_trained_on_without_the_smallest(suite: PhantomSuite, tmp_path: Path) -> None:
    """Noise and thresholds leave crumbs: more parts than the decoder has places must not end a training."""
    some = next(p for p in suite.phrases if p.label == "polyp" and p.region is not None and not p.is_negative)
    assert some.region is not None
    mask = np.zeros((some.region.height, some.region.width), dtype=bool)
    mask[100:160, 100:160] = True
    for number in range(40):
        mask[4 + 8 * (number // 8) :, 4 + 8 * (number % 8) :][:4, :4] = True
    crumbs = ExtraRows(masks={(some.img_id, "polyp"): Region.from_mask("polyp", mask)})
    style = replace(TINY_STYLE, room=254)
    found = task_examples(suite, ["ground"], style=style, extra=crumbs)
    assert found.cut == {(some.img_id, "polyp")}
    check_examples(found, load_backbone(TINY).tokenizer, 256, 37)
    (text,) = {target for _, target in found.by_task["ground"][some.img_id] if target.count("<sep>") == 14}
    back = decode_mask(text, some.region.width, some.region.height)[0]
    assert back[110:150, 110:150].all(), "the large part is written"
    lines: list[str] = []
    train_adapter(
        definitions()["multitask_r32"], load_backbone(TINY), "tiny", Material(suite, crumbs), tmp_path / "a",
        choices=Choices(steps=1, rows=8), running=Running(device="cpu", gradients=False), say=lines.append,
    )  # fmt: skip
    told = f"1 region has more parts than 254 tokens can outline, the first is polyp in {some.img_id}"
    assert any(line.startswith(told) for line in lines)


def test_regions_without_an_outline_are_no_rows(suite: PhantomSuite) -> None:
    """A line of one pixel has no corners in a coarse style: an empty target would teach to say nothing."""
    masks = {}
    for phrase in suite.phrases:
        if phrase.region is not None and not phrase.is_negative:
            line = np.zeros((phrase.region.height, phrase.region.width), dtype=bool)
            line[5, 5:7] = True
            masks[phrase.img_id, phrase.label] = Region.from_mask(phrase.label, line)
    kept = masks.popitem()
    own = next(p.region for p in suite.phrases if (p.img_id, p.label) == kept[0] and p.region is not None)
    found = task_examples(suite, ["ground"], extra=ExtraRows(masks=masks | {kept[0]: own}))
    assert set(found.by_task["ground"]) == {kept[0][0]}
    assert all(target for _, target in found.by_task["ground"][kept[0][0]])
