"""A small made-up edition, and a folder of both subtasks that is faultless in it; tests spoil one thing each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gi_bench.harness.metrics.text import corpus_scores
from gi_bench.submissions.check import Report, Wanted, check_folder

# Asks the rows of tests.run_folders in subtask 2, whose digest has to be filled in.
EDITION = """
[editions.made2031]
title = "Made Up 2031"
competition = "made-2031"
notes = ["a note for participants"]

[editions.made2031.task1]
suite = "made/one"
dataset = "made/data"
split = "test"
rows = 8
script = "submission_task1.py"

[editions.made2031.task2]
suite = "made/test"
dataset = "made/data"
split = "test"
rows = 12
sha256 = "{digest}"
is_numbered = true
script = "submission_task2.py"
lines = "rows.jsonl"
visuals = "shown"
"""
INFO = {
    "Participant_Names": "Inga Nilsen, Tor Berg",
    "Affiliations": "University of Bergen",
    "Contact_emails": ["inga@uib.no"],
    "Team_Name": "Fjord",
    "Country": "Norway",
    "Notes_to_organizers": "",
}
COUNT = 20
QUESTIONS = [f"What is seen in part {i} of the image?" for i in range(COUNT)]
_LOOKS = ("pink", "red", "white", "pale", "dark", "bright", "smooth", "flat", "raised", "round")
ANSWERS = [f"a {word} fold is seen" for word in _LOOKS] * 2
IMAGES = [f"clb{i:02d}" for i in range(COUNT)]
SIZE = (40, 30)
_SEEN = ("fold", "vessel", "margin", "lumen", "surface", "wall", "stalk", "corner", "reflection", "border")
_HOW = ("nodular", "granular", "swollen", "glossy", "irregular", "tubular", "sessile", "ulcerated", "oval", "linear")


def digest(*, numbered: bool, questions: list[str] | None = None) -> str:
    """SHA-256 of the edition's rows."""
    pairs = zip(IMAGES, questions or QUESTIONS, strict=True)
    lines = [f"{i}\t{a}\t{b}" if numbered else f"{a}\t{b}" for i, (a, b) in enumerate(pairs)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_edition(path: Path) -> Path:
    """A table with one edition, ``fjord2031``, that asks the twenty rows in both subtasks."""
    path.write_text(
        f"""
[editions.fjord2031]
title = "Fjord Challenge 2031"
competition = "fjord-2031"

[editions.fjord2031.task1]
suite = "fjord/test"
dataset = "Fjord/Rows"
split = "test"
rows = {COUNT}
sha256 = "{digest(numbered=False)}"
script = "run_answers.py"
predictions = "answers.json"
digits = 3

[[editions.fjord2031.task1.patches]]
name = "hidden rows"
replacements = [
    ['rows\\s*=\\s*load\\("Fjord/Rows"\\)', 'rows = load("Fjord/Hidden")'],
    ['.*rows\\.head\\(\\d+\\).*', ''],
]

[editions.fjord2031.task2]
suite = "fjord/test"
dataset = "Fjord/Rows"
split = "test"
rows = {COUNT}
sha256 = "{digest(numbered=True)}"
is_numbered = true
script = "who.py"
lines = "reasons.jsonl"
visuals = "pictures"
""",
        encoding="utf-8",
    )
    return path


def write_data(folder: Path) -> Path:
    """The edition's rows with references, as ``--data`` takes them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    table = pa.table({"img_id": IMAGES, "question": QUESTIONS, "answer": ANSWERS})
    pq.write_table(table, folder / "data" / "test-00000-of-00001.parquet")
    return folder


@dataclass
class Challenge:
    """A folder that passes, as files and as values to spoil.

    Attributes:
        folder, table: the submission and the table of its edition.
    """

    folder: Path
    table: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of subtask 2."""
        return [json.loads(line) for line in (self.folder / "reasons.jsonl").read_text(encoding="utf-8").splitlines()]

    def write_rows(self, rows: list[Any]) -> None:
        """Write subtask 2 anew."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "reasons.jsonl").write_text(text, encoding="utf-8")

    def change_row(self, number: int, **values: Any) -> None:
        """Change keys of one row of subtask 2."""
        rows = self.rows
        rows[number] |= values
        self.write_rows(rows)

    def change_all(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Change every row of subtask 2."""
        self.write_rows([change(row) for row in self.rows])

    def change_predictions(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the file of subtask 1 in place."""
        content = json.loads((self.folder / "answers.json").read_text(encoding="utf-8"))
        change(content)
        (self.folder / "answers.json").write_text(json.dumps(content, indent=4), encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file, in which it has to be."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")


SCRIPT = f"""\
from somewhere import load

rows = load("Fjord/Rows")
rows = rows.head({COUNT})

SUBMISSION_INFO = {INFO!r}

for row in rows:
    print(row)
"""


def write_challenge(folder: Path, table: Path) -> Challenge:
    """A folder with both subtasks in which nothing is wrong."""
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows = []
    for i in range(COUNT):
        picture = f"pictures/{i:03d}.png"
        Image.fromarray(rng.integers(0, 255, (SIZE[1], SIZE[0]), dtype=np.uint8)).save(folder / picture)
        how, seen = _HOW[i % 10], _SEEN[(i * 3 + i // 10) % 10]
        rows.append(
            {
                "val_id": i,
                "img_id": IMAGES[i],
                "question": QUESTIONS[i],
                "answer": ANSWERS[i],
                "textual_explanation": f"The {seen} looks {how}, {_HOW[(i * 7 + 2 + i // 10) % 10]} towards the left.",
                "visual_explanation": [
                    {"type": "heatmap", "data": picture, "description": "where the model looked"},
                    {"type": "bounding_box", "data": [[1, 2, 20 + i / 2, 28]]},
                ],
                "confidence_score": 0.5 + i / 100,
            }
        )
    scores = {name: round(value, 3) for name, value in corpus_scores([(a, a) for a in ANSWERS]).items()}
    keys = ("index", "img_id", "question", "answer")
    predictions = {
        "submission_info": INFO,
        "public_scores": scores,
        "predictions": [
            dict(zip(keys, row, strict=True)) for row in zip(range(COUNT), IMAGES, QUESTIONS, ANSWERS, strict=True)
        ],
        "total_time": 40.0,
        "time_per_item": 2.0,
        "memory_used_mb": 12.5,
        "model_memory_mb": 900,
        "gpu_name": "Tesla T4",
        "debug": {
            "packages": [{"name": "torch", "version": "2.6.0"}],
            "system": {"python": "3.11", "os": "Linux", "platform": "Linux-6", "arch": "x86_64"},
        },
    }
    challenge = Challenge(folder, table)
    challenge.write_rows(rows)
    (folder / "answers.json").write_text(json.dumps(predictions, indent=4), encoding="utf-8")
    (folder / "run_answers.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "who.py").write_text(f"SUBMISSION_INFO = {INFO!r}\n", encoding="utf-8")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Fjord\n\nHow it was made.\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("torch==2.6.0\npeft>=0.18  # adapters\n", encoding="utf-8")
    return challenge


def checked(challenge: Challenge, data: Path | None = None) -> Report:
    """The report on a folder, with the references of its rows or without."""
    return check_folder(challenge.folder, Wanted(editions=challenge.table, data=data))


def codes_of(report: Report) -> set[str]:
    """Codes of all errors and warnings."""
    return {one.code for level in ("error", "warning") for one in report.found.of(level)}  # type: ignore[arg-type]
