"""The organisers' own check of subtask 2, unmodified, on folders of ours; the Hub and their server are stand-ins.

It takes whatever we pass, and what it refuses we refuse too. Skipped where ``medvqa`` is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gi_bench.submissions.check import Wanted, check_folder
from tests.submissions.challenge_folders import INFO

ROWS = 1500
GRADIO = """
class Client:
    def __init__(self, space): pass
    def predict(self, **arguments): return "pong"
def handle_file(path): raise AssertionError("nothing is submitted")
"""
HUB = """
import os
def whoami(): return {"name": "inga"}
def login(): raise AssertionError("logged in already")
def snapshot_download(repo_id, allow_patterns): return os.environ["STANDIN_FOLDER"]
def grant_access(*arguments): raise AssertionError("nothing is submitted")
class HfApi: pass
"""
TABLE = f"""
[editions.client]
title = "As the client wants it"
competition = "medico-2026"

[editions.client.task2]
suite = "none"
dataset = "Nobody/Rows"
split = "test"
rows = {ROWS}
script = "submission_task2.py"
lines = "submission_task2.jsonl"
"""


@pytest.fixture(scope="module")
def home() -> Path:
    """Folder of the installed client."""
    spec = importlib.util.find_spec("medvqa")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the organisers' client is not installed (pip install medvqa)")
    return Path(next(iter(spec.submodule_search_locations)))


@pytest.fixture(scope="module")
def client(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], int]:
    """Runs the organisers' check of an edition on a folder and gives its exit code."""
    stubs = tmp_path_factory.mktemp("stubs")
    (stubs / "gradio_client.py").write_text(GRADIO)
    (stubs / "huggingface_hub.py").write_text(HUB)

    def run(folder: Path, competition: str) -> int:
        script = home / "competitions" / competition / "task_2.py"
        environment = os.environ | {"PYTHONPATH": str(stubs), "STANDIN_FOLDER": str(folder), "PYTHONUTF8": "1"}
        command = [sys.executable, str(script), "--repo_id=inga/fjord"]
        return subprocess.run(command, env=environment, cwd=stubs, capture_output=True, timeout=120).returncode

    return run


def _row(number: int) -> str:
    looks = ("nodular", "glossy", "granular", "swollen", "tubular", "oval", "linear")
    seen = ("fold", "margin", "lumen", "stalk", "surface", "vessel", "wall", "border", "corner", "reflection", "edge")
    text = f"The {looks[number % 7]} {seen[number % 11]} lies on the {('left', 'right', 'top')[number % 3]} side."
    row = {
        "val_id": number,
        "img_id": f"clb{number}",
        "question": "Where does the light fall in the image?",
        "answer": f"near the {seen[(number // 7) % 11]}",
        "textual_explanation": f"{text} Its {seen[(number * 5) % 11]} turns {looks[(number // 11) % 7]}.",
        "confidence_score": round((number % 97) / 97, 3),
    }
    return json.dumps(row)


def _write(folder: Path, lines: str, script: str) -> None:
    folder.mkdir()
    (folder / "submission_task2.jsonl").write_text(lines, encoding="utf-8")
    (folder / "submission_task2.py").write_text(script, encoding="utf-8")
    (folder / "README.md").write_text("# How it was made\n", encoding="utf-8")


WHOLE = "".join(_row(i) + "\n" for i in range(ROWS))
SCRIPT = f"SUBMISSION_INFO = {INFO!r}\n"


@pytest.mark.parametrize("competition", ["medico-2025", "medico-2026"])
def test_what_we_pass_the_client_takes(client: Callable[[Path, str], int], tmp_path: Path, competition: str) -> None:
    (tmp_path / "more.toml").write_text(TABLE)
    _write(tmp_path / "team", WHOLE, SCRIPT)
    report = check_folder(tmp_path / "team", Wanted("client", tmp_path / "more.toml"))
    assert [one.code for one in report.found.of("error")] == []
    assert client(tmp_path / "team", competition) == 0


@pytest.mark.parametrize(
    ("lines", "script"),
    [
        (WHOLE.split("\n", 1)[1], SCRIPT),
        (WHOLE + _row(ROWS), SCRIPT),
        ("\ufeff" + WHOLE, SCRIPT),
        (WHOLE.replace('"val_id": 3,', '"val": 3,'), SCRIPT),
        (WHOLE.replace(_row(3), "7"), SCRIPT),
        (WHOLE[:-5], SCRIPT),
        (WHOLE, "INFO = {}\n"),
        (WHOLE, "SUBMISSION_INFO = []\n"),
        (WHOLE, SCRIPT + "raise ValueError\n"),
    ],
    ids=["1499", "1501", "bom", "no-val-id", "number", "cut", "no-info", "info-list", "raises"],
)
def test_what_the_client_refuses_we_refuse(
    client: Callable[[Path, str], int], tmp_path: Path, lines: str, script: str
) -> None:
    (tmp_path / "more.toml").write_text(TABLE)
    _write(tmp_path / "team", lines, script)
    assert client(tmp_path / "team", "medico-2026") != 0
    assert check_folder(tmp_path / "team", Wanted("client", tmp_path / "more.toml")).found.count("error")


def _filled(home: Path, competition: str, name: str) -> str:
    """The organisers' template with the team's details in place of theirs."""
    text = (home / "submission_samples" / competition / name).read_text(encoding="utf-8")
    start = text.index("SUBMISSION_INFO =")
    return text[:start] + SCRIPT + text[text.index("\n}\n", start) + 3 :]


@pytest.mark.parametrize(
    ("edition", "name"),
    [
        ("medico2025", "submission_task1.py"),
        ("medico2025", "submission_task1_swift.py"),
        ("medico2026", "submission_task1.py"),
        ("gi-2025", "submission_task1.py"),
        ("gi-2026", "submission_task1.py"),
    ],
)
@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("", "", set()),
        ("'bleu'", '"bleu"', set()),
        ("    # you have access", "    # YOU have access", set()),
        ("# caulcualtes metrics", "predictions[0]['answer'] = ''", {"template-changed"}),
        ('print(f"Time: {total_time}', "open('x', 'w')\nprint(f\"Time: {total_time}", {"template-changed"}),
        ('"predictions": predictions', '"predictions": predictions[:9]', {"template-changed"}),
        ("import platform\n", "", {"template-other"}),
        ('load_dataset("SimulaMet/', 'load_dataset("Me/', {"template-other", "patch-missing"}),
    ],
)
def test_the_templates_themselves(
    home: Path, tmp_path: Path, edition: str, name: str, old: str, new: str, codes: set[str]
) -> None:
    competition = edition.replace("medico20", "medico-20")
    text = _filled(home, competition, name)
    (tmp_path / "submission_task1.py").write_text(text.replace(old, new, 1), encoding="utf-8")
    (tmp_path / "README.md").write_text("# How it was made\n", encoding="utf-8")
    report = check_folder(tmp_path, Wanted(edition))
    told = {one.code for one in [*report.found.of("error"), *report.found.of("warning")]}
    assert told - {"remote-code"} == codes
