"""Masks: the selection with predictors of known answers, GrabCut on degraded masks, and tiny CLIPSeg and SAM."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gi_bench.baselines.data.masks import loading, making, morphology
from gi_bench.baselines.data.masks.clipseg import DEFAULTS, ClipSeg, TextMaskSettings, cut
from gi_bench.baselines.data.masks.refining import Candidate, GrabCut, Mask, Picture, Prompt, iou, make_prompt, refine
from gi_bench.baselines.data.masks.sam import Sam
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import CheckpointError, DataError, GiBenchError, RunError
from gi_bench.harness.files import write_table
from gi_bench.harness.schema import Phrase, Prediction, Question, Region
from gi_bench.harness.store import open_run, write_part
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.mask_table import SCHEMA, check_sizes, read_masks
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.run_folders import SIZE, square, write_run

SUITE = PhantomSuite("validation", 30)


def _disk(size: int, x: int, y: int, radius: int) -> Mask:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


class _Known:
    """Gives what it was told to give."""

    name = "known"

    def __init__(self, *candidates: Candidate) -> None:
        self._candidates = candidates

    def candidates(self, picture: Picture, prompt: Prompt) -> Sequence[Candidate]:
        return self._candidates


def test_the_candidate_with_the_best_quality_and_agreement_is_kept() -> None:
    picture, given = np.zeros((60, 60, 3), dtype=np.uint8), _disk(60, 30, 30, 12)
    close, far = _disk(60, 31, 30, 12), _disk(60, 10, 10, 8)
    found = refine(_Known(Candidate(far, 1.0), Candidate(close, 0.6), Candidate(given, 0.3)), picture, given)
    assert np.array_equal(found.mask, close)
    assert found.score == pytest.approx(0.6 * iou(close, given))
    assert not found.kept_input
    refused = refine(_Known(Candidate(far, 1.0)), picture, given)
    assert refused.kept_input
    assert np.array_equal(refused.mask, given)
    assert refine(_Known(), picture, np.zeros((60, 60), dtype=bool)).kept_input


def test_prompts_lie_inside_and_around() -> None:
    mask = _disk(60, 20, 30, 10) | _disk(60, 45, 30, 6)
    prompt = make_prompt(mask)
    assert all(mask[y, x] for x, y in prompt.points)
    assert len(prompt.points) == 3
    x1, y1, x2, y2 = prompt.box
    assert mask[y1:y2, x1:x2].sum() == mask.sum()
    assert 0 <= x1 < x2 <= 60
    with pytest.raises(ValueError, match="empty"):
        make_prompt(np.zeros((5, 5), dtype=bool))


def _degraded(mask: Mask, seed: int) -> Mask:
    """Shifted and with a ragged edge, as a hasty annotation is."""
    import cv2

    random = np.random.default_rng(seed)
    side = max(2, round(0.12 * float(np.sqrt(mask.sum()))))
    moved = np.roll(mask, random.integers(-side, side + 1, size=2), axis=(0, 1)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side + 1, side + 1))
    return np.asarray((cv2.dilate if random.random() < 0.5 else cv2.erode)(moved, kernel) > 0)


def test_grabcut_raises_the_iou_of_degraded_polyp_masks() -> None:
    before, after, kept = [], [], 0
    for number, made in enumerate(making.reference_masks(SUITE)):
        if made.region.label != "polyp":
            continue
        truth = made.region.mask()
        start = _degraded(truth, number)
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


def _shapes() -> dict[str, Mask]:
    """Masks with what morphology can trip over: nothing, everything, edges, holes, noise."""
    random = np.random.default_rng(4)
    ring = _disk(61, 30, 30, 22) & ~_disk(61, 30, 30, 11)
    cut_off = _disk(61, 0, 58, 20)
    return {
        "empty": np.zeros((61, 61), dtype=bool), "full": np.ones((61, 61), dtype=bool),
        "one pixel": np.arange(61 * 61).reshape(61, 61) == 0, "ring": ring, "edge": cut_off,
        "noise": random.random((61, 61)) < 0.5, "nearly full": random.random((61, 61)) < 0.999,
        "line": np.eye(61, dtype=bool), "not square": ring[:40, :],
    }  # fmt: skip


@pytest.mark.parametrize("radius", [1, 2, 5, 9, 30])
@pytest.mark.parametrize("name", list(_shapes()))
def test_discs_erode_and_dilate(name: str, radius: int) -> None:
    """Against OpenCV with the same disc: the picture's edge neither takes nor gives."""
    import cv2

    mask = _shapes()[name]
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (y**2 + x**2 <= radius**2).astype(np.uint8)
    plain = mask.astype(np.uint8)
    assert np.array_equal(morphology.eroded(mask, radius), cv2.erode(plain, disc) > 0)
    assert np.array_equal(morphology.dilated(mask, radius), cv2.dilate(plain, disc) > 0)
    assert np.array_equal(morphology.opened(mask, radius), cv2.morphologyEx(plain, cv2.MORPH_OPEN, disc) > 0)
    assert np.array_equal(morphology.closed(mask, radius), cv2.morphologyEx(plain, cv2.MORPH_CLOSE, disc) > 0)


