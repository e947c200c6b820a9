"""Makes the runs of studies: trains every arm with every seed, runs it on the suite, and keeps both.

Arms that studies share are trained once. What is there is not done again: a study that was killed goes on with the
training that it was at.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from gi_bench.baselines.registration import backbone_source
from gi_bench.baselines.studies.definitions import Arm, arm
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import suite_spec
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.terminal import say

Say = Callable[[str], None]
# Negative questions for each question, where a suite has none of its own.
NEGATIVE_RATIO = 0.2


@dataclass(frozen=True)
class Settings:
    """How the arms are trained and run.

    Attributes:
        suite: suite that is run on.
        train_suite: suite that is trained on.
        data: folder with their files; None for embedded ones.
        backbone: as for ``gi-bench run``; None for the suite's own.
        epochs, steps: length of a training; None for the backbone's own, steps instead of epochs.
        rows: rows of an optimiser step; None for the backbone's own.
        device: ``auto``, ``cpu`` or ``cuda``.
        beams: while answering; None for the variant's own.
        explanations: file of ``gi-bench data explanations``, for suites without.
    """

    suite: str
    train_suite: str
    data: Path | None = None
    backbone: str | None = None
    epochs: int | None = 1
    steps: int | None = None
    rows: int | None = None
    device: str = "auto"
    beams: int | None = None
    explanations: Path | None = None

    def describe(self) -> dict[str, Any]:
        """The settings as plain values, without this machine's paths."""
        plain = asdict(self)
        for name in ("data", "device", "backbone"):
            plain.pop(name)
        plain["backbone"] = backbone_source(self.backbone, suite_spec(self.suite))[0]
        if self.explanations is not None:
            plain["explanations"] = hashlib.sha256(self.explanations.read_bytes()).hexdigest()
        return plain

    def folder(self, parent: Path) -> Path:
        """Where runs and adapters with these settings lie."""
        return parent / f"{self.suite.replace('/', '-')}-{_digest(self.describe())}"


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8")).hexdigest()[:8]


