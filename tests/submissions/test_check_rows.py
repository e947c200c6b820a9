"""The strict check of rows: answers, explanations, pictures, boxes, predictions and scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.errors import GiBenchError
from gi_bench.submissions.check import Report
from gi_bench.submissions.check.codes import ERRORS
from tests.submissions import challenge_folders as made
from tests.submissions.challenge_folders import Challenge, checked, codes_of, write_data


def _place(report: Report, code: str) -> str:
    level = "error" if code in ERRORS else "warning"
    return next(one for one in report.found.of(level) if one.code == code).examples[0].place  # type: ignore[arg-type]


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
    assert codes_of(checked(good)) == codes


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
    assert codes_of(checked(good)) == codes


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
    assert codes_of(checked(good)) == codes


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
    assert codes_of(checked(good)) == codes


def test_scores_are_computed_again_where_the_references_are(good: Challenge, data: Path) -> None:
    good.change_predictions(lambda all: all["public_scores"].update(bleu=0.9, rouge1=0.999))
    report = checked(good, data)
    assert codes_of(report) == {"score-differs"}
    text = report.found.of("error")[0].examples[0].text
    assert text.startswith("bleu is 0.9, and the answers give 1.000")


def test_with_the_data_the_rows_that_differ_are_named(good: Challenge, data: Path) -> None:
    good.change_row(4, img_id="clb99")
    good.change_row(7, question="Which colour?")
    report = checked(good, data)
    assert codes_of(report) == {"img-id-differs", "question-differs"}
    assert _place(report, "img-id-differs") == "reasons.jsonl:5"
    good.write_rows(good.rows[:-1])
    assert {"img-id-differs", "row-count"} <= codes_of(checked(good, data)), "also where rows are missing"


def test_data_of_another_set_are_refused(good: Challenge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "IMAGES", [*made.IMAGES[:-1], "clb99"])
    with pytest.raises(GiBenchError, match="not those that the edition asks"):
        checked(good, write_data(tmp_path / "other"))
