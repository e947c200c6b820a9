"""Masks: the selection with predictors of known answers, GrabCut on degraded masks, the command and its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gi_bench.baselines.data.masks import making
from gi_bench.baselines.data.masks.clipseg import DEFAULTS, TextMaskSettings, cut
from gi_bench.baselines.data.masks.refining import Candidate, GrabCut, Picture, Prompt, iou, make_prompt, refine
from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.files import write_table
from gi_bench.harness.suites.mask_table import SCHEMA, read_masks
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.baselines.data.mask_cases import SUITE, degraded, disk, run_command


class _Known:
    """Gives what it was told to give."""

    name = "known"

    def __init__(self, *candidates: Candidate) -> None:
        self._candidates = candidates

    def candidates(self, picture: Picture, prompt: Prompt) -> Sequence[Candidate]:
        return self._candidates


def test_the_candidate_with_the_best_quality_and_agreement_is_kept() -> None:
    picture, given = np.zeros((60, 60, 3), dtype=np.uint8), disk(60, 30, 30, 12)
    close, far = disk(60, 31, 30, 12), disk(60, 10, 10, 8)
    found = refine(_Known(Candidate(far, 1.0), Candidate(close, 0.6), Candidate(given, 0.3)), picture, given)
    assert np.array_equal(found.mask, close)
    assert found.score == pytest.approx(0.6 * iou(close, given))
    assert not found.kept_input
    refused = refine(_Known(Candidate(far, 1.0)), picture, given)
    assert refused.kept_input
    assert np.array_equal(refused.mask, given)
    assert refine(_Known(), picture, np.zeros((60, 60), dtype=bool)).kept_input


def test_prompts_lie_inside_and_around() -> None:
    mask = disk(60, 20, 30, 10) | disk(60, 45, 30, 6)
    prompt = make_prompt(mask)
    assert all(mask[y, x] for x, y in prompt.points)
    assert len(prompt.points) == 3
    x1, y1, x2, y2 = prompt.box
    assert mask[y1:y2, x1:x2].sum() == mask.sum()
    assert 0 <= x1 < x2 <= 60
    with pytest.raises(ValueError, match="empty"):
        make_prompt(np.zeros((5, 5), dtype=bool))


def test_grabcut_raises_the_iou_of_degraded_polyp_masks() -> None:
    before, after, kept = [], [], 0
    for number, made in enumerate(making.reference_masks(SUITE)):
        if made.region.label != "polyp":
            continue
        truth = made.region.mask()
        start = degraded(truth, number)
        if not start.any():
            continue
        found = refine(GrabCut(), np.asarray(SUITE.load_image(made.img_id).convert("RGB")), start)
        before.append(iou(start, truth))
        after.append(iou(found.mask, truth))
        kept += found.kept_input
    assert len(before) >= 10
    assert np.mean(after) > np.mean(before) + 0.03
    assert kept < len(before) / 2


def test_heat_is_cut_and_cleaned() -> None:
    settings = TextMaskSettings.read(DEFAULTS)
    picture = np.full((200, 200, 3), 120, dtype=np.uint8)
    heat = np.zeros((200, 200), dtype=np.float32)
    heat[40:120, 80:170] = 1.0
    heat[150:158, 150:158] = 1.0
    heat[:, :40] = 0.9
    picture[:, :40] = 5
    mask = cut(heat, picture, settings, smallest=1000)
    assert iou(mask, heat * (np.arange(200) >= 80) > 0.5) > 0.9
    assert not mask[:, :40].any(), "the dark panel at the left is no tissue"
    assert not mask[145:165, 145:165].any(), "small parts are dropped"
    picture[40:120, 80:170] = settings.panel_color
    assert not cut(heat, picture, settings, smallest=1000).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('backend = "pil"', 'backend = "torchvision"'),
        ("percentile = 80", "percentile = 0"),
        ('prompts = ["hole"]', "prompts = []"),
        ("smallest = 35000", 'smallest = "x"'),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "clipseg.toml"
    path.write_text(DEFAULTS.read_text(encoding="utf-8").replace(change, message, 1), encoding="utf-8")
    with pytest.raises(GiBenchError):
        TextMaskSettings.read(path)
    path.write_text("[", encoding="utf-8")
    with pytest.raises(GiBenchError, match="cannot read TOML"):
        TextMaskSettings.read(path)


def test_the_command(tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]) -> None:
    suite = ("-s", "phantom/validation")
    own, box, refined = (tmp_path / f"{name}.parquet" for name in ("own", "box", "refined"))
    assert run_command("--source", "mask", "-o", own, *suite) == 0
    assert run_command("--source", "box", "-o", box, *suite, "--against", own) == 0
    text = capsys.readouterr().out
    report: dict[str, Any] = json.loads(text[text.rindex('{\n "masks"') : text.rindex("}") + 1])
    assert 0.3 < report["agreement"]["mean_iou"] < 1
    assert run_command("--source", "refine", "-o", refined, *suite, "--masks", box) == 0
    rows = pq.read_table(refined).to_pylist()
    assert all(json.loads(row["details"]) == {"morphology": "discs, version 2"} for row in rows)
    refined_to_own = making.agreement(read_masks(refined), read_masks(own))
    assert refined_to_own["n"] == report["masks"]
    assert refined_to_own["mean_iou"] > report["agreement"]["mean_iou"], "refined boxes are nearer to the truth"
    assert run_command("--source", "oracle", "-o", own) == 2
    assert run_command("--source", "box", "-o", own, "--masks", box) == 2
    assert run_command("--source", "refine", "-o", own, *suite, "--masks", tmp_path / "no.parquet") == 2
    assert "make one with gi-bench data masks" in capsys.readouterr().err


def test_scores_are_compared_with_overlap(tmp_path: Path) -> None:
    truth = {(one.img_id, one.region.label): one.region for one in making.reference_masks(SUITE)}
    graded = []
    for number, one in enumerate(making.reference_masks(SUITE)):
        mask = degraded(one.region.mask(), number)
        region = one.region.from_mask(one.region.label, mask)
        graded.append(making.Made(one.img_id, region, "refine", score=iou(mask, one.region.mask())))
    making.write_masks(tmp_path / "m.parquet", iter(graded))
    assert making.score_correlation(tmp_path / "m.parquet", truth) == pytest.approx(1.0, abs=1e-3)
    making.write_masks(tmp_path / "n.parquet", making.reference_masks(SUITE))
    assert making.score_correlation(tmp_path / "n.parquet", truth) is None


def test_damaged_masks_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    made = next(making.reference_masks(SUITE))
    making.write_masks(path, iter([made]))
    assert read_masks(path) == {(made.img_id, made.region.label): made.region}
    making.write_masks(path, iter([made, made]))
    with pytest.raises(DataError, match="two masks"):
        read_masks(path)
    row = {"img_id": "a", "label": "polyp", "height": 5, "width": 5, "counts": "~~~", "source": "mask", "model": "",
           "details": "{}", "score": 1.0, "kept_input": False}  # fmt: skip
    write_table(path, pa.Table.from_pylist([row], schema=SCHEMA))
    with pytest.raises(DataError, match="no run-length code"):
        read_masks(path)
    with pytest.raises(DataError, match="no mask was made"):
        making.write_masks(path, iter([]))
