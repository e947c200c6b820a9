"""The tiny backbone and its adapters: layout, prompts, decoding, merging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.baselines.florence2 import prompts
from gi_bench.baselines.florence2.adapters import CARD, add_adapter, save_adapter, with_adapter
from gi_bench.baselines.florence2.backbone import Backbone, PictureSettings, load_backbone, resolve, weights_digest
from gi_bench.baselines.florence2.decoding import generate
from gi_bench.baselines.florence2.model import Decoding, Florence2Model
from gi_bench.baselines.registration import HERE, backbone_source, definitions
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.model import Ask, BuildContext, GroundAsk
from gi_bench.harness.registry import model_entry, suite_spec
from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"
SHIPPED = ("vqa_only_r128", "multitask_r32", "multitask_r128")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(TINY)


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 12)


def _asks(suite: PhantomSuite, count: int) -> list[Ask]:
    rows = suite.questions[:count]
    return [Ask(q.index, q.img_id, q.question, q.question_class, q.complexity) for q in rows]


def _features(model: Florence2Model, suite: PhantomSuite) -> dict[str, Any]:
    ids = suite.image_ids
    return dict(zip(ids, model.encode([suite.load_image(i) for i in ids]), strict=True))


def test_the_backbone_is_an_ordinary_florence_2_of_a_few_million_parameters(backbone: Backbone) -> None:
    assert type(backbone.network).__name__ == "Florence2ForConditionalGeneration"
    assert sum(p.numel() for p in backbone.network.parameters()) < 4e6
    vocabulary = backbone.tokenizer.get_vocab()
    assert {f"<loc_{i}>" for i in range(1000)} <= vocabulary.keys()
    assert not set(prompts.TASK_TOKENS) & vocabulary.keys(), "plain text, as to Florence-2-base"


def test_our_prompt_layout_and_pixels_are_the_processor_s(backbone: Backbone, suite: PhantomSuite) -> None:
    """Token for token and value for value what transformers' own processor makes."""
    import torch
    from transformers import AutoImageProcessor
    from transformers.models.florence2.processing_florence2 import Florence2Processor

    pictures = AutoImageProcessor.from_pretrained(TINY, backend="pil")
    pictures.image_seq_length = 37
    processor = Florence2Processor(image_processor=pictures, tokenizer=backbone.tokenizer)
    image = suite.load_image(suite.image_ids[0])
    for given, ours in (
        ("<MedVQA> What is it?", prompts.answer_prompt("What is it?")),
        ("<MedVQA_EXPLAIN> Why? Explain in Detail.", prompts.explain_prompt("Why?")),
        ("<REFERRING_EXPRESSION_SEGMENTATION> pink polyp", prompts.ground_prompt("pink polyp")),
    ):
        theirs = processor(images=image, text=given, return_tensors="pt")
        tokenizer = backbone.tokenizer
        text = "<image>" * 37 + tokenizer.bos_token + ours + tokenizer.eos_token
        expected = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        assert torch.equal(theirs.input_ids, expected)
        assert torch.allclose(theirs.pixel_values, backbone.pixels([image]), atol=1e-6)


def test_encoding_once_gives_token_for_token_what_the_pixels_give(backbone: Backbone, suite: PhantomSuite) -> None:
    import torch

    model = Florence2Model(backbone, backbone.network, {}, Decoding())
    image = suite.load_image(suite.image_ids[1])
    (feature,) = model.encode([image])
    ours = generate(backbone.network, backbone.tokenizer, feature[None], [prompts.CAPTION_PROMPT], max_new_tokens=40)[0]
    tokenizer = backbone.tokenizer
    text = "<image>" * 37 + tokenizer.bos_token + prompts.CAPTION_PROMPT + tokenizer.eos_token
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        theirs = backbone.network.generate(
            **inputs, pixel_values=backbone.pixels([image]), max_new_tokens=40, do_sample=False, num_beams=1
        )
    assert ours.text == tokenizer.decode(theirs[0], skip_special_tokens=True).strip()