@pytest.mark.parametrize("name", list(_shapes()))
def test_parts_are_counted_and_dropped_with_eight_neighbours(name: str) -> None:
    import cv2

    mask = _shapes()[name]
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    assert morphology.part_count(mask) == count - 1
    for smallest in (0, 1, 2, 5, 400):
        large = [i for i in range(1, count) if statistics[i, cv2.CC_STAT_AREA] >= smallest]
        assert np.array_equal(morphology.without_small_parts(mask, smallest), np.isin(parts, large))


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PICTURES = ((50, 80, 3), (80, 50, 3), (64, 64, 3), (7, 300, 3), (531, 622, 3), (3, 3, 3), (1, 40, 3))


def _picture_of(shape: tuple[int, int, int]) -> Picture:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def _normalised(picture: Picture, height: int, width: int) -> np.ndarray:
    """The published preparation written out: Pillow's bilinear filter, [0, 1], ImageNet's mean and deviation."""
    from PIL import Image

    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray((np.asarray(small, dtype=np.float32) / 255 - _MEAN) / _STD).transpose(2, 0, 1)


@pytest.mark.parametrize("shape", _PICTURES)
def test_the_image_processor_of_clipseg_gives_the_published_pixels(clipseg: Path, shape: tuple[int, int, int]) -> None:
    picture = _picture_of(shape)
    found = loading.prepared(ClipSeg(str(clipseg))._pictures, picture)["pixel_values"][0].numpy()
    assert found.shape == (3, 64, 64)
    assert np.abs(found - _normalised(picture, 64, 64)).max() < 1e-6


@pytest.mark.parametrize("shape", _PICTURES)
def test_the_image_processor_of_sam_gives_the_published_pixels(sam: Path, shape: tuple[int, int, int]) -> None:
    picture = _picture_of(shape)
    scale = 64 / max(shape)
    height, width = (int(side * scale + 0.5) for side in shape[:2])
    expected = np.zeros((3, 64, 64))
    expected[:, :height, :width] = _normalised(picture, height, width)
    pixels, *size = Sam(str(sam))._pixels(picture)
    assert size == [height, width]
    assert np.abs(pixels[0].numpy() - expected).max() < 1e-6


