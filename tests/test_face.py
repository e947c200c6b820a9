"""The public face: what ``import gi_bench`` gives, and what it costs. Checked by mypy too (see pyproject.toml)."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import assert_type

import gi_bench
from gi_bench import (
    Answer,
    Ask,
    BuildContext,
    Comparison,
    ComparisonTable,
    Finished,
    GiBenchError,
    GroundAsk,
    Grounding,
    Metric,
    MetricInfo,
    Model,
    ModelEntry,
    Phrase,
    Question,
    Region,
    Run,
    RunError,
    Score,
    Scores,
    Settings,
    Statistics,
    Suite,
    SuiteEntry,
    Task,
    UnknownNameError,
    compare,
    evaluate,
    open_run,
    report,
    score,
)
from tests.run_folders import write_run

ROOT = Path(__file__).parents[1]


def _fresh(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter without the site's own imports."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


# What the face is.


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys; before = {*sys.modules}; import gi_bench; dir(gi_bench); print(*{*sys.modules} - before)"
    loaded = _fresh(code).stdout.split()
    assert "gi_bench.links" in loaded
    foreign = {name.partition(".")[0] for name in loaded} - {*sys.stdlib_module_names, "gi_bench"}
    assert not foreign
    assert not [name for name in loaded if name.startswith("gi_bench.") and name != "gi_bench.links"]
    assert not {"pathlib", "json", "dataclasses", "inspect", "importlib.metadata"} & {*loaded}


def test_a_type_needs_no_torch_and_no_frames() -> None:
    names = "Answer, Region, ModelEntry, Question, Suite, GiBenchError, CommandEntry, Score, BuildContext, load_plugin"
    code = f"import sys; from gi_bench import {names}; print(*sys.modules)"
    loaded = _fresh(code).stdout.split()
    assert "gi_bench.harness.model" in loaded
    assert not {"torch", "pandas", "pyarrow", "transformers", "numpy", "typer"} & {*loaded}


def test_every_listing_of_the_names_is_the_same() -> None:
    tree = ast.parse((ROOT / "gi_bench" / "__init__.py").read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        (node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is None
    }
    lazy = {(module, name) for module, names in gi_bench._HOMES.items() for name in names}
    assert typed == lazy
    assert sorted(gi_bench.__all__) == sorted({name for _, name in lazy} | {"__version__"})
    assert len(set(gi_bench.__all__)) == len(gi_bench.__all__)
    assert {*gi_bench.__all__} <= {*dir(gi_bench)}


@pytest.mark.parametrize("name", gi_bench.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(gi_bench, name)
    assert found is getattr(gi_bench, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__name__ == name
        assert len(inspect.getdoc(found) or "") > 20
        # A dataclass without a docstring is given its signature as one.
        assert not (found.__doc__ or "").startswith(f"{name}(")


def test_the_verbs_and_what_a_plugin_needs_are_there() -> None:
    verbs = {"load_suite", "evaluate", "score", "compare", "report", "open_run", "load_plugin"}
    plugin = {
        "Answer", "Ask", "BuildContext", "CommandEntry", "GroundAsk", "Grounding", "Metric", "MetricInfo", "Model",
        "ModelEntry", "Phrase", "Prediction", "Question", "Region", "Settings", "Statistics", "Suite", "SuiteEntry",
    }  # fmt: skip
    assert verbs | plugin | {"Run", "Score", "Scores", "ComparisonTable"} <= {*gi_bench.__all__}
    for verb in verbs:
        hints = inspect.signature(getattr(gi_bench, verb))
        assert hints.return_annotation is not inspect.Signature.empty


def test_every_error_of_the_harness_is_public() -> None:
    from gi_bench.harness import errors

    ours = {name for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, GiBenchError)}
    assert ours <= {*gi_bench.__all__}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scorer'"):
        gi_bench.scorer  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'scorer'"):
        exec("from gi_bench import scorer")
    assert not hasattr(gi_bench, "_answer")


def test_a_name_loads_once_and_is_then_an_attribute() -> None:
    code = "import gi_bench; a = gi_bench.Region; assert 'Region' in vars(gi_bench); assert a is gi_bench.Region"
    assert _fresh(code).returncode == 0


# Verbs over runs.


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run whose answers are right, and one that knows one answer; both scored."""
    folder = tmp_path_factory.mktemp("runs")
    right = write_run(folder / "right", variant="right")
    same = write_run(folder / "same", variant="same", answer=lambda q: "no", ground=lambda p: ())
    for path in (right, same):
        score(path, resamples=50)
    return right, same


