"""A command that was killed, wherever that was, goes on when it is given again, and ends with the same bytes."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gi_bench.harness.cli import _main
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.submissions.client import CLIENT
from gi_bench.submissions.folder import RECORD
from gi_bench.submissions.info import EXAMPLE
from tests.command_line import CommandLine
from tests.kills import contents, places_of, states_of, watching
from tests.run_folders import questions, write_run
from tests.submissions.challenge_folders import EDITION, write_challenge, write_edition

_SUITE = "few/validation"
# What differs from one run to the next: moments, seconds, memory.
_MEASURED = {"created", "seconds", "peak_memory_mb", "model_memory_mb", "hardware"}


def masked(name: str, content: bytes) -> bytes | None:
    """The bytes of a file, without seconds and moments."""
    if name.endswith("manifest.json"):
        found = json.loads(content)
        return json.dumps({key: value for key, value in found.items() if key not in _MEASURED}).encode()
    if name.endswith("predictions_1.json"):
        found = json.loads(content)
        return json.dumps([found["submission_info"], found["public_scores"], found["predictions"]]).encode()
    if name.endswith((".html", ".tfevents")) or "/timings/" in name or "tfevents" in name:
        return None
    if name.endswith("card.json"):
        return json.dumps({k: v for k, v in json.loads(content).items() if k != "seconds"}).encode()
    if name.endswith("README.md"):
        return re.sub(rb"\| seconds \|.*", b"", content)
    return content


# Arguments of gi-bench, or a function.
Command = list[object] | Callable[[], None]


class Case:
    """A command, and the folder that it changes."""

    def __init__(self, make: Callable[[Path], Command], gi_bench: CommandLine, tmp_path: Path) -> None:
        self._make, self._gi_bench, self._scratch = make, gi_bench, tmp_path

    def folder(self, name: str) -> tuple[Path, Command]:
        """A fresh folder with what the command starts from, and the command."""
        folder = self._scratch / name / "work"
        folder.mkdir(parents=True)
        return folder, self._make(folder)

    def finish(self, command: Command, told: str = "") -> None:
        """Give the command, and see that it ends well."""
        if callable(command):
            command()
        else:
            done = self._gi_bench(*command)
            assert done.returncode == 0, f"{told}: {done.stderr}"

    def check(self, most: int | None = None) -> str:
        """Kill at every place, or at a sample of them; gives how many there are."""
        folder, command = self.folder("whole")
        states = states_of(folder, lambda: self.finish(command), self._scratch / "states")
        whole = contents(folder, masked)
        assert not [name for name in whole if "gi-bench" in Path(name).name and Path(name).name != RECORD]
        chosen = list(states)
        if most is not None and len(chosen) > most:
            chosen = random.Random(0).sample(chosen, most)
        for state in chosen:
            shutil.rmtree(folder)
            state.rename(folder)
            told = f"killed before {states[state]} ({state.name} of {len(states)})"
            self.finish(command, told)
            assert contents(folder, masked) == whole, told
        assert len(states) > 3, list(states.values())
        return f"{list(states.values())[-1]}, {len(states)} states"


_PLUGIN = """
from functools import partial
from gi_bench.harness.engine import run
from gi_bench.harness.engine.plan import make_plan
from gi_bench.harness.suites.base import SuiteEntry
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.scripted import ScriptedModel, entry

