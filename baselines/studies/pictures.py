"""The training pictures of an embedded suite at the backbone's size: rendered once for all arms and processes."""

from __future__ import annotations

import io
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.studies.settings import digest_of
from gi_bench.harness.files import write_bytes

if TYPE_CHECKING:
    from gi_bench.baselines.florence2.backbone import PictureSettings
    from gi_bench.harness.suites.base import Suite

# Bytes of the digest behind the array.
_DIGEST = sha256().digest_size


def share_pictures(folder: Path, suite: Suite, settings: PictureSettings) -> None:
    """Have the pictures ready for this process's trainings, rendered by it or by another one.

    Nothing is done where the suite's are files, or the backbone's are large.

    Args:
        folder: where they are kept; what is there and does not fit is made anew.
        suite: training suite.
        settings: how the backbone sees pictures.
    """
    from gi_bench.baselines.training.features import is_small, share_rendered

    if not suite.is_embedded or not is_small(settings):
        return
    path = folder / f"{digest_of([suite.fingerprint, asdict(settings)])}.npy"
    shape = (len(suite.image_ids), settings.height, settings.width, 3)
    found = _read(path)
    if found is None or found.shape != shape or found.dtype != np.uint8:
        found = np.stack([settings.resize(suite.load_image(img_id)) for img_id in suite.image_ids])
        stream = io.BytesIO()
        np.save(stream, found, allow_pickle=False)
        # Behind the array its digest: what was changed is made anew, too.
        write_bytes(path, stream.getvalue() + sha256(stream.getvalue()).digest())
    share_rendered(settings, dict(zip(suite.image_ids, found, strict=True)))


def _read(path: Path) -> Any:
    try:
        content = path.read_bytes()
        array, digest = content[:-_DIGEST], content[-_DIGEST:]
        return np.load(io.BytesIO(array), allow_pickle=False) if sha256(array).digest() == digest else None
    except (OSError, ValueError, EOFError):
        return None