@pytest.mark.parametrize("beams", [1, 3])
def test_answers_do_not_depend_on_the_batch(backbone: Backbone, suite: PhantomSuite, beams: int) -> None:
    network = with_adapter(backbone, definitions()["multitask_r128"].bundled("tiny")).network
    model = Florence2Model(backbone, network, {}, Decoding(beams=beams))
    features, asks = _features(model, suite), _asks(suite, 24)
    together = model.answer([features[ask.img_id] for ask in asks], asks)
    alone = [model.answer([features[ask.img_id]], [ask])[0] for ask in asks]
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.token_count for a in together] == [a.token_count for a in alone]
    confidences = [a.confidence for a in together]
    assert all(c is not None and 0 <= c <= 1 for c in confidences)
    assert confidences == pytest.approx([a.confidence for a in alone], abs=1e-4)


def test_confidence_is_the_mean_top_five_mass_of_the_greedy_steps(backbone: Backbone, suite: PhantomSuite) -> None:
    """Checked against a second, teacher-forced pass over the generated tokens."""
    import torch

    model = Florence2Model(backbone, backbone.network, {}, Decoding())
    image = suite.load_image(suite.image_ids[0])
    (feature,) = model.encode([image])
    reply = generate(backbone.network, backbone.tokenizer, feature[None], ["wall"], max_new_tokens=20)[0]
    tokenizer = backbone.tokenizer
    ids = tokenizer(reply.text, add_special_tokens=False).input_ids
    labels = torch.tensor([[*ids, tokenizer.eos_token_id]])
    text = tokenizer("<image>" * 37 + "<s>wall</s>", add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        logits = backbone.network(**text, pixel_values=backbone.pixels([image]), labels=labels).logits
    mass = logits.softmax(-1).topk(5).values.sum(-1).mean()
    assert reply.token_count == labels.shape[1]
    assert reply.confidence == pytest.approx(float(mass), abs=1e-4)


def test_an_adapter_survives_saving_and_merging(backbone: Backbone, suite: PhantomSuite, tmp_path: Path) -> None:
    import copy

    import torch

    before = {name: value.clone() for name, value in backbone.network.state_dict().items()}
    wrapped = add_adapter(copy.deepcopy(backbone.network), backbone.tokenizer, rank=8, alpha=16)
    torch.manual_seed(0)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter) * 0.05)
    wrapped.eval()
    save_adapter(wrapped, tmp_path / "adapter", {"backbone_digest": backbone.digest})
    adapted = with_adapter(backbone, tmp_path / "adapter")
    merged, digest = adapted.network, adapted.digest
    assert digest == weights_digest(tmp_path / "adapter")
    pixels = backbone.pixels([suite.load_image(suite.image_ids[0])])
    tokenizer = backbone.tokenizer
    text = tokenizer("<image>" * 37 + "<s><MedVQA> Why?</s>", add_special_tokens=False, return_tensors="pt")
    labels = torch.tensor([[7, 8, 9, 2]])
    with torch.inference_mode():
        expected = wrapped.base_model.model(**text, pixel_values=pixels, labels=labels).logits
        found = merged(**text, pixel_values=pixels, labels=labels).logits
        bare = backbone.network(**text, pixel_values=pixels, labels=labels).logits
    # Saved in float16: equal to its precision, and far from the bare backbone.
    assert torch.allclose(expected, found, atol=0.05)
    assert (found - bare).abs().max() > 0.5
    after = backbone.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the shared backbone is untouched"


def test_an_adapter_of_another_backbone_is_refused(backbone: Backbone, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "adapter"
    shutil.copytree(definitions()["multitask_r32"].bundled("tiny"), folder)
    card = json.loads((folder / CARD).read_text())
    card["backbone_digest"] = "0123456789abcdef"
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="was trained on backbone 0123456789abcdef"):
        with_adapter(backbone, folder)