run.make_plan = partial(make_plan, rows_per_part=15)
MODELS = [entry(ScriptedModel(), "scripted")]
few = PhantomSuite("validation", 3)
few.name = "few/validation"
SUITES = [SuiteEntry("few/validation", "the first scenes", lambda data: few)]
"""


@pytest.fixture
def case(gi_bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Case]:
    """Makes a case of a command; there is a small suite, whose runs have parts of 15 rows."""
    from gi_bench.harness import registry
    from gi_bench.harness.engine import run

    monkeypatch.setattr(run, "make_plan", run.make_plan)  # which the plugin replaces
    # Of a training: a loss is the mean since the row before, so rows are written where states are.
    monkeypatch.setattr("gi_bench.baselines.training.settings.REPORT_EVERY", 1)
    monkeypatch.setattr(registry, "_plugin_entries", {group: [] for group in registry._plugin_entries})
    plugin = tmp_path / "plugin.py"
    plugin.write_text(_PLUGIN, encoding="utf-8")
    registry.load_plugin(plugin)
    return lambda make: Case(make, gi_bench, tmp_path)


def _run(folder: Path) -> list[object]:
    return ["run", "-m", "scripted", "-s", _SUITE, "-o", folder / "runs", "--device", "cpu"]


def _import(folder: Path) -> list[object]:
    rows = [{"index": q.index, "answer": "one polyp"} for q in PhantomSuite("validation", 3).questions]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ["score", "--predictions", folder / "mine.jsonl", "-s", _SUITE, "-o", folder / "runs", "--resamples", 0]


def _scored(folder: Path) -> Path:
    """A scored run, copied from the one that the first case made."""
    from gi_bench.harness.analysis.scoring import score_run

    made = folder.parents[1] / "scored"
    if not made.exists():
        write_run(made / "suite" / "run", rows=questions())
        score_run(made / "suite" / "run", resamples=0)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder / "suite" / "run"


def _submission(folder: Path, task: str) -> list[object]:
    """A scored run, a team and an edition, and the command that submits it."""
    if task == "task1":
        pytest.importorskip(CLIENT, reason="the organisers' client has the templates")
    _scored(folder)
    (folder / "team.toml").write_text(EXAMPLE, encoding="utf-8")
    edition = EDITION.format(digest=rows_digest(questions(), is_numbered=True))
    # Subtask 1 needs a template of the client.
    edition = edition.replace("made-2031", "medico-2025").replace(
        '"made/one"', '"made/test"\ntemplate = "submission_task1.py"'
    )
    (folder / "editions.toml").write_text(edition.replace("rows = 8", "rows = 12"), encoding="utf-8")
    return ["submit", task, folder / "suite" / "run", "--info", folder / "team.toml", "--repo", "team/model",
            "--edition", "made2031", "--editions", folder / "editions.toml", "-o", folder / "out"]  # fmt: skip


def _submit_again(folder: Path) -> list[object]:
    """The same over the folder of another team."""
    command = _submission(folder, "task2")
    assert _main([str(one) for one in command]) == 0
    (folder / "team.toml").write_text(EXAMPLE.replace("Norway", "Sweden"), encoding="utf-8")
    return command


def _pack(folder: Path) -> list[object]:
    made = write_challenge(folder / "team", write_edition(folder / "more.toml"))
    return ["submit", "pack", made.folder, "--editions", made.table, "-o", folder / "team.zip"]


def _train(folder: Path, steps: int = 3) -> Callable[[], None]:
    """A training of three steps with a state after each."""

    def command() -> None:
        from gi_bench.baselines.florence2.backbone import load_backbone
        from gi_bench.baselines.registration import HERE, definitions
        from gi_bench.baselines.training.adapter import Choices, Material, train_adapter
        from gi_bench.baselines.training.settings import Running

        backbone = load_backbone(HERE / "weights" / "tiny-florence2")
        material, running = Material(PhantomSuite("validation", 3)), Running(device="cpu", save_every=1)
        train_adapter(
            definitions()["vqa_only_r32"], backbone, "tiny", material, folder / "adapter",
            choices=Choices(steps=steps, rows=8), running=running, say=lambda line: None,
        )  # fmt: skip

    return command


def _train_again(folder: Path) -> Callable[[], None]:
    """The same over an adapter that is there."""
    made = folder.parents[1] / "trained"
    if not made.exists():
        made.mkdir()
        _train(made, steps=1)()
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return _train(folder)


def _go_on_training(folder: Path) -> Callable[[], None]:
    """The same from the state of a training that was killed at its last but one change of a file."""
    made = folder.parents[1] / "killed-before"
    if not made.exists():
        count = len(places_of(made.with_name("uncut"), _train(made.with_name("uncut"))))
        with watching(made, count * 2 // 3):
            _train(made)()
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return _train(folder)


TRAININGS: dict[str, Callable[[Path], Callable[[], None]]] = {
    "train": _train, "train over another": _train_again, "train on": _go_on_training,
}  # fmt: skip
COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "run": _run,
    "score --predictions": _import,
    "score": lambda folder: ["score", _scored(folder), "--resamples", 0],
    "report": lambda folder: ["report", _scored(folder)],
    "data negatives": lambda folder: ["data", "negatives", "-o", folder / "n.jsonl", "--ratio", 0.5, "-s", _SUITE],
    "data explanations": lambda folder: ["data", "explanations", "-o", folder / "e.jsonl", "-s", _SUITE],
    "data masks": lambda folder: ["data", "masks", "-o", folder / "m.parquet", "--source", "box", "-s", _SUITE],
    "submit task1": lambda folder: _submission(folder, "task1"),
    "submit task2": lambda folder: _submission(folder, "task2"),
    "submit task2 over another": _submit_again,
    "submit pack": _pack,
    "split": lambda folder: ["split", _SUITE, "-o", folder / "s.json"],
    "suites export": lambda folder: ["suites", "export", _SUITE, "-o", folder / "r.jsonl"],
}  # fmt: skip


def _study(folder: Path) -> list[object]:
    return ["study", "confidence", "--seeds", 1, "--steps", 1, "--batch-rows", 4, "--beams", 1, "--device", "cpu",
            "-o", folder / "studies"]  # fmt: skip


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies train and run on the first scenes."""
    from gi_bench.baselines.studies.workshop import Workshop

    suites = {"phantom/test": PhantomSuite("test", 2), "phantom/train-small": PhantomSuite("train", 3)}
    monkeypatch.setattr(Workshop, "_load", lambda self, name: suites[name])


