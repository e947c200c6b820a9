"""The strict check: a faultless folder passes, and everything that spoils it is told by its code."""

from __future__ import annotations

import ast
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.errors import GiBenchError
from gi_bench.submissions.check import Report, Wanted, check_folder, lines, records
from gi_bench.submissions.check.codes import ERRORS, WARNINGS
from gi_bench.submissions.check.findings import Findings, page
from tests.command_line import CommandLine
from tests.submissions import challenge_folders as made
from tests.submissions.challenge_folders import Challenge, write_challenge, write_data, write_edition


@pytest.fixture
def good(tmp_path: Path) -> Challenge:
    return write_challenge(tmp_path / "team", write_edition(tmp_path / "more.toml"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def _check(challenge: Challenge, data: Path | None = None) -> Report:
    return check_folder(challenge.folder, Wanted(editions=challenge.table, data=data))


def _codes(report: Report) -> set[str]:
    return {one.code for level in ("error", "warning") for one in report.found.of(level)}  # type: ignore[arg-type]


def _place(report: Report, code: str) -> str:
    level = "error" if code in ERRORS else "warning"
    return next(one for one in report.found.of(level) if one.code == code).examples[0].place  # type: ignore[arg-type]


def test_a_faultless_folder_passes(good: Challenge, data: Path) -> None:
    for given in (None, data):
        report = _check(good, given)
        assert _codes(report) == set()
        assert (report.edition.name, report.subtasks) == ("fjord2031", ("task1", "task2")), "found by its rows"
        assert "assumed" in report.why


Spoil = Callable[[Challenge], object]


def _raw(name: str, change: Callable[[bytes], bytes]) -> Spoil:
    return lambda one: (one.folder / name).write_bytes(change((one.folder / name).read_bytes()))


def _row(**values: Any) -> Spoil:
    return lambda one: one.change_row(4, **values)


def _without(key: str) -> Spoil:
    return lambda one: one.change_all(lambda row: {name: value for name, value in row.items() if name != key})


# What the organisers' client takes (1500 times {"val_id": 0}, wrong ids, ...), or refuses without saying where.
@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (lambda one: one.write_rows([{"val_id": 0}] * made.COUNT),
         {"val-id-twice", "val-id-missing", "key-missing", "row-twice", "confidence-missing", "visuals-none",
          "visual-unused"}),
        (_row(val_id="4"), {"val-id-text"}),
        (_row(val_id="four"), {"val-id-type", "val-id-missing"}),
        (_row(val_id=True), {"val-id-type", "val-id-missing"}),
        (_row(val_id=4.0), {"val-id-type", "val-id-missing"}),
        (_row(val_id=made.COUNT), {"val-id-range", "val-id-missing"}),
        (_row(val_id=-1), {"val-id-range", "val-id-missing"}),
        (_row(val_id=3), {"val-id-twice", "val-id-missing"}),
        (_row(img_id="clb99"), {"rows-differ"}),
        (_row(question="What is seen in part 4?"), {"rows-differ"}),
        (_row(img_id=7), {"key-type", "rows-differ"}),
        (_without("textual_explanation"), {"key-missing"}),
        (_row(confidence_score=7), {"confidence"}),
        (_row(confidence_score=float("nan")), {"confidence", "json-constant"}),
        (_row(confidence_score="0.5"), {"confidence"}),
        (_row(confidence_score=True), {"confidence"}),
        (_row(confidence_score=None), {"confidence-missing"}),
        (_without("confidence_score"), {"confidence-missing"}),
        (lambda one: one.change_all(lambda row: row | {"confidence_score": 0.95}), {"confidence-constant"}),
        (lambda one: one.edit("who.py", repr(made.INFO), "{}"), {"info-field", "info-differs"}),
        (_row(note="x"), {"key-unknown"}),
        (_raw("reasons.jsonl", lambda old: old.replace(b"\n", b"\n\n", 1)), {"line-blank"}),
        (lambda one: one.write_rows(one.rows[:-1]), {"row-count", "val-id-missing", "visual-unused"}),
        (lambda one: one.write_rows([*one.rows, one.rows[0] | {"val_id": made.COUNT}]),
         {"row-count", "val-id-range", "row-twice"}),
        (_raw("reasons.jsonl", lambda old: old[:-20] + b"\n"),
         {"json", "row-count", "val-id-missing", "visual-unused"}),
        (lambda one: one.write_rows([*one.rows[:-1], 7]),
         {"row-kind", "row-count", "val-id-missing", "visual-unused"}),
        (lambda one: one.write_rows(list(reversed(one.rows))), {"val-id-order"}),
        (_raw("reasons.jsonl", lambda old: b"\xef\xbb\xbf" + old), {"bom"}),
        (_raw("reasons.jsonl", lambda old: old.replace(b"\n", b"\r\n")), {"line-ends"}),
        (_raw("reasons.jsonl", lambda old: old.replace(b"fold", b"f\xfcld", 1)), {"not-utf8"}),
        (_raw("reasons.jsonl", lambda old: old.replace(b'"val_id": 3', b'"val_id": 3, "val_id": 3')), {"json-twice"}),
        (_row(confidence_score=10**400), {"confidence"}),
        (_row(val_id=10**30), {"val-id-range", "val-id-missing"}),
        (lambda one: (one.folder / "reasons.jsonl").write_text(json.dumps(one.rows, indent=1)),
         {"json", "row-count", "val-id-missing", "visual-unused"}),
        (_row(answer="\ud800 fold"), {"text-damaged", "answers-differ"}),
    ],
)  # fmt: skip
def test_rows(good: Challenge, spoil: Spoil, codes: set[str]) -> None:
    spoil(good)
    assert _codes(_check(good)) == codes


