"""The tiny backbone's schooling on neutral tasks: it learns to see and to write, but not our answers.

Three things are learned, none of them a task of the challenge: where which kind of shape lies (a dense
auxiliary head that is thrown away), Florence-2's own tasks in plain words for shapes and colours (captions,
detection, referring segmentation), and the language of the domain by filling gaps in sentences that are shown
beside some other image. Medical words are therefore known as words, without any tie to what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.florence2 import locations, prompts
from gi_bench.baselines.florence2.locations import TINY_STYLE
from gi_bench.baselines.training.features import PictureFeed
from gi_bench.baselines.training.mixture import Batch, Row
from gi_bench.baselines.training.rows import Examples
from gi_bench.harness.suites.phantom.facts import Facts
from gi_bench.harness.suites.phantom.scene import INSTRUMENTS, POLYP_COLORS, POLYP_RADII, POLYP_TYPES, Scene
from gi_bench.harness.suites.phantom.shapes import region_masks

if TYPE_CHECKING:
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

_FORMS = {"paris ip": "stalked", "paris is": "domed", "paris iia": "flat"}
_LARGENESS = {"<5mm": "tiny", "5-10mm": "small", "11-20mm": "large", ">20mm": "huge"}
_NOUNS = {
    "polyp": "bump",
    "ulcerative colitis": "speckled blot",
    "oesophagitis": "striped blot",
    "z-line": "jagged ring",
    "cecum": "folded opening",
}
_TOOL_NOUNS = {"biopsy forceps": "open jaws", "polyp snare": "wire loop", "tube": "banded rod"}
_COUNTS = ("no", "one", "two", "three")


def _place(facts: Facts, label: str) -> str:
    return " ".join(facts.cells[label])


def shapes_of(facts: Facts) -> dict[str, str]:
    """A neutral noun for every visible region label."""
    return {
        label: " and ".join(_TOOL_NOUNS[kind] for kind in facts.instruments) if label == "instrument" else _NOUNS[label]
        for label in facts.cells
    }


def caption(facts: Facts) -> str:
    """The scene in plain words of shape, number, size, colour and place."""
    scene = facts.scene
    parts = ["ringed pink wall" if scene.procedure == "colonoscopy" else "smooth orange wall"]
    for label, noun in shapes_of(facts).items():
        if label == "polyp":
            polyp = scene.polyps[0]
            many = _COUNTS[len(scene.polyps)]
            noun = f"{many} {_LARGENESS[polyp.size]} {polyp.color} {_FORMS[polyp.paris]} bump"
        if label == "instrument":
            noun = f"{_COUNTS[len(scene.instruments)]} tool {noun}"
        parts.append(f"{noun} at {_place(facts, label)}")
    parts.append(f"{scene.box} square" if scene.box else "no square")
    parts.append("letters" if scene.text else "no letters")
    return ", ".join(parts)


def _queries(facts: Facts) -> list[tuple[str, str]]:
    """Short neutral questions, so that short replies to a query are nothing new to the decoder."""
    scene = facts.scene
    found = [
        ("count bumps", _COUNTS[len(scene.polyps)]),
        ("count tools", _COUNTS[len(scene.instruments)]),
        ("wall", "ringed pink" if scene.procedure == "colonoscopy" else "smooth orange"),
        ("square", scene.box or "no"),
        ("letters", "yes" if scene.text else "no"),
    ]
    for label, noun in shapes_of(facts).items():
        found.append((f"place of {noun}", _place(facts, label)))
    if scene.polyps:
        polyp = scene.polyps[0]
        found.append(("size of bump", _LARGENESS[polyp.size]))
        found.append(("form of bump", _FORMS[polyp.paris]))
        found.append(("color of bump", polyp.color))
    for noun in sorted(set(_NOUNS.values()) - set(shapes_of(facts).values())):
        found.append((f"place of {noun}", "nowhere"))
    return found


def neutral_examples(suite: PhantomSuite) -> Examples:
    """Caption, detection, referring segmentation and short queries for every image of a phantom split."""
    found = Examples()
    for img_id in suite.image_ids:
        facts = Facts(suite.scene(img_id))
        found.add("caption", img_id, prompts.CAPTION_PROMPT, caption(facts))
        for query, reply in _queries(facts):
            found.add("query", img_id, query, reply)
        boxes = []
        for label, mask in region_masks(facts.scene, 128).items():
            if label not in facts.cells:
                continue
            noun = shapes_of(facts)[label]
            target = locations.encode_mask(mask, corners=TINY_STYLE.corners, steps=TINY_STYLE.steps)
            if target:
                found.add("segment", img_id, prompts.ground_prompt(noun), target)
            ys, xs = np.nonzero(mask)
            corners = np.array([[xs.min(), ys.min()], [xs.max(), ys.max()]]) + 0.5
            bins = locations.quantise(corners, 128, 128, steps=TINY_STYLE.steps)
            boxes.append(noun + locations.to_tokens([bins]))
        if boxes:
            found.add("detect", img_id, prompts.DETECTION_PROMPT, "".join(boxes))
    return found


def gap_examples(texts: Sequence[str], img_ids: Sequence[str], seed: int, found: Examples) -> None:
    """Gap filling as in BART: the sentence with one to three words masked, beside a random image."""
    random = np.random.default_rng(seed)
    for text in texts:
        words = text.split(" ")
        gaps = min(len(words), 1 + int(random.integers(3)))
        for position in random.choice(len(words), gaps, replace=False):
            words[position] = "<mask>"
        masked = re.sub(r"<mask>( <mask>)+", "<mask>", " ".join(words))
        found.add("gap", img_ids[int(random.integers(len(img_ids)))], masked, text)


# Of each image in a batch so many rows of a task are drawn.
_ROWS = {"caption": 1, "query": 2, "segment": 1, "detect": 1, "gap": 1}
_IMAGES = 16


def draw_batches(examples: Examples, steps: int, seed: int) -> list[Batch]:
    """Batches of some images each, with a few random rows of every task about each image."""
    random = np.random.default_rng(seed)
    images = examples.image_ids
    found = []
    for _ in range(steps):
        batch = []
        for i in random.choice(len(images), min(_IMAGES, len(images)), replace=False):
            for task, count in _ROWS.items():
                pool = examples.by_task.get(task, {}).get(images[i], ())
                batch += [Row(images[i], task, *pool[row]) for row in random.permutation(len(pool))[:count]]
        found.append(tuple(batch))
    return found


_DENSE_LABELS = (*tuple(_NOUNS), "instrument")


def attribute_vector(scene: Scene) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the auxiliary head has to tell of a whole picture: 0/1 for each attribute."""
    polyp = scene.polyps[0] if scene.polyps else None
    flags = [
        scene.procedure == "colonoscopy", scene.text is not None, scene.box == "green", scene.box == "black",
        scene.landmark is not None, bool(scene.patches), len(scene.polyps) >= 1, len(scene.polyps) >= 2,
        len(scene.polyps) >= 3, len(scene.instruments) >= 1, len(scene.instruments) >= 2,
    ]  # fmt: skip
    flags += [any(tool.kind == kind for tool in scene.instruments) for kind in INSTRUMENTS]
    flags += [polyp is not None and polyp.paris == paris for paris in POLYP_TYPES]
    flags += [polyp is not None and polyp.size == size for size in POLYP_RADII]
    flags += [polyp is not None and polyp.color == color for color in POLYP_COLORS]
    return np.array(flags, dtype=np.float32)