def test_damaged_or_missing_weights_are_one_line(tmp_path: Path) -> None:
    import shutil

    with pytest.raises(CheckpointError, match="not found"):
        resolve(tmp_path / "none")
    folder = tmp_path / "backbone"
    shutil.copytree(TINY, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot load the backbone"):
        load_backbone(folder)
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n")
    with pytest.raises(CheckpointError, match="no safetensors"):
        load_backbone(folder)


def test_pictures_of_any_size_and_mode_are_prepared() -> None:
    from PIL import Image

    settings = PictureSettings.read(TINY)
    for mode, size in (("RGB", (640, 480)), ("L", (33, 500)), ("RGBA", (96, 96)), ("P", (10, 10))):
        pixels = settings.normalise(settings.resize(Image.new(mode, size)))
        assert pixels.shape == (3, 96, 96)
        assert pixels.dtype == np.float32


def test_pictures_equal_those_of_the_librarys_processor(suite: PhantomSuite) -> None:
    """Larger, smaller and degenerate ones, through Pillow; both read the checkpoint's own settings."""
    from PIL import Image

    from gi_bench.baselines.data.masks.loading import load_image_processor, prepared

    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, shape).astype(np.uint8) for shape in ((48, 64, 3), (531, 622, 3), (1, 40, 3))]
    pictures += [np.asarray(suite.load_image(name).convert("RGB")) for name in suite.image_ids[:3]]
    processor, settings = load_image_processor(str(TINY), lambda: None), PictureSettings.read(TINY)
    for picture in pictures:
        ours = settings.normalise(settings.resize(Image.fromarray(picture)))
        theirs = prepared(processor, picture)["pixel_values"][0].numpy()
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-6


def test_several_variants_load_the_backbone_once(monkeypatch: pytest.MonkeyPatch, suite: PhantomSuite) -> None:
    import gi_bench.baselines.florence2.backbone as module

    loads = []
    real = module.load_backbone
    monkeypatch.setattr(module, "load_backbone", lambda *a, **k: loads.append(a) or real(*a, **k))
    shared: dict[str, Any] = {}
    answers = []
    for name in ("multitask_r32", "vqa_only_r128", "florence2_zero_shot", "multitask_r32"):
        model = model_entry(name).build(BuildContext(suite=suite, shared=shared))
        feature = model.encode([suite.load_image(suite.image_ids[0])])
        answers.append(model.answer(feature, _asks(suite, 1))[0].text)
        model.close()
    assert len(loads) == 1
    assert answers[0] == answers[3], "an earlier variant leaves no trace on the backbone"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_checkpoints_have_cards(name: str) -> None:
    folder = definitions()[name].bundled("tiny")
    card = json.loads((folder / CARD).read_text())
    assert (card["rank"], card["rank_of_variant"]) == (definitions()[name].rank_on("tiny"), definitions()[name].rank)
    assert card["alpha"] == 2 * card["rank"]
    assert card["command"].startswith(f"gi-bench train --model {name}")
    assert {"training", "mixture", "seconds", "steps", "trained_on_fingerprint", "scores"} <= card.keys()
    assert card["backbone_digest"] == weights_digest(TINY)
    assert (folder / "README.md").is_file()


def test_the_backbone_follows_the_suite() -> None:
    assert backbone_source(None, suite_spec("phantom/test"))[0] == "tiny"
    assert backbone_source(None, suite_spec("medico2025-task1")) == ("base", "florence-community/Florence-2-base")
    assert backbone_source("tiny", suite_spec("medico2025-task1"))[1] == TINY
    assert backbone_source("/some/folder", suite_spec("phantom/test")) == ("custom", "/some/folder")


def test_regions_are_in_pixels_of_the_original(backbone: Backbone, suite: PhantomSuite) -> None:
    network = with_adapter(backbone, definitions()["multitask_r128"].bundled("tiny")).network
    model = Florence2Model(backbone, network, {}, Decoding())
    phrase = next(p for p in suite.phrases if p.label == "polyp" and not p.is_negative)
    feature = model.encode([suite.load_image(phrase.img_id)])
    wide = model.ground(feature, [GroundAsk(phrase.img_id, phrase.phrase, "polyp", 640, 320)])[0]
    assert (wide.regions[0].width, wide.regions[0].height) == (640, 320)
    square = model.ground(feature, [GroundAsk(phrase.img_id, phrase.phrase, "polyp", 256, 256)])[0]
    assert wide.regions[0].area / (640 * 320) == pytest.approx(square.regions[0].area / 65536, rel=0.1)