_SHORT = "The answer is: a dark fold is seen in the image."


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (_row(answer=""), {"answer-empty", "answers-differ"}),
        (_row(answer=" \n"), {"answer-empty", "answers-differ"}),
        (_row(answer=f"Question: {made.QUESTIONS[4]}, Answer: yes"), {"answer-question", "answers-differ"}),
        (_row(answer=f"{made.QUESTIONS[4].upper()} yes"), {"answer-question", "answers-differ"}),
        (_row(answer="Q: any? A: yes"), {"answer-question", "answers-differ"}),
        (_row(answer="<s>a dark fold</s>"), {"answer-marks", "answers-differ"}),
        (_row(answer="a dark  fold is seen"), {"answers-differ"}),
        (_row(textual_explanation=""), {"explanation-empty"}),
        (_row(textual_explanation="\t"), {"explanation-empty"}),
        (_row(textual_explanation=None), {"key-type"}),
        (_row(textual_explanation=["a"]), {"key-type"}),
        (_row(textual_explanation="{}"), {"explanation-json"}),
        (_row(textual_explanation='```json\n{"reason": "red margin"}\n```'), {"explanation-json"}),
        (_row(textual_explanation="{'reason': 'red margin on the left'}"), {"explanation-json"}),
        (_row(textual_explanation=_SHORT), {"explanation-echo"}),
        (_row(textual_explanation=made.QUESTIONS[4]), {"explanation-echo"}),
        (_row(textual_explanation="I am sorry, I cannot answer this."), {"explanation-refusal"}),
        (lambda one: one.change_all(lambda row: row | {"textual_explanation": "The margin is red and swollen."}),
         {"explanation-same", "explanation-template"}),
        (lambda one: one.change_all(lambda row: row | {"textual_explanation":
            f'The model predicts "{row["answer"]}". Redness near pixel {row["val_id"]} on the left supports it.'}),
         {"explanation-template"}),
    ],
)  # fmt: skip
def test_answers_and_explanations(good: Challenge, spoil: Spoil, codes: set[str]) -> None:
    spoil(good)
    assert _codes(_check(good)) == codes


def _picture(name: str, pixels: Any, **options: Any) -> Spoil:
    return lambda one: Image.fromarray(pixels).save(one.folder / "pictures" / name, **options)


def _visual(**entry: Any) -> Spoil:
    def spoil(one: Challenge) -> None:
        rows = one.rows
        rows[4]["visual_explanation"] += [{"type": "heatmap", **entry}]
        one.write_rows(rows)

    return spoil


def _boxes(*boxes: Any) -> Spoil:
    return lambda one: one.change_row(4, visual_explanation=[
        one.rows[4]["visual_explanation"][0], {"type": "bounding_box", "data": list(boxes)}])  # fmt: skip