class Workshop:
    """Trains and runs arms in this process; suites are loaded once."""

    def __init__(self, settings: Settings, folder: Path, say: Say) -> None:
        self._settings, self._folder, self._say = settings, folder, say

    @cached_property
    def _suite(self) -> Suite:
        return self._load(self._settings.suite)

    @cached_property
    def _train_suite(self) -> Suite:
        return self._load(self._settings.train_suite)

    def _load(self, name: str) -> Suite:
        from gi_bench.harness.registry import load_suite

        return load_suite(name, self._settings.data)

    @cached_property
    def _bound(self) -> dict[str, Any]:
        """What every arm's weights and answers depend on: other rows, images or weights are another experiment."""
        from gi_bench.baselines.florence2.backbone import resolve, weights_digest
        from gi_bench.baselines.training.settings import Running

        _, source = backbone_source(self._settings.backbone, self._suite.spec)
        return {
            "settings": self._settings.describe(),
            "backbone": weights_digest(resolve(source)),
            "dtype": Running(device=self._settings.device).resolved_dtype(),
            "suite": self._suite.fingerprint,
            "train suite": self._train_suite.fingerprint,
        }

    def _place(self, one: Arm, seed: int) -> str:
        """Name of an arm's training: another variant, suite or backbone gives another one."""
        return f"{one.name}-seed{seed}-{_digest([self._bound, asdict(one.variant), one.masks])}"

    def make(self, name: str, seed: int) -> Path:
        """Train an arm with a seed and run it; what is finished already is taken.

        Returns:
            The run folder, relative to the workshop's.

        Raises:
            GiBenchError: rows, masks or weights are missing, or the training fails.
        """
        from gi_bench.harness.engine.run import Settings as RunSettings
        from gi_bench.harness.engine.run import evaluate
        from gi_bench.harness.files import write_bytes

        one, settings = arm(name), self._settings
        done = self._folder / "finished" / self._place(one, seed)
        if done.is_file():
            path = Path(done.read_text(encoding="utf-8").strip())
            if (self._folder / path / "scores.json").is_file():
                return path
        checkpoint = self._checkpoint(one, seed) if one.variant.adapter else None
        run = RunSettings(
            device=settings.device,
            seed=seed,
            backbone=settings.backbone,
            beams=settings.beams,
            checkpoint=None if checkpoint is None else str(checkpoint),
        )
        (finished,) = evaluate([one.variant.name], self._suite, output=self._folder / "runs" / name, settings=run)
        path = finished.path.relative_to(self._folder)
        write_bytes(done, f"{path}\n".encode())
        return path

    def _checkpoint(self, one: Arm, seed: int) -> Path:
        """The arm's adapter, trained if it is not there."""
        from gi_bench.baselines.florence2.backbone import load_backbone
        from gi_bench.baselines.training.adapter import Choices, Material, clean_beside, train_adapter
        from gi_bench.baselines.training.settings import Running

        settings = self._settings
        folder = self._folder / "adapters" / self._place(one, seed)
        if (folder / "card.json").is_file():
            clean_beside(folder)
            return folder
        name, source = backbone_source(settings.backbone, self._suite.spec)
        train_adapter(
            one.variant,
            load_backbone(source),
            name,
            Material(self._train_suite, self._extra(one, seed)),
            folder,
            choices=Choices(epochs=settings.epochs, steps=settings.steps, seed=seed, rows=settings.rows),
            running=Running(device=settings.device, command=f"gi-bench study, arm {one.name}"),
            say=lambda line: self._say(f"{one.name}, seed {seed}: {line}"),
        )
        return folder

    def _extra(self, one: Arm, seed: int) -> Any:
        """Rows besides the suite's own: masks of the arm, explanations, and negatives where the suite has none."""
        from dataclasses import replace

        from gi_bench.baselines.training.extra_rows import read_extra_rows

        masks = None if one.masks == "suite" else self._mask_file(one.masks)
        extra = read_extra_rows(self._train_suite, explanations=self._settings.explanations, masks=masks)
        if not one.variant.negatives or any(phrase.is_negative for phrase in self._train_suite.phrases):
            return extra
        from gi_bench.harness.suites.negatives import make_negatives

        made, _ = make_negatives(self._train_suite, NEGATIVE_RATIO, seed)
        rows = tuple((row.img_id, row.question, row.answer, row.phrase) for row in made)
        return replace(extra, negatives=rows)

    def _mask_file(self, name: str) -> Path:
        return self._folder / "masks" / f"{name}-{self._train_suite.fingerprint[:8]}.parquet"

    def make_masks(self) -> dict[str, Any]:
        """Pseudo-masks of the training suite and their refinement, with how far each agrees with the suite's own.

        Embedded suites: filled boxes, then GrabCut. Others: CLIPSeg, then SAM.
        """
        from gi_bench.baselines.data.masks import making
        from gi_bench.harness.files import read_table
        from gi_bench.harness.suites.mask_table import SCHEMA, read_masks

        embedded = self._train_suite.is_embedded
        sources = (
            {"pseudo": "filled boxes", "refined": "GrabCut"} if embedded else {"pseudo": "CLIPSeg", "refined": "SAM"}
        )
        truth = {(one.img_id, one.region.label): one.region for one in making.reference_masks(self._train_suite)}
        told = {}
        for name, source in sources.items():
            path, counts = self._mask_file(name), Counter[str]()
            if not path.is_file():
                self._say(f"making {name} masks")
                given = read_masks(self._mask_file("pseudo")) if name == "refined" else {}
                making.write_masks(path, self._masks(name, given, embedded, counts))
            made = read_masks(path)
            kept = sum(read_table(path, SCHEMA)["kept_input"].to_pylist())
            told[f"{name} masks"] = {
                "source": source,
                "masks": len(made),
                "input kept": kept,
                "agreement with the suite's own": making.agreement(made, truth),
            }
        return told

    def _masks(self, name: str, given: Mapping[Any, Any], embedded: bool, counts: Counter[str]) -> Iterator[Any]:
        from gi_bench.baselines.data.masks import making

        if name == "pseudo" and embedded:
            return making.box_masks(self._train_suite)
        if name == "refined" and embedded:
            from gi_bench.baselines.data.masks.refining import GrabCut

            return making.refined_masks(self._train_suite, given, GrabCut(), "refine", counts)
        if name == "pseudo":
            from gi_bench.baselines.data.masks.clipseg import DEFAULTS, ClipSeg, TextMaskSettings

            settings = TextMaskSettings.read(DEFAULTS)
            model = ClipSeg(settings.model, self._device())
            return making.text_masks(self._train_suite, model, settings, counts)
        from gi_bench.baselines.data.masks.sam import HUB_ID, Sam

        return making.refined_masks(self._train_suite, given, Sam(HUB_ID, self._device()), "sam", counts)

    def _device(self) -> str:
        from gi_bench.baselines.training.settings import Running

        return Running(device=self._settings.device).resolved_device()