# Of the places of one command, by default: runs at all of them take minutes.
_SAMPLE = 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_ends_with_the_same_bytes(case: Callable[..., Case], command: str) -> None:
    case(COMMANDS[command]).check(_SAMPLE)


@pytest.mark.slow(reason="kills every command at all of its places, which takes minutes")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_ends_with_the_same_bytes_wherever_it_was_killed(
    case: Callable[..., Case], command: str
) -> None:
    print(f"{command}: {case(COMMANDS[command]).check()}")


@pytest.mark.slow(reason="kills a training at all of its places, which takes minutes")
@pytest.mark.parametrize("command", TRAININGS)
def test_a_killed_training_ends_with_the_same_bytes_wherever_it_was_killed(
    case: Callable[..., Case], command: str
) -> None:
    print(f"{command}: {case(TRAININGS[command]).check()}")


def test_a_killed_study_ends_with_the_same_bytes(
    case: Callable[..., Case], few_images: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights that are shipped: kills of trainings have cases of their own."""
    from gi_bench.baselines.studies.definitions import arm
    from gi_bench.baselines.studies.workshop import Workshop

    monkeypatch.setattr(Workshop, "_checkpoint", lambda self, job: arm(job.arm).variant.bundled("tiny"))
    case(_study).check(2)


@pytest.mark.slow(reason="kills a study at all of its places, which takes minutes")
def test_a_killed_study_ends_with_the_same_bytes_wherever_it_was_killed(
    case: Callable[..., Case], few_images: None
) -> None:
    print(f"study: {case(_study).check()}")


_PROCESS = """
import sys
from pathlib import Path
from tests.kills import die_at
from gi_bench.baselines.training import settings

settings.REPORT_EVERY = 1
folder = Path(sys.argv[1])
if sys.argv[2] != "whole":
    die_at(folder, int(sys.argv[2]))
sys.argv[1:] = []
{command}
"""
_KILLED = {
    "run": """
from gi_bench.harness.cli import main
from tests.test_kills import _run

main([str(one) for one in [*_run(folder), "--plugin", folder.parents[1] / "plugin.py"]])
""",
    "train": """
from tests.test_kills import _train

_train(folder)()
""",
}


def _process(folder: Path, command: str, number: int | str) -> int:
    """Give a command in a process of its own; its exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [sys.executable, "-c", _PROCESS.format(command=_KILLED[command]), str(folder), str(number)]
    done = subprocess.run(arguments, cwd=Path(__file__).parents[1], capture_output=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


@pytest.mark.slow(reason="starts and kills a dozen processes, which load torch")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize(("command", "count"), [("run", 6), ("train", 4)])
def test_a_process_that_was_really_killed_goes_on(
    case: Callable[..., Case], tmp_path: Path, command: str, count: int
) -> None:
    made = case({"run": _run, "train": _train}[command])
    counted, given = made.folder("counted")
    changes = len(places_of(counted, lambda: made.finish(given)))
    assert _process(tmp_path / "whole" / "work", command, "whole") == 0
    whole = contents(tmp_path / "whole" / "work", masked)
    for number in [round(one * (changes - 1) / (count - 1)) for one in range(count)]:
        folder = tmp_path / f"killed-{number}" / "work"
        assert _process(folder, command, number) == -signal.SIGKILL, f"place {number} of {changes}"
        assert _process(folder, command, "whole") == 0
        assert contents(folder, masked) == whole, f"killed before change {number} of {changes}"