def _bomb(one: Challenge) -> None:
    """A picture of 400 megapixels in some kilobytes."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    (one.folder / "pictures" / "004.png").write_bytes(content)


_BLANK = np.zeros((30, 40), dtype=np.uint8)
_NOISE = np.random.default_rng(0).integers(0, 255, (30, 41), dtype=np.uint8)


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (_visual(data="pictures/none.png"), {"visual-missing"}),
        (_visual(data="Pictures/004.PNG"), {"visual-missing"}),
        (_visual(data="../more.toml"), {"visual-path"}),
        (_visual(data="pictures/../../more.toml"), {"visual-path"}),
        (_visual(data="/etc/hostname"), {"visual-path"}),
        (_visual(data="C:\\visuals\\1.png"), {"visual-path", "path-absolute"}),
        (_visual(data="pictures\\004.png"), {"visual-path"}),
        (_visual(data="https://example.org/1.png"), {"visual-path"}),
        (_visual(data="data:image/png;base64,AAAA"), {"visual-path"}),
        (_visual(data=""), {"visual-path"}),
        (_visual(data="a\0b"), {"visual-path"}),
        (_visual(data="pictures"), {"visual-missing"}),
        (_visual(data="README.md"), {"visual-damaged", "visual-place"}),
        (_visual(data=7), {"visual-entry"}),
        (_visual(), {"visual-entry"}),
        (_visual(data="pictures/004.png", colour="red"), {"key-unknown"}),
        (_visual(data=[[1, 2, 3, 4]]), {"visual-type"}),
        (_row(visual_explanation="pictures/004.png"), {"visual-entry", "visual-unused"}),
        (_row(visual_explanation=["pictures/004.png"]), {"visual-entry", "visual-unused"}),
        (_without("visual_explanation"), {"visuals-none", "visual-unused"}),
        (_raw("pictures/004.png", lambda old: old[:60]), {"visual-damaged"}),
        (_raw("pictures/004.png", lambda old: b""), {"visual-damaged"}),
        (_bomb, {"visual-damaged"}),
        (_picture("004.png", _BLANK), {"visual-blank"}),
        (_picture("004.png", _BLANK + 255), {"visual-blank"}),
        (_picture("004.png", np.zeros((30, 40, 4), dtype=np.uint8)), {"visual-blank"}),
        (_picture("004.png", np.full((30, 40), np.nan, dtype=np.float32), format="TIFF"), {"visual-blank"}),
        (_picture("spare.png", _NOISE), {"visual-unused"}),
        (lambda one: (_picture("x.png", _NOISE)(one), _visual(data="pictures/x.png")(one)), {"visual-size-differs"}),
        (lambda one: [Image.fromarray(_NOISE[:, :40]).save(path) for path in (one.folder / "pictures").iterdir()],
         {"visual-same"}),
        (_boxes([0.1, 0.1, 0.5, 0.5]), {"box-units"}),
        (_boxes([5, 5, 5, 9]), {"box-empty"}),
        (_boxes([9, 9, 5, 5]), {"box-empty"}),
        (_boxes([-1, 0, 5, 5]), {"box-outside"}),
        (_boxes([1, 1, 41, 20]), {"box-outside"}),
        (_boxes(1, 1, 4, 20), {"box-form"}),
        (_boxes([1, 1, 4]), {"box-form"}),
        (_boxes([1, 1, "4", 20]), {"box-form"}),
        (_boxes([1, 1, float("inf"), 20]), {"box-form", "json-constant"}),
        (_boxes([1, 1, 10**400, 20]), {"box-form"}),
        (_boxes(), {"box-form"}),
    ],
)  # fmt: skip
def test_pictures_and_boxes(good: Challenge, spoil: Spoil, codes: set[str]) -> None:
    spoil(good)
    assert _codes(_check(good)) == codes


def _predictions(change: Callable[[dict[str, Any]], object]) -> Spoil:
    return lambda one: one.change_predictions(change)


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (_predictions(lambda all: all.pop("debug")), {"key-missing"}),
        (_predictions(lambda all: all.update(extra=1)), {"key-unknown"}),
        (_predictions(lambda all: all.update(repo_id="a/b")), set()),
        (_predictions(lambda all: all.update(memory_used_mb=0)), {"measure-missing"}),
        (_predictions(lambda all: all.update(total_time="40")), {"key-type"}),
        (_predictions(lambda all: all.update(total_time=10**400)), {"key-type"}),
        (_predictions(lambda all: all.update(time_per_item=3.0)), {"measure-missing"}),
        (_predictions(lambda all: all.update(gpu_name="")), {"measure-missing"}),
        (_predictions(lambda all: all["debug"].update(packages=[])), {"measure-missing"}),
        (_predictions(lambda all: all["debug"].update(packages=["torch"])), {"key-type"}),
        (_predictions(lambda all: all["public_scores"].update(bleu=0.12345)), {"score-digits"}),
        (_predictions(lambda all: all["public_scores"].update(bleu=47.0)), {"score-kind"}),
        (_predictions(lambda all: all["public_scores"].pop("meteor")), {"key-missing"}),
        (_predictions(lambda all: all["predictions"].pop()), {"row-count", "measure-missing"}),
        (_predictions(lambda all: all["predictions"][3].update(index="3")), {"index"}),
        (_predictions(lambda all: all["predictions"][3].update(index=7)), {"index"}),
        (_predictions(lambda all: all["predictions"][3].update(answer=None)), {"key-type"}),
        (_predictions(lambda all: all["predictions"][3].update(answer="")), {"answer-empty", "answers-differ"}),
        (_predictions(lambda all: all["predictions"][3].update(img_id="x")), {"rows-differ"}),
        (_predictions(lambda all: all.update(predictions={})), {"key-type"}),
        (_predictions(lambda all: [row.update(answer="Yes") for row in all["predictions"]]),
         {"answer-same", "answers-differ"}),
        (_predictions(lambda all: all["submission_info"].update(Team_Name="Other")), {"info-differs"}),
        (_predictions(lambda all: all["submission_info"].update(Country="")), {"info-field"}),
        (_predictions(lambda all: all["submission_info"].pop("Country")), {"info-field"}),
        (_predictions(lambda all: all["submission_info"].update(Contact_emails="a@b.no")),
         {"info-field", "info-differs"}),
        (_raw("answers.json", lambda old: old[:-3]), {"json"}),
        (_raw("answers.json", lambda old: b"[" * 200_000), {"json"}),
        (_raw("answers.json", lambda old: b"[]"), {"row-kind"}),
    ],
)  # fmt: skip
def test_predictions(good: Challenge, spoil: Spoil, codes: set[str]) -> None:
    spoil(good)
    assert _codes(_check(good)) == codes


def test_scores_are_computed_again_where_the_references_are(good: Challenge, data: Path) -> None:
    good.change_predictions(lambda all: all["public_scores"].update(bleu=0.9, rouge1=0.999))
    report = _check(good, data)
    assert _codes(report) == {"score-differs"}
    text = report.found.of("error")[0].examples[0].text
    assert text.startswith("bleu is 0.9, and the answers give 1.000")


def test_with_the_data_the_rows_that_differ_are_named(good: Challenge, data: Path) -> None:
    good.change_row(4, img_id="clb99")
    good.change_row(7, question="Which colour?")
    report = _check(good, data)
    assert _codes(report) == {"img-id-differs", "question-differs"}
    assert _place(report, "img-id-differs") == "reasons.jsonl:5"
    good.write_rows(good.rows[:-1])
    assert {"img-id-differs", "row-count"} <= _codes(_check(good, data)), "also where rows are missing"


def test_data_of_another_set_are_refused(good: Challenge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "IMAGES", [*made.IMAGES[:-1], "clb99"])
    with pytest.raises(GiBenchError, match="not those that the edition asks"):
        _check(good, write_data(tmp_path / "other"))


@pytest.mark.parametrize(
    ("name", "old", "new", "codes"),
    [
        ("run_answers.py", "for row in rows:", "for row in rows", {"script-syntax"}),
        ("who.py", "SUBMISSION_INFO", "INFO", {"info-missing", "email"}),
        ("who.py", repr(made.INFO), "dict(a=1)", {"info-literal", "script-runs"}),
        ("who.py", "Fjord", "SimulaMetmedVQA Rangers", {"info-example", "info-differs"}),
        ("who.py", "inga@uib.no", "ada@example.org", {"info-example", "info-differs"}),
        ("who.py", "'Norway'", "''", {"info-field"}),
        ("who.py", "SUBMISSION_INFO", "raise SystemExit\nSUBMISSION_INFO", {"script-raises"}),
        ("who.py", "SUBMISSION_INFO", "print('hi')\nSUBMISSION_INFO", {"script-runs"}),
        ("who.py", "SUBMISSION_INFO", "import cv2\nSUBMISSION_INFO", {"script-imports"}),
        ("run_answers.py", "Fjord/Rows", "Fjord/Copy", {"patch-missing"}),
        ("run_answers.py", "rows = rows.head", "rows = rows[:20]  # head", {"patch-missing"}),
        ("run_answers.py", 'rows = load("Fjord/Rows")', '# rows = load("Fjord/Rows")\nrows = []', {"patch-missing"}),
        ("run_answers.py", "rows = rows.head", "first = rows.head", set()),
        ("run_answers.py", "rows = rows.head(20)\n", "first = rows.head(20)\nrows = first\n", {"patch-breaks"}),
        ("run_answers.py", "rows = rows.head(20)\n", "if rows:\n    rows = rows.head(20)\n", {"patch-breaks"}),
        ("run_answers.py", "print(row)", "model(row, trust_remote_code=True)", {"remote-code"}),
        ("run_answers.py", "print(row)", "open('/home/inga/model.safetensors')", {"path-in-script"}),
        ("run_answers.py", "print(row)", "open('C:\\\\Users\\\\inga\\\\a')", {"path-in-script"}),
        ("run_answers.py", "print(row)", "open('/tmp/x')", set()),
        ("run_answers.py", "print(row)", "print(q@k.transpose(1, 2), 'https://a.org/home/x')", set()),
        ("run_answers.py", "print(row)", "print(row)  # ask tor@uib.no", {"email"}),
        ("run_answers.py", "print(row)", f"login('hf_{'aB3' * 12}')", {"secret"}),
        ("README.md", "How", "tor@uib.no made it. How", {"email"}),
        ("README.md", "How", "In /home/inga/runs/7. How", {"path-absolute"}),
        ("README.md", "How", f"AKIA{'Q7' * 8} How", {"secret"}),
        ("README.md", "How", "-----BEGIN OPENSSH PRIVATE KEY-----\nHow", {"secret"}),
        ("README.md", "How", "git clone git@github.com:a/b.git\nHow", set()),
        ("README.md", "license: mit", "license: [mit", {"readme-header"}),
        ("requirements.txt", "torch==2.6.0", "torch=2.6", {"requirement"}),
        ("requirements.txt", "torch==2.6.0", "torch==2.6.0+cu124", {"requirement"}),
        ("requirements.txt", "torch==2.6.0", "numpy @ file:///home/conda/x", {"requirement", "path-absolute"}),
        ("requirements.txt", "torch==2.6.0", "-r more.txt", {"requirement"}),
        ("requirements.txt", "torch==2.6.0", "git+https://github.com/a/b", {"requirement-loose"}),
        ("requirements.txt", "torch==2.6.0", "torch==2.6.0 ; python_version < '3.13'", set()),
    ],
)
def test_scripts_and_texts(good: Challenge, name: str, old: str, new: str, codes: set[str]) -> None:
    good.edit(name, old, new)
    assert _codes(_check(good)) == codes


def test_api_keys_are_found_and_not_shown(good: Challenge) -> None:
    (good.folder / "config.yaml").write_text('model: x\nwandb:\n  api_key: "9f8e7d6c5b4a39281706"\n')
    (good.folder / ".env").write_text("OPENAI_API_KEY=abcdefgh12345678\n")
    (good.folder / "tokenizer_config.json").write_text('{"unk_token": "<|endoftext|>", "token_type_ids": 12345678}')
    report = _check(good)
    assert _codes(report) == {"secret"}
    assert {one.file for one in report.found.of("error")[0].examples} == {"config.yaml", ".env"}
    assert not any("9f8e7d6c" in line or "abcdefgh" in line for line in page(report.found))


@pytest.mark.parametrize(
    ("move", "codes"),
    [
        (("reasons.jsonl", "submission_task2.json"), {"file-name", "visual-unused"}),
        (("reasons.jsonl", "predictions_2.json"), {"file-name", "visual-unused"}),
        (("reasons.jsonl", "out/reasons.jsonl"), {"file-nested", "visual-unused"}),
        (("who.py", "submission_task2.py"), {"file-name"}),
        (("who.py", None), {"file-missing"}),
        (("run_answers.py", "submission_task1_swift.py"), {"file-name"}),
        (("README.md", None), {"readme-missing"}),
        (("answers.json", None), set()),
    ],
)
def test_names(good: Challenge, move: tuple[str, str | None], codes: set[str]) -> None:
    old, new = move
    if new is None:
        (good.folder / old).unlink()
    else:
        (good.folder / new).parent.mkdir(exist_ok=True)
        (good.folder / old).rename(good.folder / new)
    report = check_folder(good.folder, Wanted("fjord2031", good.table))
    assert _codes(report) - {"visual-unused"} == codes - {"visual-unused"}


def test_links_and_pipes_are_not_followed(good: Challenge, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(f"hf_{'aB3' * 12}")
    (good.folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (good.folder / "ring").symlink_to("ring")
    (good.folder / "up").symlink_to(tmp_path)
    (good.folder / "pictures" / "001.png").unlink()
    (good.folder / "pictures" / "001.png").symlink_to("000.png")
    os.mkfifo(good.folder / "pipe")
    report = _check(good)
    assert _codes(report) == {"link-outside", "file-kind"}, "no secret was read through a link"
    assert {one.file for one in report.found.of("error")[0].examples + report.found.of("error")[1].examples} == {
        "link.txt", "ring", "up", "pipe",
    }  # fmt: skip


def test_nothing_of_the_folder_runs_or_is_unpickled(good: Challenge, tmp_path: Path) -> None:
    import pickle

    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(mark),)

    (good.folder / "weights.bin").write_bytes(pickle.dumps(Evil()))
    (good.folder / "hidden.dat").write_bytes(pickle.dumps(Evil(), protocol=4))
    code = f"import os\nos.mkdir({str(mark)!r})\n"
    for name in ("who.py", "run_answers.py", "sitecustomize.py", "conftest.py"):
        path = good.folder / name
        path.write_text(code + (path.read_text() if path.exists() else ""))
    report = _check(good)
    assert not mark.exists()
    assert {one.file for one in report.found.of("warning") if one.code == "pickle" for one in one.examples} == {
        "weights.bin", "hidden.dat",
    }  # fmt: skip


def test_sizes_without_reading(good: Challenge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_BYTES", 1000)
    for name, size in (("huge.safetensors", 51_000_000_000), ("large.safetensors", 6_000_000_000)):
        with (good.folder / name).open("wb") as stream:
            stream.truncate(size)
    (good.folder / "vocab.json").write_bytes(b"[" + b"1," * 5_500_000)
    report = _check(good)
    assert {"size", "size-hub"} <= _codes(report)
    files = {one.file for level in ("error", "warning") for group in report.found.of(level) for one in group.examples}  # type: ignore[arg-type]
    assert files >= {"huge.safetensors", "large.safetensors", "reasons.jsonl", "vocab.json"}


@pytest.mark.parametrize("name", ["medico2025", "medico2026", "gi-2026"])
def test_a_folder_of_another_edition_is_refused(good: Challenge, name: str) -> None:
    report = check_folder(good.folder, Wanted(name, good.table))
    assert report.found.count("error")
    assert report.why == ""


def test_an_edition_without_a_subtask(good: Challenge) -> None:
    for old, new in (("who.py", "submission_task2.py"), ("reasons.jsonl", "submission_task2.jsonl")):
        (good.folder / old).rename(good.folder / new)
    assert "edition-subtask" in _codes(check_folder(good.folder, Wanted("gi-2025")))


def test_a_script_that_takes_long_to_search_does_not(good: Challenge) -> None:
    text = made.SCRIPT + ("#" + "r" * 5000 + "\n") * 300
    (good.folder / "run_answers.py").write_text(text)
    start = time.process_time()
    assert _codes(_check(good)) == set()
    assert time.process_time() - start < 5, "the expressions take time in the square of a line"


def test_a_file_of_many_rows_is_not_read_whole(good: Challenge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_ROWS", 50)
    (good.folder / "reasons.jsonl").write_text('{"val_id": 0}\n' * 5000)
    report = _check(good)
    assert {"size", "row-count"} <= _codes(report)
    assert report.found.count("error") < 500


def test_findings_are_bounded_and_clean() -> None:
    found = Findings()
    for i in range(5000):
        found.add("answer-empty", f"row {i}\x1b[2J\n", "a\x07.jsonl", i + 1)
    told = list(page(found))
    assert len(told) < 10
    assert "(5000 times)" in told[1]
    assert all(line.isprintable() for line in told)
    with pytest.raises(KeyError):
        found.add("no-such-code", "x")


def test_every_code_is_used() -> None:
    folder = Path(__file__).resolve().parents[2] / "submissions" / "check"
    used = {
        node.value
        for path in folder.glob("*.py")
        if path.name != "codes.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(ERRORS) | set(WARNINGS) <= used


def test_the_command(good: Challenge, tmp_path: Path, gi_bench: CommandLine) -> None:
    table = ("--editions", good.table)
    done = gi_bench("submit", "check", good.folder, *table)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fjord2031 (assumed" in done.stdout
    assert done.stdout.endswith("0 errors, 0 warnings\n")
    good.change_row(4, val_id="4")
    assert gi_bench("submit", "check", good.folder, *table).returncode == 0
    assert gi_bench("submit", "check", good.folder, *table, "--strict").returncode == 1
    good.change_row(5, confidence_score=7)
    done = gi_bench("submit", "check", good.folder, *table, "--json", "--strict")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert (told["edition"], told["edition_assumed"], told["passes"]) == ("fjord2031", True, False)
    assert told["errors"][0]["code"] == "confidence"
    assert told["errors"][0]["examples"] == [{"text": "val_id 5: 7", "file": "reasons.jsonl", "line": 6}]
    assert [one["code"] for one in told["warnings"]] == ["val-id-text"]
    for wrong in ([tmp_path / "none"], [good.table], [good.folder, "--edition", "fjord"], [good.folder, "--flag"]):
        done = gi_bench("submit", "check", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
    (tmp_path / "empty").mkdir()
    assert "nothing-found" in gi_bench("submit", "check", tmp_path / "empty").stdout


def test_a_real_file_of_subtask_1(tmp_path: Path, shared: Path) -> None:
    import shutil

    (tmp_path / "team").mkdir()
    shutil.copyfile(shared / "data/outputs/predictions_1.FAST-NU-DS.json", tmp_path / "team" / "predictions_1.json")
    report = check_folder(tmp_path / "team", Wanted("medico2025"))
    assert _codes(report) == {"file-missing", "measure-missing", "readme-missing"}
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data/data/test-00000-of-00001.parquet").symlink_to(shared / "data/kvasir-vqa-x1/test.parquet")
    report = check_folder(tmp_path / "team", Wanted("medico2025", data=tmp_path / "data"))
    assert _codes(report) == {"file-missing", "measure-missing", "readme-missing"}, (
        "its scores are what its answers give"
    )


def test_real_rows_of_subtask_2(tmp_path: Path, shared: Path) -> None:
    text = (shared / "data/outputs/submission_task2.2026.first13.jsonl").read_text(encoding="utf-8")
    (tmp_path / "submission_task2.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "submission_task2.py").write_text(f"SUBMISSION_INFO = {made.INFO!r}\n")
    report = check_folder(tmp_path)
    assert report.edition.name == "medico2026"
    assert _codes(report) == {
        "row-count", "val-id-missing", "val-id-text", "visual-missing", "explanation-template", "readme-missing",
    }  # fmt: skip
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data/data/test-00000-of-00001.parquet").symlink_to(shared / "data/kvasir-vqa-x1/test.parquet")
    (tmp_path / "team").mkdir()
    (tmp_path / "submission_task2.jsonl").rename(tmp_path / "team" / "submission_task2.jsonl")
    wanted = Wanted("medico2026", data=tmp_path / "data")
    assert not {"img-id-differs", "question-differs"} & _codes(check_folder(tmp_path / "team", wanted))
    swapped = text.replace('"val_id": "3"', '"val_id": "4"', 1)
    (tmp_path / "team" / "submission_task2.jsonl").write_text(swapped, encoding="utf-8")
    assert {"img-id-differs", "val-id-twice"} <= _codes(check_folder(tmp_path / "team", wanted))