def test_score_writes_all_metrics_and_the_run_knows(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    run = open_run(folder)
    first = score(run, resamples=20)
    assert_type(first, Scores)
    assert run.scores == first == open_run(folder).scores
    second = score(run, resamples=0, seed=3)
    assert run.scores == second == open_run(str(folder)).scores
    bleu = second.find("bleu")
    assert bleu is not None
    assert bleu.interval_low is None


def test_score_with_metrics_writes_nothing(runs: tuple[Path, Path]) -> None:
    before = (runs[0] / "scores.json").read_bytes()
    found = score(str(runs[0]), metrics="exact_match", resamples=10)
    assert {one.metric for one in found.scores} == {"exact_match"}
    info = MetricInfo("rows", "rows", "Share of rows.", "own")

    def compute(run: Run) -> Statistics:
        ones = np.ones((len(run.questions), 2))
        return Statistics(ones, tuple(q.img_id for q in run.questions), {})

    mine = score(runs[0], metrics=["rougeL", Metric(info, compute)], resamples=10)
    assert [one.name for one in mine.metrics] == ["rougeL", "rows"]
    rows = mine.find("rows")
    assert rows is not None
    assert (rows.value, rows.n) == (1.0, 12)
    assert (runs[0] / "scores.json").read_bytes() == before


def test_a_restricted_run_is_scored_but_not_stored(runs: tuple[Path, Path]) -> None:
    part = open_run(runs[0]).restricted(frozenset(("question", i) for i in range(4)))
    found = score(part, metrics="exact_match", resamples=0).find("exact_match")
    assert found is not None
    assert found.n == 4
    with pytest.raises(GiBenchError, match="restricted"):
        score(part)
    with pytest.raises(GiBenchError, match="restricted"):
        report(part, runs[0].parent / "part.html")
    assert not (runs[0].parent / "part.html").exists()


def test_compare_takes_runs_paths_and_variants(runs: tuple[Path, Path]) -> None:
    table = compare(runs, metrics=["exact_match", "rougeL"], resamples=100)
    assert_type(table, ComparisonTable)
    one = table.find("exact_match")
    assert_type(one, Comparison | None)
    assert one is not None
    assert (one.baseline, one.run, one.found.difference) == ("right", "same", -1.0)
    turned = compare([open_run(runs[0]), str(runs[1])], baseline="same", metrics=["exact_match"], resamples=100)
    again = compare(runs[0], baseline=open_run(runs[1]), metrics=["exact_match"], resamples=100)
    for other in (turned, again):
        found = other.find("exact_match", "right")
        assert found is not None
        assert found.found.difference == 1.0
        assert found.baseline == "same"
    assert table.find("bleu") is None
    assert "difference to right" in str(table)


def test_compare_says_what_the_command_says(runs: tuple[Path, Path]) -> None:
    from gi_bench.harness.analysis.comparing import compare_runs, run_notes
    from gi_bench.harness.analysis.comparison_text import comparison_lines

    found, missing = compare_runs(runs, resamples=100)
    table = compare(runs, resamples=100)
    assert str(table) == "\n".join(comparison_lines(found, missing, run_notes(runs), table.left_out))
    assert table.left_out["rougeL"] == ""


def test_report_writes_one_page(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = report([open_run(runs[0]), runs[1]], tmp_path / "page.html", title="Both <of> them")
    assert_type(page, Path)
    assert "Both &lt;of&gt; them" in page.read_text(encoding="utf-8")
    assert report(str(runs[0])) == runs[0].parent / "report.html"


untyped: Any = gi_bench  # for calls that mypy would not let pass


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda runs: untyped.score("nowhere"), "not a run folder"),
        (lambda runs: untyped.score(runs[0], metrics=["bleuu"]), "did you mean bleu"),
        (lambda runs: untyped.score(runs[0], metrics=[]), "no metric given"),
        (lambda runs: untyped.score(runs[0], metrics=[7]), "not a metric"),
        (lambda runs: untyped.score(runs[0], resamples=-1), "too few resamples"),
        (lambda runs: untyped.score(runs[0], seed=-1), "seed"),
        (lambda runs: untyped.score(7), "not a run"),
        (lambda runs: untyped.score(None), "not a run"),
        (lambda runs: untyped.compare(runs[:1]), "nothing to be compared with"),
        (lambda runs: untyped.compare([]), "nothing to be compared with"),
        (lambda runs: untyped.compare(None), "no runs"),
        (lambda runs: untyped.compare([None, None]), "not a run"),
        (lambda runs: untyped.compare(runs, resamples=5), "too few resamples"),
        (lambda runs: untyped.compare(runs, baseline="other"), "no run is of the variant 'other'.*right, same"),
        (lambda runs: untyped.compare([runs[0], runs[0]], baseline="right"), "2 runs are of the variant"),
        (lambda runs: untyped.compare(runs, metrics="bleu", everything=True), "exclude each other"),
        (lambda runs: untyped.report([]), "no run given"),
        (lambda runs: untyped.report(["nowhere"], "page.html"), "not a run folder"),
        (lambda runs: untyped.open_run(runs[0]).to_frame("rows"), "questions or phrases"),
        (lambda runs: untyped.load_suite("fantom"), "unknown suite"),
        (lambda runs: untyped.load_plugin("nowhere.py"), "not found"),
        (lambda runs: untyped.evaluate("blind_constnt"), "did you mean"),
    ],
)
def test_a_wrong_call_is_one_line(
    call: Callable[[tuple[Path, Path]], object], said: str, runs: tuple[Path, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GiBenchError, match=said) as caught:
        call(runs)
    assert "\n" not in caught.value.line()
    assert not list(tmp_path.iterdir())


def test_two_metrics_of_one_name_are_refused(runs: tuple[Path, Path]) -> None:
    def nothing(run: Run) -> str:
        return "no"

    with pytest.raises(GiBenchError, match="two metrics have one name"):
        score(runs[0], metrics=["bleu", Metric(MetricInfo("bleu", "b", "d", "own"), nothing)])


# A model and a suite in place, typed: mypy reads this as a plugin's author would have it read.


class Middle:
    """Says how wide the image is and shows its middle."""

    tasks: frozenset[Task] = frozenset({"answer", "ground"})
    needs_image = True
    settings: Mapping[str, Any] = {"kind": "middle"}
    batch_size = 4

    def encode(self, images: Sequence[Any]) -> list[int]:
        return [image.width for image in images]

    def answer(self, features: Sequence[int], asks: Sequence[Ask]) -> list[Answer]:
        return [Answer(f"{ask.question} {width}") for ask, width in zip(asks, features, strict=True)]

    def ground(self, features: Sequence[int], asks: Sequence[GroundAsk]) -> list[Grounding]:
        made = []
        for ask in asks:
            mask = np.zeros((ask.height, ask.width), dtype=bool)
            mask[2:6, 4:8] = True
            made.append(Grounding((Region.from_mask(ask.label, mask),)))
        return made

    def explain(self, features: Sequence[int], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        raise AssertionError

    def close(self) -> None:
        pass


class Pair(Suite):
    """Two grey images, three questions, two phrases."""

    name = "pair/test"

    def __init__(self) -> None:
        there = Region.from_mask("polyp", np.eye(8) > 0)
        self.questions: list[Question] = [
            Question(0, "a", "What?", "What? 8", ("polyp_count",), 1),
            Question(1, "b", "Who?", None, ("polyp_count", "polyp_size"), 2),
            Question(2, "a", "Where?", "here", ("polyp_count",), 1, explanation="Seen."),
        ]
        self.phrases: list[Phrase] = [
            Phrase(0, "a", "a polyp", "polyp", there),
            Phrase(1, "b", "a clip", "instrument", None, is_negative=True),
        ]

    def load_image(self, img_id: str) -> Any:
        from PIL import Image

        return Image.new("RGB", (8, 8), (90, 90, 90))

    def image_digest(self, img_id: str) -> str:
        return f"{img_id}-1"


def _build(context: BuildContext) -> Model:
    assert_type(context.suite, Suite)
    return Middle()


MIDDLE = ModelEntry("middle", "shows the middle", ("answer", "ground"), _build)
PAIR = SuiteEntry("pair/test", "two images", lambda folder: Pair())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The middle on the pair."""
    (done,) = evaluate(MIDDLE, PAIR.open(None), output=tmp_path_factory.mktemp("out"), settings=Settings(device="cpu"))
    return done


def test_evaluate_takes_entries_and_a_suite_in_place(finished: Finished) -> None:
    assert finished.path.name.startswith("middle-")
    run = open_run(finished)
    assert_type(run, Run)
    assert run.predictions["question", 2].answer == "Where? 8"
    assert score(finished, resamples=1000) == finished.scores
    with pytest.raises(GiBenchError, match="given twice"):
        evaluate([MIDDLE, MIDDLE], Pair())


# Frames.


def test_the_questions_of_a_run_as_a_frame(finished: Finished) -> None:
    frame = open_run(finished).to_frame()
    assert [*frame.index] == [0, 1, 2]
    assert frame.index.name == "index"
    assert [*frame.variant.unique(), *frame.suite.unique()] == ["middle", "pair/test"]
    assert [*frame.answer] == ["What? 8", "Who? 8", "Where? 8"]
    assert frame.reference_answer[0] == "What? 8"
    assert frame.reference_answer.isna().tolist() == [False, True, False]
    assert frame.reference_explanation.isna().tolist() == [True, True, False]
    assert frame.question_class[1] == ["polyp_count", "polyp_size"]
    assert frame.has_prediction.all()
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert dtypes["complexity"] == "int64"
    assert dtypes["is_negative"] == dtypes["has_prediction"] == "bool"
    assert dtypes["confidence"] == "float64"
    assert dtypes["token_count"] == "Int64"
    for name in ("img_id", "question", "answer", "reference_answer", "explanation", "finding", "variant", "suite"):
        assert dtypes[name] == "string", name


def test_the_phrases_of_a_run_as_a_frame(finished: Finished) -> None:
    from pycocotools import mask as coco

    frame = open_run(finished).to_frame("phrases")
    assert [*frame.label] == ["polyp", "instrument"]
    assert "phrase" in frame
    assert "reference_phrase" not in frame
    assert frame.region_count.tolist() == [1, 1]
    assert frame.region_area.tolist() == [16, 16]
    assert frame.region_box[0] == (4, 2, 8, 6)
    assert frame.reference_region_area[0] == 8
    assert frame.reference_region_area.isna().tolist() == [False, True]
    assert frame.reference_region_box[1] is None
    (code,) = frame.regions[0]
    assert coco.decode(code)[2:6, 4:8].all()
    assert coco.iou([code], [frame.reference_region[0]], [False])[0][0] == pytest.approx(2 / 22)


def test_a_frame_of_missing_and_empty_things(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", ground=lambda p: None if p.index else (), confidence=None)
    run = open_run(folder)
    del run.predictions["question", 3]
    frame = run.to_frame()
    assert not frame.has_prediction[3]
    assert frame.answer.isna().sum() == 1
    assert frame.confidence.isna().all()
    assert frame.confidence.dtype == "float64"
    assert frame.token_count.isna().sum() == 1
    assert frame.regions[3] is None
    assert frame.regions[1] == []
    assert frame.region_count[1] == frame.region_area[1] == 0
    phrases = run.to_frame("phrases")
    assert phrases.region_count.isna().tolist() == [False] + [True] * (len(phrases) - 1)
    assert phrases.region_area[0] == 0
    assert phrases.region_box[0] is None
    none = run.restricted(frozenset())
    for kind, whole in (("questions", frame), ("phrases", phrases)):
        empty = none.to_frame(kind)  # type: ignore[arg-type]
        assert len(empty) == 0
        assert empty.dtypes.equals(whole.dtypes)


def test_regions_that_overlap_count_once(tmp_path: Path) -> None:
    from tests.run_folders import square

    folder = write_run(
        tmp_path / "run",
        ground=lambda p: (square("polyp", 0, 0, 4), square("polyp", 2, 2, 4), square("polyp", 0, 0, 0)),
    )
    frame = open_run(folder).to_frame("phrases")
    assert set(frame.region_area) == {28}
    assert set(frame.region_count) == {2}
    assert set(frame.region_box) == {(0, 0, 6, 6)}
    assert len(frame.regions[0]) == 3


def test_a_record_in_a_record_becomes_columns_of_its_own() -> None:
    from gi_bench.harness.frames import _column

    @dataclasses.dataclass
    class Inner:
        text: str
        count: int

    made = _column("reply", [Inner("a", 2), None], Inner | None)
    assert [*made] == ["reply_text", "reply_count"]
    assert [str(column.dtype) for column in made.values()] == ["string", "Int64"]
    assert made["reply_count"].isna().tolist() == [False, True]


def test_scores_as_a_frame(runs: tuple[Path, Path]) -> None:
    scores = open_run(runs[0]).scores
    frame = scores.to_frame()
    assert len(frame) == len(scores.scores)
    for stored, (_, row) in zip(scores.scores, frame.iterrows(), strict=True):
        assert_type(stored, Score)
        assert (row.metric, row.slice_by, row.slice_value, row.n) == (
            stored.metric, stored.slice_by, stored.slice_value, stored.n,
        )  # fmt: skip
        assert row["value"] == stored.value or (stored.value is None and math.isnan(row["value"]))
    assert set(frame.fingerprint) == {scores.fingerprint}
    assert set(frame.variant) == {"right"}
    versions = {info.name: info.version for info in scores.metrics}
    assert {(m, v) for m, v in zip(frame.metric, frame.definition_version, strict=True)} == {*versions.items()}
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert {dtypes[name] for name in ("value", "interval_low", "interval_high", "level")} == {"float64"}
    assert {dtypes[name] for name in ("n", "image_count")} == {"int64"}
    assert {dtypes[name] for name in ("metric", "slice_by", "suite", "variant", "fingerprint")} == {"string"}
    empty = score(runs[0], metrics=[Metric(MetricInfo("no", "no", "d", "own"), lambda run: "not here")]).to_frame()
    assert len(empty) == 0
    assert empty.dtypes.equals(frame.dtypes)


def test_a_comparison_as_a_frame(runs: tuple[Path, Path]) -> None:
    table = compare(runs, metrics=["exact_match", "rougeL"], resamples=100)
    frame = table.to_frame().set_index("metric")
    row = frame.loc["exact_match"]
    assert (row.run, row.baseline, row.verdict) == ("same", "right", table.comparisons[0].verdict)
    assert row.difference == row["value"] - row.baseline_value == -1.0
    assert row.p_holm >= row.p
    assert str(frame.difference.dtype) == "float64"
    assert str(frame.n.dtype) == "int64"
    nothing = ComparisonTable((), {}, ()).to_frame()
    assert nothing.set_index("metric").dtypes.equals(frame.dtypes)


def test_frames_of_runs_go_together(runs: tuple[Path, Path]) -> None:
    import pandas

    both = pandas.concat([open_run(path).to_frame() for path in runs])
    right = both.assign(right=both.answer == both.reference_answer).groupby("variant").right.mean()
    assert right.to_dict() == {"right": 1.0, "same": 0.0}


def test_the_face_refuses_nothing_it_lists() -> None:
    assert issubclass(UnknownNameError, GiBenchError)
    assert issubclass(RunError, GiBenchError)


def _classes(slugs: tuple[str, ...]) -> Callable[[Pair], None]:
    def change(suite: Pair) -> None:
        suite.questions[1] = dataclasses.replace(suite.questions[1], question_class=slugs)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _classes(("polyp_count", "polyp_presence")),
            "question 1 has the unknown class .polyp_presence.*polyp_count",
        ),
        (_classes(()), "question 1 has no question class"),
        (lambda suite: suite.questions.reverse(), "question 0 has the index 2"),
        (lambda suite: suite.phrases.pop(0), "phrase 0 has the index 1"),
    ],
)
def test_rows_that_nothing_could_be_made_of_are_refused_first(
    change: Callable[[Pair], object], said: str, tmp_path: Path
) -> None:
    suite = Pair()
    change(suite)
    with pytest.raises(GiBenchError, match=said):
        evaluate(MIDDLE, suite, output=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
