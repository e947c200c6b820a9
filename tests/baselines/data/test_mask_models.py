"""Tiny CLIPSeg and SAM: the pixels they are given, and the whole path to masks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.baselines.data.masks import loading, making
from gi_bench.baselines.data.masks.clipseg import DEFAULTS, ClipSeg, TextMaskSettings
from gi_bench.baselines.data.masks.refining import Picture, make_prompt
from gi_bench.baselines.data.masks.sam import Sam
from gi_bench.harness.errors import CheckpointError
from tests.baselines.data.mask_cases import SUITE, disk


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
    found = model.candidates(picture, make_prompt(disk(80, 30, 25, 9)[:50]))
    assert len(found) == 3
    assert all(one.mask.shape == (50, 80) and 0 <= one.quality <= 1 for one in found)
    again = model.candidates(picture, make_prompt(disk(80, 30, 25, 9)[:50]))
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found, again, strict=True))


def test_wrong_checkpoints_are_told_in_one_line(sam: Path, clipseg: Path, tmp_path: Path) -> None:
    for make, source in ((Sam, clipseg), (ClipSeg, sam), (Sam, tmp_path)):
        with pytest.raises(CheckpointError):
            make(str(source))
