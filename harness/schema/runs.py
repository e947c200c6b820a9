"""How a run came about: recipe, code, machine and seconds, the images trained on, and pictures to show it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gi_bench.harness.schema.rows import Task
from gi_bench.harness.schema.version import SCHEMA_VERSION


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's predictions. Its hash binds a run folder.

    Attributes:
        variant: registered name of the model.
        model: the model's own settings (backbone, checkpoint digest, rank, decoding, ...).
        suite: name of the suite.
        fingerprint: SHA-256 of the suite's rows and images.
        tasks: tasks that were run.
        limit: number of questions if the run was cut short, else None.
        seed: seed of everything random.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        code_version: version of gi-bench that made the predictions.
    """

    variant: str
    model: Mapping[str, Any]
    suite: str
    fingerprint: str
    tasks: tuple[Task, ...]
    limit: int | None
    seed: int
    dtype: str
    code_version: str

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields."""
        import hashlib
        import json
        from dataclasses import asdict

        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    @property
    def role(self) -> str:
        """``floor`` for a variant that never looks, ``ceiling`` for one that knows the references, else ``model``."""
        found = self.model.get("role")
        return str(found) if found in ("floor", "ceiling") else "model"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run covers: questions, phrases, and the images of both."""

    images: int = 0
    phrases: int = 0
    questions: int = 0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a run was made on.

    Attributes:
        cores: of the machine.
        cpu: name of the processor.
        device: as asked for: ``cpu``, ``cuda`` or ``cuda:N``.
        gpu_name: name of the GPU, or ``cpu``.
        threads: of torch; None if the model did not need it.
    """

    cores: int | None = None
    cpu: str | None = None
    device: str | None = None
    gpu_name: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True)
class Code:
    """The code that made predictions. It is no part of the recipe, so that a fix does not move a run's folder.

    Attributes:
        version: of gi-bench.
        package: SHA-256 over the code and data of the installed package.
        plugins: SHA-256 of what a plugin brought to the run, by file or package: its file and the modules beside it.
        commit: of the checkout that the package ran from; empty where it is installed.
        command: the command line; empty where the run was started from Python.
        prompts: what the model is asked, by task, with places for question and phrase; empty where it does not say.
    """

    version: str = ""
    package: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    command: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Content of a run's ``manifest.json``: what was run, on what, and what came of it.

    Attributes:
        recipe: what decided the predictions.
        recipe_digest: of the recipe; names the folder and binds it.
        created: when the run was started, ISO 8601 in UTC.
        complete: whether every row has its prediction.
        counts: rows that the run covers.
        suite_note: what must be said wherever a score of this suite is shown; empty if nothing.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``none`` for predictions out of a file.
        batch_size: micro-batch at the end of the run; None for predictions out of a file.
        batch_halved_count: how often memory ran out.
        seconds: time in the model, over all parts; None until the run is complete.
        peak_memory_mb: highest memory, in 10^6 bytes: of the GPU's allocator, else of the whole process; None until the
            run is complete.
        model_memory_mb: memory in use once the model was loaded, counted alike; None in runs that do not say.
        hardware: the machine.
        system: Python and platform.
        packages: versions of what can change a number.
        parts: SHA-256 of every finished part of the predictions by file name; checked when a part is read. Empty in
            runs that do not say, and a part that is not named is not checked.
        references: SHA-256 of the tables of questions and phrases by file name, likewise.
        code: what made the predictions; empty in runs that do not say.
        remarks: what must be said beside the scores: predictions that were made by other code than was there when the
            run was asked for again, or by code of several versions.
    """

    recipe: Recipe
    recipe_digest: str
    created: str
    complete: bool
    counts: Counts
    suite_note: str = ""
    device: str = "none"
    batch_size: int | None = None
    batch_halved_count: int = 0
    seconds: float | None = None
    peak_memory_mb: float | None = None
    model_memory_mb: float | None = None
    hardware: Hardware = field(default_factory=Hardware)
    system: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    code: Code = field(default_factory=Code)
    remarks: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Timing:
    """Content of ``timings/part-*.json``: seconds by stage of one part, and how much it held.

    Attributes:
        seconds: by stage.
        images, questions, phrases: of the part.
        batch_size, batch_halved_count: at its end: where an unfinished run goes on, the next part begins with them.
    """

    seconds: Mapping[str, float]
    images: int = 0
    questions: int = 0
    phrases: int = 0
    batch_size: int = 0
    batch_halved_count: int = 0


@dataclass(frozen=True, slots=True)
class SeenImages:
    """Content of ``training.json``: which images of a run the model was trained on.

    Attributes:
        source: who says so: the model's own list, or the name of a file that the user gave.
        image_count: images in that list.
        seen: those among them that the run covers, sorted.
    """

    seen: tuple[str, ...]
    source: str = ""
    image_count: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of one image, for reports.

    Attributes:
        img_id: image id.
        width, height: size of the image itself, in pixels.
        data: the encoded picture: WebP, longest side 256 px (JPEG, 320 px, in runs of schema version 2).
    """

    img_id: str
    width: int
    height: int
    data: bytes
