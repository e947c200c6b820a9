"""The weakly augmented track: the same questions on images that were slightly cropped, turned, shifted and recoloured.

The organisers' augmentation, in this order: a crop of 90 to 100 % of the area, its aspect ratio within 5 % of the
image's own, scaled back (bicubic); a rotation of at most 10 degrees; a shift of at most a tenth of each side;
brightness and contrast each times 0.8 to 1.2. They do not distribute their images, and theirs come from one stream of
random numbers over all files: ours are drawn by image id and variant, with seed 42, so that one image does not depend
on the others.
The distribution is theirs, the pixels are not.

Source: generate_augmented.py of github.com/simula/Kvasir-VQA-x1, commit a7aef047.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gi_bench.harness.schema import Phrase, Region
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.specs import SuiteSpec

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

SEED = 42
AREA = (0.9, 1.0)
ASPECT = 0.05
DEGREES = 10.0
SHIFT = 0.1
JITTER = (0.8, 1.2)
AUGMENTATION = "weak augmentation, version 1, variant 1, seed 42"


@dataclass(frozen=True)
class Draw:
    """What happens to one image: crop box in pixels, degrees, shift in pixels, brightness and contrast factors."""

    crop: tuple[int, int, int, int]
    degrees: float
    shift: tuple[int, int]
    brightness: float
    contrast: float
    brightness_first: bool


def draw(img_id: str, width: int, height: int, *, variant: int = 1) -> Draw:
    """The transformation of one image; depends on its id, its size and the variant (from 1) only."""
    number = int.from_bytes(hashlib.sha256(img_id.encode("utf-8")).digest()[:8], "big")
    random = np.random.default_rng([SEED, variant, number])
    own = width / height
    low, high = math.log(own * (1 - ASPECT)), math.log(own * (1 + ASPECT))
    crop = (0, 0, width, height)
    for _ in range(10):  # a crop that is too wide or too high is drawn again; after ten, none is cut
        area = width * height * random.uniform(*AREA)
        aspect = math.exp(random.uniform(low, high))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            x, y = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
            crop = (x, y, x + w, y + h)
            break
    degrees = float(random.uniform(-DEGREES, DEGREES))
    shift = (round(random.uniform(-SHIFT, SHIFT) * width), round(random.uniform(-SHIFT, SHIFT) * height))
    brightness, contrast = (float(v) for v in random.uniform(*JITTER, size=2))
    return Draw(crop, degrees, shift, brightness, contrast, bool(random.integers(0, 2)))


def _moved(picture: Image, how: Draw, resample: Resampling) -> Image:
    """Crop, rotation and shift; what comes in from outside is black."""
    from PIL.Image import Resampling, Transform

    moved = picture.crop(how.crop).resize(picture.size, resample)
    moved = moved.rotate(how.degrees, Resampling.NEAREST)
    x, y = how.shift
    return moved.transform(picture.size, Transform.AFFINE, (1, 0, -x, 0, 1, -y), Resampling.NEAREST)


def augment(picture: Image, how: Draw) -> Image:
    """The augmented picture, of the same size."""
    from PIL import ImageEnhance
    from PIL.Image import Resampling

    found = _moved(picture.convert("RGB"), how, Resampling.BICUBIC)
    factors = [(ImageEnhance.Brightness, how.brightness), (ImageEnhance.Contrast, how.contrast)]
    for enhance, factor in factors if how.brightness_first else reversed(factors):
        found = enhance(found).enhance(factor)
    return found


def augment_region(region: Region, how: Draw) -> Region:
    """The region where the augmented picture shows it."""
    from PIL import Image
    from PIL.Image import Resampling

    mask = Image.fromarray(region.mask().astype(np.uint8) * 255)
    return Region.from_mask(region.label, np.asarray(_moved(mask, how, Resampling.NEAREST)) > 128, region.score)


def augmented_spec(name: str, spec: SuiteSpec) -> SuiteSpec:
    """What the augmented view of a suite is."""
    return replace(spec, condition="augmented", view_of=name)


class AugmentedSuite(Suite):
    """Another suite's rows on weakly augmented images; regions move along."""

    def __init__(self, suite: Suite, name: str) -> None:
        self.name = name
        self.spec = augmented_spec(suite.name, suite.spec)
        self.questions = suite.questions
        self.train_suite = suite.train_suite
        self.has_images = suite.has_images
        self._suite = suite
        self.phrases = tuple(self._phrase(phrase) for phrase in suite.phrases)
        own = "images are augmented as the organisers do, with random numbers of our own: near, not equal, to theirs"
        self.note = "; ".join(filter(None, (suite.note, own)))

    def _phrase(self, phrase: Phrase) -> Phrase:
        if phrase.region is None:
            return phrase
        how = draw(phrase.img_id, phrase.region.width, phrase.region.height)
        return replace(phrase, region=augment_region(phrase.region, how))

    def load_image(self, img_id: str) -> Image:
        """The augmented image."""
        picture = self._suite.load_image(img_id)
        return augment(picture, draw(img_id, *picture.size))

    def image_digest(self, img_id: str) -> str:
        """SHA-256 over the source image's digest and the augmentation."""
        return hashlib.sha256(f"{self._suite.image_digest(img_id)}\t{AUGMENTATION}".encode()).hexdigest()