def dense_labels(scene: Scene, cells: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Class of every cell of a (cells x cells) grid: 0 for none, else 1 + position of the label."""
    fine = 8
    grid = np.zeros((cells, cells), dtype=np.int64)
    best = np.full((cells, cells), 0.12)
    for label, mask in region_masks(scene, cells * fine).items():
        share = mask.reshape(cells, fine, cells, fine).mean(axis=(1, 3))
        grid = np.where(share > best, 1 + _DENSE_LABELS.index(label), grid)
        best = np.maximum(best, share)
    return grid


def train_vision(
    network: Any,
    suite: PhantomSuite,
    feed: PictureFeed,
    *,
    steps: int,
    rate: float,
    seed: int,
    report: Callable[[int, float, float], None] | None = None,
) -> None:
    """Train the vision tower alone with a dense auxiliary head, in place."""
    import time

    import torch
    from torch import nn

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    tower = network.model.vision_tower
    ids = list(suite.image_ids)
    with torch.no_grad():
        shape = tower(feed.read(ids[:1])).last_hidden_state.shape
    width, cells = int(shape[1]), int(shape[-1])
    attributes = torch.from_numpy(np.stack([attribute_vector(suite.scene(i)) for i in ids]))
    dense = torch.from_numpy(np.stack([dense_labels(suite.scene(i), cells) for i in ids]))
    heads = nn.ModuleList([nn.Conv2d(width, 1 + len(_DENSE_LABELS), 1), nn.Linear(2 * width, attributes.shape[1])])
    parameters = [*tower.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    tower.train()
    start, losses = time.perf_counter(), []
    for step in range(steps):
        rows = random.choice(len(ids), 32, replace=False)
        seen = tower(feed.read([ids[i] for i in rows])).last_hidden_state
        pooled = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1)
        loss = nn.functional.cross_entropy(heads[0](seen), dense[rows])
        loss = loss + nn.functional.binary_cross_entropy_with_logits(heads[1](pooled), attributes[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if report is not None and (step + 1) % 50 == 0:
            report(step + 1, sum(losses) / len(losses), time.perf_counter() - start)
            losses = []
    tower.eval()