_workshop: Workshop | None = None


def _start(settings: Settings, folder: Path, threads: int) -> None:
    """Make a worker's workshop; a worker whose parent was killed ends, or it would train on beside the next call."""
    global _workshop
    import torch

    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()
    # Beside the calling process, whose standard output may be a document of JSON.
    _workshop = Workshop(settings, folder, partial(say, err=True))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(name: str, seed: int) -> tuple[str, int, Path]:
    assert _workshop is not None
    return name, seed, _workshop.make(name, seed)


def make_runs(
    arms: Sequence[str], seeds: Sequence[int], settings: Settings, folder: Path, *, jobs: int = 1, say: Say = say
) -> tuple[dict[str, list[Path]], dict[str, Any]]:
    """The runs of some arms, each with every seed; an arm without training runs once.

    Args:
        arms: names.
        seeds: of the trainings.
        settings: how they are trained and run.
        folder: where adapters and runs are kept.
        jobs: trainings at once, in processes that share the cores.

    Returns:
        By arm, the run folders in the order of the seeds; and what masks were made for them.

    Raises:
        GiBenchError: a training or run fails; what is finished is kept.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise GiBenchError("a study needs seeds, each once", where="--seeds", do="give a number from 1")
    tasks = [(name, seed) for seed in seeds for name in arms if arm(name).variant.adapter or seed == seeds[0]]
    made: dict[tuple[str, int], Path] = {}
    masks: dict[str, Any] = {}
    workshop = Workshop(settings, folder, say)
    if any(arm(name).masks != "suite" for name in arms):
        masks = workshop.make_masks()
    if jobs == 1 or len(tasks) == 1:
        for number, (name, seed) in enumerate(tasks, 1):
            made[name, seed] = folder / workshop.make(name, seed)
            say(f"{number} of {len(tasks)}: {name}, seed {seed}")
    else:
        for name, seed, path in _at_once(tasks, settings, folder, jobs):
            made[name, seed] = folder / path
            say(f"{len(made)} of {len(tasks)}: {name}, seed {seed}")
    return {name: [made[name, seed] for seed in seeds if (name, seed) in made] for name in arms}, masks


def _at_once(
    tasks: Sequence[tuple[str, int]], settings: Settings, folder: Path, jobs: int
) -> Iterator[tuple[str, int, Path]]:
    """Tasks in processes, as they finish; an error or Ctrl-C ends them all."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (settings, folder, threads)) as pool:
        waiting = [pool.submit(_work, name, seed) for name, seed in tasks]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BaseException:
            # A pool whose processes have ended fails all that waits, by itself.
            for process in list(pool._processes.values()):
                process.terminate()
            raise
