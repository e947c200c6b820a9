"""Masks from the regions of a variant's run: which ones are taken, refined and refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gi_bench.baselines.data.masks import making
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.schema import Phrase, Prediction, Question, Region
from gi_bench.harness.store import open_run, write_part
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.mask_table import read_masks
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.baselines.data.mask_cases import SUITE, Rows, degraded, run_command
from tests.run_folders import SIZE, square, write_run


def _shown(
    phrase: Phrase, confidence: float | None, *regions: Region, img_id: str | None = None, grounded: bool = True
) -> Prediction:
    return Prediction(
        "phrase", phrase.index, img_id or phrase.img_id, None, confidence, None, phrase.phrase,
        regions if grounded else None,
    )  # fmt: skip


def _run_folder(folder: Path, suite: Suite, predictions: Sequence[Prediction], **recipe: Any) -> Path:
    """A run of ``multitask_r128`` on a suite with these predictions of its phrases."""
    content = {"variant": "multitask_r128", "model": {"adapter_digest": "a" * 64}, "suite": suite.name,
               "fingerprint": suite.fingerprint, **recipe}  # fmt: skip
    write_run(folder, rows=list(suite.questions), shown=list(suite.phrases), manifest={"recipe": content})
    write_part(folder / "predictions" / "part-00000.parquet", predictions)
    return folder


def _variant_masks(suite: Suite, folder: Path) -> tuple[dict[tuple[str, str], making.Made], Counter[str]]:
    counts: Counter[str] = Counter()
    made = list(making.variant_masks(suite, open_run(folder), counts))
    assert len({(one.img_id, one.region.label) for one in made}) == len(made)
    return {(one.img_id, one.region.label): one for one in made}, counts


def test_the_surest_phrase_that_shows_something_gives_the_mask(tmp_path: Path) -> None:
    texts = [("a", "polyp"), ("a", "polyp"), ("a", "polyp"), ("a", "tube"), ("b", "polyp"), ("c", "polyp")]
    there = [Phrase(i, img_id, f"phrase {i}", label) for i, (img_id, label) in enumerate(texts)]
    absent = Phrase(6, "b", "no forceps", "instrument", square("instrument", 0, 0, 0), is_negative=True)
    tied = [Phrase(7, "d", "phrase 7", "polyp"), Phrase(8, "d", "phrase 8", "polyp")]
    unsure = [Phrase(9, "e", "phrase 9", "polyp"), Phrase(10, "e", "phrase 10", "polyp")]
    alone = [Phrase(11, "f", "phrase 11", "polyp"), Phrase(12, "f", "phrase 12", "polyp")]
    suite = Rows([*there, absent, *tied, *unsure, *alone])
    empty, left, right = square("x", 0, 0, 0), square("x", 4, 4, 8), square("x", 20, 20, 10)
    folder = _run_folder(
        tmp_path / "run",
        suite,
        [
            _shown(there[0], 0.5, left),
            _shown(there[1], 0.75, left, right),
            _shown(there[2], 1.0),
            _shown(there[3], 0.25, right),
            _shown(there[4], 0.5, empty),
            _shown(there[5], 0.5, right, grounded=False),
            _shown(absent, 1.0, right),
            *(_shown(phrase, 0.5, region) for phrase, region in zip(tied, (left, right), strict=True)),
            _shown(unsure[0], None, left),
            _shown(unsure[1], 0.125, right),
            _shown(alone[0], None, left),
        ],
    )
    made, counts = _variant_masks(suite, folder)
    assert set(made) == {("a", "polyp"), ("a", "tube"), ("d", "polyp"), ("e", "polyp"), ("f", "polyp")}
    assert counts == {"nothing shown": 1, "phrases not grounded": 2}, "only b; c and a phrase of f were not asked"
    polyp = made["a", "polyp"]
    assert np.array_equal(polyp.region.mask(), left.mask() | right.mask()), "regions of one phrase are united"
    assert (polyp.region.height, polyp.region.width) == (SIZE, SIZE)
    assert (polyp.source, polyp.score, polyp.kept_input) == ("variant", 0.75, False)
    assert polyp.model == f"multitask_r128 {'a' * 64}"
    assert json.loads(polyp.details) == {"recipe_digest": "d" * 64, "phrase": "phrase 1"}
    assert np.array_equal(made["d", "polyp"].region.mask(), left.mask()), "the lowest index of equal confidences"
    assert json.loads(made["e", "polyp"].details)["phrase"] == "phrase 10", "any confidence comes before none"
    assert made["f", "polyp"].score == 1.0


def test_a_variant_without_adapter_has_its_name_alone_in_the_provenance(tmp_path: Path) -> None:
    suite = Rows([Phrase(0, "a", "polyp", "polyp")])
    for number, model in enumerate(({"rank": 0}, {})):
        folder = _run_folder(tmp_path / str(number), suite, [_shown(suite.phrases[0], 0.5, square("polyp", 2, 2, 9))])
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        manifest["recipe"]["model"] = model
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        assert [one.model for one in _variant_masks(suite, folder)[0].values()] == ["multitask_r128"]


def test_runs_that_give_no_masks_are_told(tmp_path: Path) -> None:
    there, absent = Phrase(0, "a", "polyp", "polyp"), Phrase(1, "a", "tube", "tube", is_negative=True)
    suite, region = Rows([there, absent]), square("polyp", 2, 2, 9)
    cases = {
        "no regions of phrases": [_shown(there, 0.5, region, grounded=False), _shown(absent, 0.5, region)],
        "the variant showed nothing": [_shown(there, 0.5)],
        "phrase 0 is about b, not a": [_shown(there, 0.5, region, img_id="b")],
    }
    for number, (message, predictions) in enumerate(cases.items()):
        folder = _run_folder(tmp_path / str(number), suite, predictions)
        with pytest.raises(GiBenchError, match=message):
            _variant_masks(suite, folder)


def test_a_run_of_another_suite_is_refused(tmp_path: Path) -> None:
    phrases = [Phrase(0, "a", "polyp", "polyp", square("polyp", 2, 2, 9)), Phrase(1, "b", "tube", "tube")]
    asked = Question(0, "a", "How many polyps?", "one", ("polyp_count",), 1)
    suite = Rows(phrases, [asked])
    predictions = [_shown(phrase, 0.5, square("x", 2, 2, 9)) for phrase in phrases]
    # The fingerprint of a run that saw images cannot be made without them: its rows have to be the suite's.
    folder = _run_folder(tmp_path / "run", suite, predictions, fingerprint="f" * 64)
    unsized = Phrase(0, "a", "polyp", "polyp", square("polyp", 3, 3, 9))
    for same in (suite, Rows([], [asked]), Rows([unsized, phrases[1]], [asked])):
        assert len(_variant_masks(same, folder)[0]) == 2
    others = [
        Rows(phrases, []),
        Rows(phrases, [Question(0, "c", "How many polyps?", "one", ("polyp_count",), 1)]),
        Rows(phrases[:1], [asked]),
        Rows([phrases[0], Phrase(1, "b", "tube", "polyp")], [asked]),
    ]
    for other in others:
        with pytest.raises(RunError, match="is not that of made/test"):
            _variant_masks(other, folder)
    without_questions = _run_folder(tmp_path / "other", Rows(phrases), predictions, fingerprint="f" * 64)
    with pytest.raises(RunError, match="is not that of made/test"):
        _variant_masks(Rows([], [asked]), without_questions)
    with pytest.raises(RunError, match=r"was made on made/test.*is not that of phantom/validation.*with -s"):
        _variant_masks(PhantomSuite("validation", 2), folder)


def test_regions_of_a_variant_are_refined(
    tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = []
    for phrase in SUITE.phrases:
        region = phrase.region
        assert region is not None
        if not phrase.is_negative:
            region = Region.from_mask("x", degraded(region.mask(), phrase.index), 0.5)
        predictions.append(_shown(phrase, 0.5 + phrase.index % 8 / 16, region))
    folder = _run_folder(tmp_path / "run", SUITE, predictions)
    suite = ("-s", "phantom/validation")
    own, shown, refined = (tmp_path / f"{name}.parquet" for name in ("own", "shown", "refined"))
    assert run_command("--source", "mask", "-o", own, *suite) == 0
    assert run_command("--source", "variant", "--run", folder, "-o", shown, *suite, "--against", own) == 0
    text = capsys.readouterr().out
    report: dict[str, Any] = json.loads(text[text.rindex('{\n "masks"') : text.rindex("}") + 1])
    assert report["nothing shown"] == 0
    assert report["agreement"]["n"] == report["masks"] == len(read_masks(own))
    rows = pq.read_table(shown).to_pylist()
    by_text = {(phrase.img_id, phrase.phrase): phrase for phrase in SUITE.phrases}
    for row in rows:
        details = json.loads(row["details"])
        phrase = by_text[row["img_id"], details["phrase"]]
        assert (row["label"], row["source"]) == (phrase.label, "variant")
        assert row["score"] == 0.5 + phrase.index % 8 / 16
        assert row["model"] == f"multitask_r128 {'a' * 64}"
        assert details["recipe_digest"] == "d" * 64
    assert run_command("--source", "refine", "--masks", shown, "-o", refined, *suite) == 0
    rows = pq.read_table(refined).to_pylist()
    assert all(json.loads(row["details"]) == {"morphology": "discs, version 2"} for row in rows)
    refined_to_own = making.agreement(read_masks(refined), read_masks(own))
    assert refined_to_own["n"] == report["masks"]
    assert refined_to_own["mean_iou"] > report["agreement"]["mean_iou"], "refined regions are nearer to the truth"
    assert {row["source"] for row in pq.read_table(refined).to_pylist()} == {"refine"}


def test_the_command_tells_what_is_wrong_with_a_run(
    tmp_path: Path, small_validation: PhantomSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.parquet"
    assert run_command("--source", "variant", "-o", output) == 2
    assert "--source variant needs a run" in capsys.readouterr().err
    for source in ("mask", "refine"):
        assert run_command("--source", source, "--run", tmp_path, "-o", output) == 2
        assert f"--source {source} reads no run" in capsys.readouterr().err
    assert run_command("--source", "variant", "--run", tmp_path, "-o", output) == 2
    assert "not a run folder" in capsys.readouterr().err
    other = _run_folder(tmp_path / "run", Rows([Phrase(0, "a", "polyp", "polyp")]), [])
    assert run_command("--source", "variant", "--run", other, "-o", output) == 2
    error = capsys.readouterr().err
    assert "made/test" in error
    assert "Traceback" not in error
    assert not output.exists()
