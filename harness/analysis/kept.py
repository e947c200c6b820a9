"""Statistics that were made of a run, kept on disk: to compare runs that were just scored, no text is read again.

They are found by the content of the run's files, the settings and the code, so that what is found is what the metric
would give. Only headline metrics of this package are kept, and only statistics that are plain numbers and labels.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness import provenance
from gi_bench.harness.cache import Cache, cache_folder
from gi_bench.harness.metric_settings import encoders_state
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.store import MANIFEST, Run, made_parts


def statistics_of(metric: Metric, run: Run) -> Statistics | str:
    """What a metric makes of a run, from the disk where this code made it of the same files before."""
    key = _key(metric, run)
    if key is None:
        return metric.compute(run)
    cache = Cache(cache_folder() / "statistics.sqlite3")
    stored = cache.get(key)
    if stored is not None and (found := _unpacked(stored)) is not None:
        return found
    made = metric.compute(run)
    if isinstance(made, Statistics) and (packed := _packed(made)) is not None:
        cache.put(key, packed)
    return made


def _key(metric: Metric, run: Run) -> str | None:
    """What decides a metric's statistics of a run; None where they are not kept, or something else may decide them."""
    if run.only is not None or not metric.info.headline or not provenance.is_ours(metric.compute):
        return None
    encoders, content = encoders_state(run.settings), run.once("content", _content)
    if encoders is None or content is None:
        return None
    return provenance.digest_of("statistics", metric.name, asdict(metric.info), encoders, content)


def _content(run: Run) -> list[Any] | None:
    """Digests of a run's files by name, and its manifest but for when it was written; None where one is not read."""
    parts = [path for path in made_parts(run.path) if path.name != MANIFEST]
    try:
        digests = provenance.content_of(parts)
        top = run.path.resolve()
        names = {Path(path).relative_to(top).as_posix(): digest for path, digest in digests.items()}
    except (OSError, ValueError):  # gone, or a link to somewhere else
        return None
    return [names, asdict(replace(run.manifest, created=""))]


def _packed(made: Statistics) -> bytes | None:
    """Statistics as bytes; None where they hold something that is no plain value."""
    value = f"{getattr(made.value, '__module__', '')}:{getattr(made.value, '__qualname__', '')}"
    special = (made.point, made.part, made.columns, made.info)
    if any(one is not None for one in special) or _function(value) is not made.value:
        return None
    # Sums over rows depend on how they lie in memory, by their last digit.
    if made.sums.ndim != 2 or made.sums.dtype != np.float64 or not made.sums.flags.c_contiguous:
        return None
    head: dict[str, Any] = {"value": value, "counts": dict(made.counts), "interval": made.interval, "labels": []}
    head["shape"] = list(made.sums.shape)
    arrays: list[npt.NDArray[Any]] = [np.ascontiguousarray(made.sums.T)]  # columns are alike, rows are not
    for name, values in (("images", made.images), *made.slices.items()):
        numbers: dict[Any, int] = {}
        codes = [numbers.setdefault(one, len(numbers)) for one in values]
        arrays.append(np.array(codes, dtype=np.int32))
        head["labels"].append([name, list(numbers)])
    written = json.dumps(head).encode()
    return b"".join([len(written).to_bytes(8, "big"), written, *(zlib.compress(one.tobytes(), 1) for one in arrays)])


def _unpacked(stored: bytes) -> Statistics | None:
    """The inverse of :func:`_packed`; None for what is not whole."""
    try:
        end = 8 + int.from_bytes(stored[:8], "big")
        head, rest = json.loads(stored[8:end]), stored[end:]
        arrays: list[npt.NDArray[Any]] = []
        for kind in (np.float64, *[np.int32] * len(head["labels"])):
            unpacker = zlib.decompressobj()
            arrays.append(np.frombuffer(unpacker.decompress(rest), dtype=kind))
            rest = unpacker.unused_data
            if not unpacker.eof:
                return None
        rows, columns = head["shape"]
        images, *slices = map(_labelled, head["labels"], arrays[1:])
        value = _function(head["value"])
        return value and Statistics(
            np.ascontiguousarray(arrays[0].reshape(columns, rows).T),
            images,
            {name: labels for (name, _), labels in zip(head["labels"][1:], slices, strict=True)},
            value=value,
            counts=head["counts"],
            interval=head["interval"],
        )
    except (ValueError, KeyError, TypeError, IndexError, zlib.error):
        return None


def _labelled(names: tuple[str, list[Any]], codes: npt.NDArray[Any]) -> Any:
    distinct = [tuple(one) if isinstance(one, list) else one for one in names[1]]
    return tuple(map(distinct.__getitem__, codes.tolist()))


def _function(name: str) -> Callable[[Any], Any] | None:
    """A function of this package's metrics by its module and name; None where there is none, or it is no such one."""
    module, _, function = name.partition(":")
    if not module.startswith("gi_bench.harness.metrics.") or module not in sys.modules:
        return None
    found = getattr(sys.modules[module], function, None)
    return found if callable(found) else None


__all__ = ["statistics_of"]