def test_what_the_checkpoint_says_of_pictures_is_done(clipseg: Path, sam: Path, tmp_path: Path) -> None:
    """Size, mean and deviation come from ``preprocessor_config.json``, old names of classes included."""
    import shutil

    for name in ("ViTImageProcessor", "ViTFeatureExtractor", "ViTImageProcessorFast", "ViTImageProcessorPil"):
        folder = tmp_path / name
        shutil.copytree(clipseg, folder)
        key = "feature_extractor_type" if name.endswith("Extractor") else "image_processor_type"
        content = {key: name, "size": {"height": 96, "width": 96}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3,
                   "do_resize": True, "do_rescale": True, "do_normalize": True, "resample": 0}  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
        model = ClipSeg(str(folder))
        white = loading.prepared(model._pictures, np.full((20, 30, 3), 255, dtype=np.uint8))["pixel_values"]
        assert white.shape == (1, 3, 96, 96)
        assert np.allclose(white.numpy(), 2.0)
        assert model.details["image_processor"] == "ViTImageProcessor"
        assert model.details["backend"] == "pil"
        assert model.heat(_picture_of((20, 30, 3)), ["hole"]).shape == (20, 30)
    folder = tmp_path / "sam"
    shutil.copytree(sam, folder)
    content = {"image_processor_type": "SamImageProcessor", "size": {"longest_edge": 1024}}
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match="makes 1024 pixels, its model takes 64"):
        Sam(str(folder))
    for text in ("[", "{}", '{"image_processor_type": "NoSuchProcessor"}'):
        shutil.copytree(clipseg, tmp_path / "damaged", dirs_exist_ok=True)
        (tmp_path / "damaged" / "preprocessor_config.json").write_text(text, encoding="utf-8")
        if text == "{}":
            assert ClipSeg(str(tmp_path / "damaged")).details["backend"] == "pil"
            continue
        with pytest.raises(CheckpointError, match="the image processor cannot be loaded"):
            ClipSeg(str(tmp_path / "damaged"))


def test_pillow_is_asked_for_where_torchvision_is_installed(clipseg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With torchvision ``transformers`` would choose it by itself."""
    import transformers

    asked: list[dict[str, Any]] = []

    class TorchvisionBackend:
        """What a release without another class for this checkpoint falls back on."""

    def from_pretrained(source: str, **choice: Any) -> Any:
        asked.append(choice)
        return TorchvisionBackend()

    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", from_pretrained)
    with pytest.raises(CheckpointError, match="TorchvisionBackend cannot prepare pictures with Pillow"):
        loading.load_image_processor("owner/name", lambda: None)
    assert asked[0].pop("trust_remote_code") is False
    assert asked[0] in ({"backend": "pil"}, {"use_fast": False})


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


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIPSeg of the smallest size, in the Hub's layout."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("clipseg")
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    tokens = {
        "vocab_size": 60,
        "max_position_embeddings": 16,
        "eos_token_id": 51,
        "bos_token_id": 52,
        "pad_token_id": 51,
    }
    text = {**shape, **tokens, "num_hidden_layers": 1}
    vision = {**shape, "num_hidden_layers": 3, "image_size": 64, "patch_size": 16}
    config = CLIPSegConfig(
        text_config=text, vision_config=vision, projection_dim=16, extract_layers=[0, 1], reduce_dim=8,
        decoder_num_attention_heads=2, decoder_intermediate_size=16, conditional_layer=0,
    )  # fmt: skip
    torch.manual_seed(0)
    CLIPSegForImageSegmentation(config).save_pretrained(folder)
    words = {w: i for i, w in enumerate("hole tunnel red white spots scars rough surface blood stains".split())}  # noqa: SIM905
    plain = Tokenizer(models.WordLevel({**words, "<unk>": 50, "<eos>": 51}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 51)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>", model_max_length=16
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM of the smallest size, in the Hub's layout."""
    import torch
    from transformers import SamConfig, SamModel

    folder = tmp_path_factory.mktemp("sam")
    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    vision |= {"image_size": 64, "patch_size": 16, "window_size": 2, "global_attn_indexes": [0], "num_pos_feats": 8}
    prompt = {
        "hidden_size": 16,
        "image_size": 64,
        "patch_size": 16,
        "image_embedding_size": 4,
        "mask_input_channels": 4,
    }
    decoder = {
        "hidden_size": 16,
        "mlp_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 8,
    }
    torch.manual_seed(0)
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    SamModel(config).save_pretrained(folder)
    return folder


def test_clipseg_runs_the_whole_path(clipseg: Path) -> None:
    model = ClipSeg(str(clipseg))
    picture = np.asarray(SUITE.load_image(SUITE.image_ids[0]).convert("RGB"))
    heat = model.heat(picture, ["hole", "red spots"])
    assert heat.shape == picture.shape[:2]
    assert 0 <= heat.min() < heat.max() <= 1
    assert np.array_equal(heat, model.heat(picture, ["hole", "red spots"]))
    one, other = model.heat(picture, ["hole"]), model.heat(picture, ["red spots"])
    assert (heat >= np.maximum(one, other) - 1e-4).all(), "the largest value of a pixel counts"
    counts: Counter[str] = Counter()
    settings = TextMaskSettings.read(DEFAULTS)
    small = replace(settings, labels={name: replace(one, smallest=10) for name, one in settings.labels.items()})
    made = list(making.text_masks(SUITE, model, small, counts))
    assert made
    assert all(one.source == "clipseg" and json.loads(one.details)["percentile"] == 80 for one in made)
    assert all(
        {"backend": "pil", "morphology": "discs, version 2"}.items() <= json.loads(one.details).items() for one in made
    )


def test_sam_runs_the_whole_path(sam: Path) -> None:
    model = Sam(str(sam))
    picture = np.zeros((50, 80, 3), dtype=np.uint8)
    found = model.candidates(picture, make_prompt(_disk(80, 30, 25, 9)[:50]))
    assert len(found) == 3
    assert all(one.mask.shape == (50, 80) and 0 <= one.quality <= 1 for one in found)
    again = model.candidates(picture, make_prompt(_disk(80, 30, 25, 9)[:50]))
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found, again, strict=True))


