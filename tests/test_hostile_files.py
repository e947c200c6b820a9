"""Every file that gi-bench reads, damaged in every way: exit code 0 with the same numbers, or 2 with one line."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gi_bench.baselines import registration
from gi_bench.baselines.registration import HERE
from gi_bench.harness import files, registry
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.submissions.info import EXAMPLE
from tests.command_line import CommandLine, Done
from tests.conftest import MadeOnce
from tests.hostile import LIMIT, mutations, within
from tests.run_folders import questions, write_run
from tests.submissions.challenge_folders import EDITION, write_challenge, write_edition

IMAGES = 4


def _fill(folder: Path) -> None:
    """A data folder, predictions of it in four formats, lists of ids, a split, and a run with its scores."""
    from PIL import Image

    data = folder / "data"
    rows = [
        {
            "img_id": f"abc{i}", "complexity": 1, "question": f"How many polyps are in image {i}?",
            "answer": "one polyp", "explanation": "A red bump is seen.", "question_class": ["polyp_count"],
            "original": json.dumps([{"q": "How many polyps are in the image?", "a": "1"}]),
        }
        for i in range(IMAGES)
    ]  # fmt: skip
    for name in ("data", "images", "masks", "no_polyp"):
        (data / name).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), data / "data" / "test-00000-of-00001.parquet")
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[8:20, 10:30] = 255
    for i in range(IMAGES):
        Image.new("RGB", (40, 30), (200, 90, 10 * i)).save(data / "images" / f"abc{i}.jpg")
        Image.fromarray(mask).save(data / "masks" / f"abc{i}.png")
    Image.new("RGB", (40, 30), (90, 90, 80)).save(data / "no_polyp" / "clean1.png")
    phrases = "".join(f"abc{i},What type of polyp is present?,x,the polyp {i}\n" for i in range(IMAGES))
    (data / "phrases.csv").write_text("img_id,q,question,answer\n" + phrases)
    (data / "visuals").mkdir()
    Image.fromarray(mask).save(folder / "shown.png")
    said: list[dict[str, Any]] = [
        {"index": i, "img_id": f"abc{i}", "question": rows[i]["question"], "answer": "a polyp", "confidence": 0.5}
        for i in range(IMAGES)
    ]
    (folder / "said.csv").write_text(
        "index,img_id,answer,confidence\n" + "".join(f"{i},abc{i},a polyp,0.5\n" for i in range(IMAGES))
    )
    pq.write_table(pa.Table.from_pylist(said), folder / "said.parquet")
    said[0]["visual_explanation"] = [
        {"type": "segmentation_mask", "data": "shown.png"},
        {"type": "segmentation_mask", "data": {"size": [30, 40], "counts": [0, 600, 600]}},
    ]
    said[1]["visual_explanation"] = [{"type": "bounding_box", "data": [[1, 2, 30, 20]]}]
    (folder / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    (folder / "said.json").write_text(json.dumps({"submission_info": {"Team_Name": "us"}, "predictions": said}))
    ids = [f"abc{i}" for i in range(IMAGES)]
    (folder / "ids.txt").write_text("\n".join(ids) + "\n")
    (folder / "ids.json").write_text(json.dumps(ids))
    run = write_run(folder / "runs" / "made-test" / "tested-dddddddd")
    files.write_json(run / "training.json", {"seen": ["img0"], "source": "x", "image_count": 2})
    score_run(run, resamples=0)
    _fill_settings(folder)


def _fill_settings(folder: Path) -> None:
    """An adapter, a plugin, a team, editions, and what the script of a submission wrote."""
    shutil.copytree(HERE / "weights" / "multitask_r128-tiny", folder / "adapter")
    (folder / "plugin.py").write_text(_PLUGIN, encoding="utf-8")
    (folder / "team.toml").write_text(EXAMPLE, encoding="utf-8")
    write_challenge(folder / "team", write_edition(folder / "more.toml"))
    edition = EDITION.format(digest=rows_digest(questions(), is_numbered=True))
    (folder / "made.toml").write_text(edition, encoding="utf-8")
    rows = [{"index": q.index, "img_id": q.img_id, "question": q.question, "answer": "a polyp"} for q in questions()]
    (folder / "out.json").write_text(json.dumps({"predictions": rows, "gpu_name": "T4"}), encoding="utf-8")
    (folder / "variants").mkdir()
    shutil.copyfile(HERE / "variants.toml", folder / "variants" / "variants.toml")


_PLUGIN = """
from tests.scripted import ScriptedModel, entry