def test_wrong_checkpoints_are_told_in_one_line(sam: Path, clipseg: Path, tmp_path: Path) -> None:
    for make, source in ((Sam, clipseg), (ClipSeg, sam), (Sam, tmp_path)):
        with pytest.raises(CheckpointError):
            make(str(source))


def _run(*arguments: object) -> int:
    return _main(["data", "masks", *map(str, arguments)])


def test_the_command(
    tmp_path: Path, small_validation: PhantomSuite, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = ("-s", "phantom/validation")
    own, box, refined = (tmp_path / f"{name}.parquet" for name in ("own", "box", "refined"))
    assert _run("--source", "mask", "-o", own, *suite) == 0
    assert _run("--source", "box", "-o", box, *suite, "--against", own) == 0
    text = capsys.readouterr().out
    report: dict[str, Any] = json.loads(text[text.rindex('{\n "masks"') : text.rindex("}") + 1])
    assert 0.3 < report["agreement"]["mean_iou"] < 1
    assert _run("--source", "refine", "-o", refined, *suite, "--masks", box) == 0
    rows = pq.read_table(refined).to_pylist()
    assert all(json.loads(row["details"]) == {"morphology": "discs, version 2"} for row in rows)
    refined_to_own = making.agreement(read_masks(refined), read_masks(own))
    assert refined_to_own["n"] == report["masks"]
    assert refined_to_own["mean_iou"] > report["agreement"]["mean_iou"], "refined boxes are nearer to the truth"
    assert _run("--source", "oracle", "-o", own) == 2
    assert _run("--source", "box", "-o", own, "--masks", box) == 2
    assert _run("--source", "refine", "-o", own, *suite, "--masks", tmp_path / "no.parquet") == 2
    assert "make one with gi-bench data masks" in capsys.readouterr().err


def test_scores_are_compared_with_overlap(tmp_path: Path) -> None:
    truth = {(one.img_id, one.region.label): one.region for one in making.reference_masks(SUITE)}
    graded = []
    for number, one in enumerate(making.reference_masks(SUITE)):
        mask = _degraded(one.region.mask(), number)
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


class _Small(Suite):
    """Rows without images, so that only files are read."""

    name = "made/test"
    has_images = False

    def __init__(self, phrases: Sequence[Phrase], questions: Sequence[Question] = ()) -> None:
        self.phrases, self.questions = phrases, questions


def _shown(
    phrase: Phrase, confidence: float | None, *regions: Region, img_id: str | None = None, grounded: bool = True
) -> Prediction:
    return Prediction(
        "phrase", phrase.index, img_id or phrase.img_id, None, confidence, None, phrase.phrase,
        regions if grounded else None,
    )  # fmt: skip


def _run_folder(folder: Path, suite: Suite, predictions: Sequence[Prediction], **recipe: Any) -> Path:
    """A run of ``multitask_r128`` on a suite with these predictions of its phrases."""
    content = {"variant": "multitask_r128", "model": {"adapter_digest": "a" * 64}, "suite": suite.name,
               "fingerprint": suite.fingerprint, **recipe}  # fmt: skip
    write_run(folder, rows=list(suite.questions), shown=list(suite.phrases), manifest={"recipe": content})
    write_part(folder / "predictions" / "part-00000.parquet", predictions)
    return folder


def _variant_masks(suite: Suite, folder: Path) -> tuple[dict[tuple[str, str], making.Made], Counter[str]]:
    counts: Counter[str] = Counter()
    made = list(making.variant_masks(suite, open_run(folder), counts))
    assert len({(one.img_id, one.region.label) for one in made}) == len(made)
    return {(one.img_id, one.region.label): one for one in made}, counts


def test_the_surest_phrase_that_shows_something_gives_the_mask(tmp_path: Path) -> None:
    texts = [("a", "polyp"), ("a", "polyp"), ("a", "polyp"), ("a", "tube"), ("b", "polyp"), ("c", "polyp")]
    there = [Phrase(i, img_id, f"phrase {i}", label) for i, (img_id, label) in enumerate(texts)]
    absent = Phrase(6, "b", "no forceps", "instrument", square("instrument", 0, 0, 0), is_negative=True)
    tied = [Phrase(7, "d", "phrase 7", "polyp"), Phrase(8, "d", "phrase 8", "polyp")]
    unsure = [Phrase(9, "e", "phrase 9", "polyp"), Phrase(10, "e", "phrase 10", "polyp")]
    alone = [Phrase(11, "f", "phrase 11", "polyp"), Phrase(12, "f", "phrase 12", "polyp")]
    suite = _Small([*there, absent, *tied, *unsure, *alone])
    empty, left, right = square("x", 0, 0, 0), square("x", 4, 4, 8), square("x", 20, 20, 10)
    folder = _run_folder(
        tmp_path / "run",
        suite,
        [
            _shown(there[0], 0.5, left),
            _shown(there[1], 0.75, left, right),
            _shown(there[2], 1.0),
            _shown(there[3], 0.25, right),
            _shown(there[4], 0.5, empty),
            _shown(there[5], 0.5, right, grounded=False),
            _shown(absent, 1.0, right),
            *(_shown(phrase, 0.5, region) for phrase, region in zip(tied, (left, right), strict=True)),
            _shown(unsure[0], None, left),
            _shown(unsure[1], 0.125, right),
            _shown(alone[0], None, left),
        ],
    )
    made, counts = _variant_masks(suite, folder)
    assert set(made) == {("a", "polyp"), ("a", "tube"), ("d", "polyp"), ("e", "polyp"), ("f", "polyp")}
    assert counts == {"nothing shown": 1, "phrases not grounded": 2}, "only b; c and a phrase of f were not asked"
    polyp = made["a", "polyp"]
    assert np.array_equal(polyp.region.mask(), left.mask() | right.mask()), "regions of one phrase are united"
    assert (polyp.region.height, polyp.region.width) == (SIZE, SIZE)
    assert (polyp.source, polyp.score, polyp.kept_input) == ("variant", 0.75, False)
    assert polyp.model == f"multitask_r128 {'a' * 64}"
    assert json.loads(polyp.details) == {"recipe_digest": "d" * 64, "phrase": "phrase 1"}
    assert np.array_equal(made["d", "polyp"].region.mask(), left.mask()), "the lowest index of equal confidences"
    assert json.loads(made["e", "polyp"].details)["phrase"] == "phrase 10", "any confidence comes before none"
    assert made["f", "polyp"].score == 1.0


def test_a_variant_without_adapter_has_its_name_alone_in_the_provenance(tmp_path: Path) -> None:
    suite = _Small([Phrase(0, "a", "polyp", "polyp")])
    for number, model in enumerate(({"rank": 0}, {})):
        folder = _run_folder(tmp_path / str(number), suite, [_shown(suite.phrases[0], 0.5, square("polyp", 2, 2, 9))])
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        manifest["recipe"]["model"] = model
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        assert [one.model for one in _variant_masks(suite, folder)[0].values()] == ["multitask_r128"]


def test_runs_that_give_no_masks_are_told(tmp_path: Path) -> None:
    there, absent = Phrase(0, "a", "polyp", "polyp"), Phrase(1, "a", "tube", "tube", is_negative=True)
    suite, region = _Small([there, absent]), square("polyp", 2, 2, 9)
    cases = {
        "no regions of phrases": [_shown(there, 0.5, region, grounded=False), _shown(absent, 0.5, region)],
        "the variant showed nothing": [_shown(there, 0.5)],
        "phrase 0 is about b, not a": [_shown(there, 0.5, region, img_id="b")],
    }
    for number, (message, predictions) in enumerate(cases.items()):
        folder = _run_folder(tmp_path / str(number), suite, predictions)
        with pytest.raises(GiBenchError, match=message):
            _variant_masks(suite, folder)


def test_a_run_of_another_suite_is_refused(tmp_path: Path) -> None:
    phrases = [Phrase(0, "a", "polyp", "polyp", square("polyp", 2, 2, 9)), Phrase(1, "b", "tube", "tube")]
    asked = Question(0, "a", "How many polyps?", "one", ("polyp_count",), 1)
    suite = _Small(phrases, [asked])
    predictions = [_shown(phrase, 0.5, square("x", 2, 2, 9)) for phrase in phrases]
    # The fingerprint of a run that saw images cannot be made without them: its rows have to be the suite's.
    folder = _run_folder(tmp_path / "run", suite, predictions, fingerprint="f" * 64)
    unsized = Phrase(0, "a", "polyp", "polyp", square("polyp", 3, 3, 9))
    for same in (suite, _Small([], [asked]), _Small([unsized, phrases[1]], [asked])):
        assert len(_variant_masks(same, folder)[0]) == 2
    others = [
        _Small(phrases, []),
        _Small(phrases, [Question(0, "c", "How many polyps?", "one", ("polyp_count",), 1)]),
        _Small(phrases[:1], [asked]),
        _Small([phrases[0], Phrase(1, "b", "tube", "polyp")], [asked]),
    ]
    for other in others:
        with pytest.raises(RunError, match="is not that of made/test"):
            _variant_masks(other, folder)
    without_questions = _run_folder(tmp_path / "other", _Small(phrases), predictions, fingerprint="f" * 64)
    with pytest.raises(RunError, match="is not that of made/test"):
        _variant_masks(_Small([], [asked]), without_questions)
    with pytest.raises(RunError, match=r"was made on made/test.*is not that of phantom/validation.*with -s"):
        _variant_masks(PhantomSuite("validation", 2), folder)


@pytest.fixture
def small_validation(monkeypatch: pytest.MonkeyPatch) -> PhantomSuite:
    """The first images of ``phantom/validation`` in the place of all."""
    monkeypatch.setattr("gi_bench.harness.registry.load_suite", lambda name, data=None: SUITE)
    return SUITE


def test_regions_of_a_variant_are_refined(
    tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = []
    for phrase in SUITE.phrases:
        region = phrase.region
        assert region is not None
        if not phrase.is_negative:
            region = Region.from_mask("x", _degraded(region.mask(), phrase.index), 0.5)
        predictions.append(_shown(phrase, 0.5 + phrase.index % 8 / 16, region))
    folder = _run_folder(tmp_path / "run", SUITE, predictions)
    suite = ("-s", "phantom/validation")
    own, shown, refined = (tmp_path / f"{name}.parquet" for name in ("own", "shown", "refined"))
    assert _run("--source", "mask", "-o", own, *suite) == 0
    assert _run("--source", "variant", "--run", folder, "-o", shown, *suite, "--against", own) == 0
    text = capsys.readouterr().out
    report: dict[str, Any] = json.loads(text[text.rindex('{\n "masks"') : text.rindex("}") + 1])
    assert report["nothing shown"] == 0
    assert report["agreement"]["n"] == report["masks"] == len(read_masks(own))
    rows = pq.read_table(shown).to_pylist()
    by_text = {(phrase.img_id, phrase.phrase): phrase for phrase in SUITE.phrases}
    for row in rows:
        details = json.loads(row["details"])
        phrase = by_text[row["img_id"], details["phrase"]]
        assert (row["label"], row["source"]) == (phrase.label, "variant")
        assert row["score"] == 0.5 + phrase.index % 8 / 16
        assert row["model"] == f"multitask_r128 {'a' * 64}"
        assert details["recipe_digest"] == "d" * 64
    assert _run("--source", "refine", "--masks", shown, "-o", refined, *suite) == 0
    rows = pq.read_table(refined).to_pylist()
    assert all(json.loads(row["details"]) == {"morphology": "discs, version 2"} for row in rows)
    refined_to_own = making.agreement(read_masks(refined), read_masks(own))
    assert refined_to_own["n"] == report["masks"]
    assert refined_to_own["mean_iou"] > report["agreement"]["mean_iou"], "refined regions are nearer to the truth"
    assert {row["source"] for row in pq.read_table(refined).to_pylist()} == {"refine"}


def test_the_command_tells_what_is_wrong_with_a_run(
    tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.parquet"
    assert _run("--source", "variant", "-o", output) == 2
    assert "--source variant needs a run" in capsys.readouterr().err
    for source in ("mask", "refine"):
        assert _run("--source", source, "--run", tmp_path, "-o", output) == 2
        assert f"--source {source} reads no run" in capsys.readouterr().err
    assert _run("--source", "variant", "--run", tmp_path, "-o", output) == 2
    assert "not a run folder" in capsys.readouterr().err
    other = _run_folder(tmp_path / "run", _Small([Phrase(0, "a", "polyp", "polyp")]), [])
    assert _run("--source", "variant", "--run", other, "-o", output) == 2
    error = capsys.readouterr().err
    assert "made/test" in error
    assert "Traceback" not in error
    assert not output.exists()


class _Wide(_Small):
    """Images of 400 x 300."""

    has_images = True

    def load_image(self, img_id: str) -> Any:
        from PIL import Image

        return Image.new("RGB", (400, 300))


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [
        (400, 300, True),
        (200, 150, True),
        (800, 600, True),
        (404, 300, True),
        (400, 297, False),
        (396, 300, True),
        (405, 300, False),
        (395, 300, False),
        (300, 400, False),
        (300, 300, False),
    ],
)
def test_a_mask_has_the_aspect_ratio_of_its_image(width: int, height: int, fits: bool) -> None:
    suite = _Wide([])
    masks = {
        ("a", "tube"): Region.from_mask("tube", np.ones((300, 400))),
        ("b", "polyp"): Region.from_mask("polyp", np.ones((height, width))),
        ("c", "polyp"): Region.from_mask("polyp", np.ones((10, 400))),
    }
    wrong = "polyp in b" if not fits else "polyp in c"
    with pytest.raises(DataError, match=rf"mask of {wrong} has .* its image 400 x 300 \(m.parquet\); make the mask"):
        check_sizes(masks, suite, "m.parquet")
    del masks["c", "polyp"]
    if fits:
        check_sizes(masks, suite, "m.parquet")


def test_a_mask_without_pixels_fits_no_image() -> None:
    with pytest.raises(DataError, match="has 0 x 0 pixels"):
        check_sizes({("a", "polyp"): Region("polyp", 0, 0, "")}, _Wide([]), "m.parquet")


def test_the_command_refuses_masks_of_another_aspect_ratio(
    tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    made = next(one for one in making.reference_masks(SUITE) if one.region.label == "polyp")
    start, output = tmp_path / "start.parquet", tmp_path / "m.parquet"
    mask = made.region.mask()
    half, stretched = (Region.from_mask("polyp", part) for part in (mask[::2, ::2], mask[:, ::2]))
    making.write_masks(start, iter([making.Made(made.img_id, stretched, "mask")]))
    assert _run("--source", "refine", "--masks", start, "-o", output) == 2
    error = capsys.readouterr().err
    assert f"the mask of polyp in {made.img_id} has 128 x 256 pixels, its image 256 x 256" in error
    assert not output.exists()
    making.write_masks(start, iter([making.Made(made.img_id, half, "mask")]))
    assert _run("--source", "refine", "--masks", start, "-o", output) == 0
    (refined,) = read_masks(output).values()
    assert (refined.height, refined.width) == (256, 256), "a smaller mask is scaled to its image"