MODELS = [entry(ScriptedModel(), "scripted")]
"""


@dataclass(frozen=True)
class Case:
    """A file of the folder, and the command that reads it; ``{}`` stands for the folder."""

    file: str
    command: str
    is_stored: bool = False


_SUITE = "kvasir-vqa-x1/test --data {}/data"
_RUN = "runs/made-test/tested-dddddddd"
_SUBMIT = (
    f"submit task2 {{}}/{_RUN} --info {{}}/team.toml --repo team/model --edition made2031 --editions {{}}/made.toml"
)
_SHORT = f"-s {_SUITE} --backbone tiny --limit 1 --tasks answer --device cpu -o {{}}/short"
CASES = [
    *(
        Case(f"said{kind}", f"score --predictions {{}}/said{kind} -s {_SUITE} --check")
        for kind in (".csv", ".json", ".jsonl", ".parquet")
    ),
    Case("shown.png", f"score --predictions {{}}/said.jsonl -s {_SUITE} --check"),
    *(
        Case(f"data/{name}", f"suites export {_SUITE} -o {{}}/out.jsonl")
        for name in (
            "data/test-00000-of-00001.parquet", "phrases.csv", "masks/abc0.png", "images/abc0.jpg",
            "no_polyp/clean1.png",
        )
    ),
    Case("ids.txt", "audit {}/ids.txt {}/ids.json --allow 9"),
    Case("ids.json", "audit {}/ids.txt {}/ids.json --allow 9"),
    Case("split.json", "audit {}/split.json:train {}/split.json:test"),
    *(
        Case(f"{_RUN}/{name}", f"report {{}}/{_RUN} -o {{}}/page.html", is_stored=True)
        for name in (
            "manifest.json", "questions.parquet", "phrases.parquet", "predictions/part-00000.parquet", "scores.json",
            "../pictures-ffffffff.parquet",
        )
    ),
    Case("team.toml", f"{_SUBMIT} -o {{}}/submitted"),
    Case("made.toml", f"{_SUBMIT} -o {{}}/submitted"),
    Case("more.toml", "submit check {}/team --editions {}/more.toml"),
    Case("out.json", f"submit agreement {{}}/{_RUN} {{}}/out.json"),
    Case("plugin.py", f"run -m scripted --plugin {{}}/plugin.py {_SHORT}"),
    *(
        Case(f"adapter/{name}", f"run -m multitask_r128 --checkpoint {{}}/adapter {_SHORT}")
        for name in ("adapter_config.json", "card.json")
    ),
    Case("variants/variants.toml", "models"),
    Case(f"{_RUN}/training.json", f"score {{}}/{_RUN} --resamples 0", is_stored=True),
]  # fmt: skip


@pytest.fixture
def folder(made_once: MadeOnce, gi_bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = made_once("hostile", _fill)
    copied = tmp_path / "all"
    shutil.copytree(made, copied)
    done = _do(gi_bench, copied, f"split {_SUITE} --test-share 0.5 --no-near-duplicates -o {{}}/split.json")
    assert done.returncode == 0, done.stderr
    # The variants are those of the folder, with the weights that the package ships.
    (copied / "variants" / "weights").symlink_to(HERE / "weights")
    monkeypatch.setattr(registration, "HERE", copied / "variants")
    monkeypatch.setattr(registry, "_plugin_entries", {group: [] for group in registry._plugin_entries})
    return copied


def _do(gi_bench: CommandLine, folder: Path, command: str) -> Done:
    with within(LIMIT):
        return _undisturbed(gi_bench, folder, command)


def _undisturbed(gi_bench: CommandLine, folder: Path, command: str) -> Done:
    registration._content.cache_clear()
    return gi_bench(*command.format(*[folder] * command.count("{}")).split())


def _check(done: Done, told: str, codes: Sequence[int] = (0, 2)) -> None:
    """One line where something is wrong, and no traceback."""
    assert done.returncode in codes, f"{told}: {done}"
    assert "Traceback" not in done.stderr, told
    if done.returncode == 2 and done.stderr:
        assert done.stderr.startswith("error: "), f"{told}: {done.stderr}"
        assert done.stderr.count("\n") == 1, f"{told}: {done.stderr}"
        assert all(c.isprintable() or c == "\n" for c in done.stderr), told


def _try(case: Case, gi_bench: CommandLine, folder: Path, seed: int, count: int, step: int = 1) -> int:
    """Try a file in every ``step``-th of its mutations; give how many were refused."""
    path, page = folder / case.file, folder / "page.html"
    whole = path.read_bytes()
    # Without a limit: it loads the libraries that the others find loaded.
    _check(_undisturbed(gi_bench, folder, case.command), case.file, (0,))
    before = page.read_bytes() if page.exists() else b""
    refused = 0
    for told, content in mutations(path, seed, count)[::step]:
        path.write_bytes(content)
        done = _do(gi_bench, folder, case.command)
        _check(done, f"{case.file}: {told}")
        refused += done.returncode == 2
        if told == "bits flipped" and case.is_stored and path.suffix == ".parquet" and done.returncode == 0:
            assert page.read_bytes() == before, f"{case.file}: other numbers out of a damaged table"
    path.write_bytes(whole)
    return refused


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_a_damaged_file_is_refused_in_one_line(case: Case, gi_bench: CommandLine, folder: Path) -> None:
    assert _try(case, gi_bench, folder, seed=0, count=1, step=3) > 0


@pytest.mark.slow(reason="some thousand damaged files take minutes")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
@pytest.mark.parametrize("seed", range(1, 4))
def test_thousands_of_damaged_files(case: Case, seed: int, gi_bench: CommandLine, folder: Path) -> None:
    assert _try(case, gi_bench, folder, seed=seed, count=12) > 5


@pytest.mark.parametrize("case", [case for case in CASES if "/abc0" not in case.file], ids=lambda case: case.file)
def test_a_pipe_for_a_file_keeps_nobody_waiting(case: Case, gi_bench: CommandLine, folder: Path) -> None:
    path = folder / case.file
    path.unlink()
    os.mkfifo(path)
    done = _do(gi_bench, folder, case.command)
    _check(done, case.file)
    assert done.returncode == 2 or case.is_stored, done.stdout


def test_damage_is_the_same_every_time(folder: Path) -> None:
    path = folder / "said.json"
    assert mutations(path, 3, 2) == mutations(path, 3, 2)
    assert mutations(path, 3, 2) != mutations(path, 4, 2)
    assert random.Random("a").random() == random.Random("a").random()
