from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gi_bench.harness import store
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.engine import entries, machine
from gi_bench.harness.engine import run as local
from gi_bench.harness.engine.execute import BatchSize, chain_label, execute_part, in_batches, is_out_of_memory
from gi_bench.harness.engine.plan import make_plan
from gi_bench.harness.engine.progress import Progress, duration
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.model import Answer, Ask, GroundAsk, Grounding
from gi_bench.harness.reading.replies import answer_state
from gi_bench.harness.schema import TASKS, Region, Reply
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.scripted import ScriptedModel, entry

ROWS = 60


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 24)


@pytest.fixture
def run_scripted(monkeypatch: pytest.MonkeyPatch, suite: PhantomSuite, tmp_path: Path) -> Any:
    """Run a scripted model into tmp_path/<name>."""

    def run(model: ScriptedModel, output: str = "runs", **settings: Any) -> local.Finished:
        monkeypatch.setattr(entries, "model_entry", lambda name: entry(model, name))
        monkeypatch.setattr(local, "make_plan", lambda s, t, limit: make_plan(s, t, limit=limit, rows_per_part=ROWS))
        finished = local.evaluate(
            ["scripted"], suite, output=tmp_path / output, settings=local.Settings(device="cpu", **settings)
        )
        return finished[0]

    return run


def _digest(folder: Path) -> dict[str, str]:
    """SHA-256 of everything in a run that must repeat byte for byte."""
    names = [
        *sorted((folder / "predictions").iterdir()),
        folder / "questions.parquet",
        folder / "phrases.parquet",
        folder / "scores.json",
    ]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in names}


def test_parts_are_whole_images_in_suite_order(suite: PhantomSuite) -> None:
    plan = make_plan(suite, TASKS, rows_per_part=ROWS)
    assert [q.index for part in plan.parts for q in part.questions] == list(range(len(suite.questions)))
    assert [p.index for part in plan.parts for p in part.phrases] == list(range(len(suite.phrases)))
    seen = [img_id for part in plan.parts for img_id in part.img_ids]
    assert len(seen) == len(set(seen)) == len(suite.image_ids)
    assert all(part.row_count >= ROWS for part in plan.parts[:-1])


def test_limit_keeps_the_phrases_of_its_images(suite: PhantomSuite) -> None:
    plan = make_plan(suite, TASKS, limit=13)
    assert len(plan.questions) == 13
    assert {p.img_id for p in plan.phrases} <= {q.img_id for q in plan.questions}
    assert make_plan(suite, ("answer",), limit=13).phrases == ()


def test_every_image_is_encoded_once(run_scripted: Any, suite: PhantomSuite) -> None:
    model = ScriptedModel()
    run_scripted(model)
    assert sum(model.encoded) == len(suite.image_ids)
    assert model.closed


def test_all_rows_have_predictions_of_all_tasks(run_scripted: Any, suite: PhantomSuite) -> None:
    run = store.open_run(run_scripted(ScriptedModel()).path)
    assert len(run.predictions) == len(suite.questions) + len(suite.phrases)
    for question in suite.questions:
        found = run.predictions["question", question.index]
        assert found.img_id == question.img_id
        assert found.answer is not None
        assert str(len(question.question)) in found.answer
        assert (found.explanation is not None) == question.wants_explanation
    for phrase in suite.phrases:
        found = run.predictions["phrase", phrase.index]
        assert found.phrase == phrase.phrase
        assert found.regions is not None
        assert found.regions[0].area == 64 * 64
    assert run.manifest.complete is True
    assert run.recipe.fingerprint == suite.fingerprint


def test_batch_size_does_not_change_a_byte(run_scripted: Any) -> None:
    digests = [_digest(run_scripted(ScriptedModel(), f"b{size}", batch_size=size).path) for size in (1, 7, 64)]
    assert digests[0] == digests[1] == digests[2]


def test_a_run_that_broke_off_resumes_and_ends_byte_identical(run_scripted: Any) -> None:
    whole = run_scripted(ScriptedModel(), "whole")
    broken, calls = ScriptedModel(), 0

    def break_off(asks: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise KeyboardInterrupt

    broken.before_answer = break_off
    with pytest.raises(KeyboardInterrupt):
        run_scripted(broken, "broken")
    (folder,) = (Path(whole.path.parents[2]) / "broken" / "phantom-validation").glob("scripted-*")
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "predictions").iterdir()}
    assert kept
    assert not (folder / "scores.json").exists()
    again = ScriptedModel()
    resumed = run_scripted(again, "broken")
    assert resumed.path == folder
    assert sum(again.batches) < sum(ScriptedModel().batches) + 24 * 10, "finished parts are not done again"
    assert {n: (folder / "predictions" / n).stat().st_mtime_ns for n in kept} == kept
    assert _digest(folder) == _digest(whole.path)


def test_out_of_memory_halves_the_batch_and_loses_nothing(run_scripted: Any) -> None:
    model = ScriptedModel()

    def too_big(asks: Any) -> None:
        if len(asks) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    model.before_answer = too_big
    finished = run_scripted(model, "small", batch_size=16)
    assert max(model.batches) <= 3
    assert store.open_run(finished.path).manifest.batch_halved_count == 3
    assert _digest(finished.path) == _digest(run_scripted(ScriptedModel(), "large").path)


def test_out_of_memory_with_one_item_is_told() -> None:
    def fail(batch: Any) -> Any:
        raise MemoryError

    with pytest.raises(RunError, match="single item"):
        in_batches([1, 2], fail, BatchSize(2))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_a_model_that_loses_rows_is_refused() -> None:
    with pytest.raises(RunError, match="1 results for 2 inputs"):
        in_batches([1, 2], lambda batch: [0], BatchSize(2))


def test_another_recipe_gets_another_folder_and_a_mixed_one_is_refused(run_scripted: Any) -> None:
    first = run_scripted(ScriptedModel())
    second = run_scripted(ScriptedModel({"script": 2}))
    assert first.path != second.path
    (second.path / "manifest.json").write_bytes((first.path / "manifest.json").read_bytes())
    with pytest.raises(RunError, match="another recipe"):
        run_scripted(ScriptedModel({"script": 2}))


def test_a_damaged_part_is_named(run_scripted: Any) -> None:
    finished = run_scripted(ScriptedModel())
    part = sorted((finished.path / "predictions").iterdir())[1]
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(RunError, match="damaged Parquet") as caught:
        run_scripted(ScriptedModel())
    assert part.name in caught.value.line()
    part.unlink()
    run_scripted(ScriptedModel())


def test_a_full_disk_is_one_line_and_keeps_finished_parts(
    run_scripted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = pq.write_table
    written = 0

    def full(table: Any, where: Any, **options: Any) -> None:
        nonlocal written
        if ".part-" in str(where):
            written += 1
            if written > 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(table, where, **options)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(RunError, match="disk is full"):
        run_scripted(ScriptedModel(), "full")
    (folder,) = (tmp_path / "full" / "phantom-validation").glob("scripted-*")
    assert sorted(p.name for p in (folder / "predictions").iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    monkeypatch.setattr(pq, "write_table", real)
    resumed = run_scripted(ScriptedModel(), "full")
    assert _digest(resumed.path) == _digest(run_scripted(ScriptedModel(), "whole").path)


def test_chain_grounds_only_what_the_answer_asserts(suite: PhantomSuite) -> None:
    polyp = next(q for q in suite.questions if q.question_class == ("polyp_count",))
    assert chain_label(polyp, "one polyp visible") == "polyp"
    assert chain_label(polyp, "no polyps visible") is None
    procedure = next(q for q in suite.questions if q.question_class == ("procedure_type",))
    assert chain_label(procedure, "colonoscopy image") is None


def test_part_seconds_are_kept_apart(suite: PhantomSuite) -> None:
    part = make_plan(suite, TASKS, rows_per_part=ROWS).parts[0]
    result = execute_part(part, suite, ScriptedModel(), TASKS, BatchSize(8))
    assert set(result.seconds) == {"load", "encode", "answer", "ground", "explain"}
    assert result.predictions == execute_part(part, suite, ScriptedModel(), TASKS, BatchSize(3)).predictions


def test_progress_prints_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with Progress("x", 10, done=4, stream=stream) as progress:
        progress.advance(6)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "x: 10 rows, 4 already done"
    assert lines[1].startswith("x: 10/10 rows")
    assert "\r" not in stream.getvalue()
    assert [duration(s) for s in (4, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 05 min"]


def test_a_task_that_the_model_lacks_is_named(suite: PhantomSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    blind = replace(entry(ScriptedModel(), "blind"), tasks=("answer",))
    monkeypatch.setattr(entries, "model_entry", lambda name: blind)
    with pytest.raises(GiBenchError, match="does not have the task ground"):
        local.evaluate(["blind"], suite, settings=local.Settings(tasks=("ground",)))


# Four parts: enough to be stopped between the second and the last.
_STOPPED = """
import time
from gi_bench.harness.suites.base import SuiteEntry
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.scripted import ScriptedModel, entry

model = ScriptedModel()
model.before_answer = lambda asks: time.sleep(PAUSE)
MODELS = [entry(model, "slow")]
few = PhantomSuite("validation", 48)
few.name = "few/validation"
SUITES = [SuiteEntry("few/validation", "the first scenes", lambda data: few)]
"""


def _command(folder: Path, output: str, pause: float) -> dict[str, Any]:
    """A process that runs the slow model into ``folder/output``."""
    plugin = folder / f"plugin_{output}_{pause}.py"
    plugin.write_text(_STOPPED.replace("PAUSE", str(pause)))
    root = Path(__file__).parents[3]
    code = "from gi_bench.harness.cli import main; main()"
    arguments = [
        sys.executable, "-c", code, "run", "--model", "slow", "--plugin", str(plugin),
        "--suite", "few/validation", "--output", str(folder / output), "--device", "cpu",
    ]  # fmt: skip
    return {"args": arguments, "cwd": root, "env": {**os.environ, "PYTHONPATH": str(root)}}


def _finish(folder: Path, output: str) -> Path:
    done = subprocess.run(**_command(folder, output, 0), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / output / "few-validation").glob("slow-*")
    return run


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _finish(tmp_path_factory.mktemp("whole"), "whole")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_resumes_byte_identical(tmp_path: Path, how: signal.Signals, never_stopped: Path) -> None:
    """Killed, or Ctrl-C, in the middle of a run; then the same command again."""
    process = subprocess.Popen(
        **_command(tmp_path, "killed", 0.05),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 300
    pattern = "few-validation/slow-*/predictions/part-*.parquet"
    while len(list((tmp_path / "killed").glob(pattern))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again" in errors.decode()
    finished = len(list((tmp_path / "killed").glob(pattern)))
    killed = _finish(tmp_path, "killed")
    assert 2 <= finished < len(list((never_stopped / "predictions").iterdir()))
    assert _digest(killed) == _digest(never_stopped)


def test_scores_are_given_apart_for_images_seen_in_training(
    run_scripted: Any, suite: PhantomSuite, tmp_path: Path
) -> None:
    seen = suite.image_ids[:10]
    model = ScriptedModel()
    model.training_images = frozenset({*seen, "elsewhere"})  # type: ignore[attr-defined]
    finished = run_scripted(model)
    by_value = {s.slice_value: s for s in finished.scores.scores if s.metric == "bleu" and s.slice_by == "training"}
    counts = {value: score.n for value, score in by_value.items()}
    expected = sum(q.img_id in seen for q in suite.questions)
    assert counts == {"seen": expected, "unseen": len(suite.questions) - expected}
    assert any("10 of 24 images were seen in training" in note for note in finished.scores.notes)
    listed = tmp_path / "list.csv"
    listed.write_text("img_id,answer\n" + "".join(f"{img_id},x\n" for img_id in suite.image_ids[:3]))
    given = run_scripted(ScriptedModel(), "given", training_images=listed)
    assert store.open_run(given.path).seen_images == frozenset(suite.image_ids[:3])
    unknown = run_scripted(ScriptedModel(), "unknown")
    assert store.open_run(unknown.path).seen_images is None
    assert not [s for s in unknown.scores.scores if s.slice_by == "training"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", "a\nb\n"), ("a.json", '["a", "b", "a"]'), ("a.csv", "img_id\na\nb\n")]
)
def test_lists_of_images_come_in_several_forms(tmp_path: Path, name: str, content: str) -> None:
    from gi_bench.harness.suites.image_lists import read_image_ids

    (tmp_path / name).write_text(content)
    assert read_image_ids(tmp_path / name) == ["a", "b"]
    (tmp_path / name).write_text("")
    with pytest.raises(GiBenchError):
        read_image_ids(tmp_path / name)


def test_auto_grows_the_batch_until_memory_ends_and_loses_nothing(suite: PhantomSuite) -> None:
    """Doubles while full batches pass, halves when memory runs out, and does not grow again."""
    tried: list[int] = []

    def call(batch: Sequence[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > 40:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return [2 * item for item in batch]

    size = BatchSize(8, ceiling=256)
    assert in_batches(range(400), call, size) == [2 * i for i in range(400)]
    assert tried[:5] == [8, 16, 32, 64, 32]
    assert max(tried[5:]) == 32
    assert (size.value, size.halved_count) == (32, 1)
    fixed = BatchSize(8)
    in_batches(range(100), call, fixed)
    assert fixed.value == 8


def test_the_state_of_a_region_is_stored(run_scripted: Any) -> None:
    class Sorry(ScriptedModel):
        def ground(self, features: Sequence[float], asks: Sequence[GroundAsk]) -> list[Grounding]:
            shown = super().ground(features, asks)
            replies = {
                0: Grounding((), state="refused", reply="I am sorry"),
                1: Grounding(()),
                2: Grounding((), state="unreadable", reply="no polyp to measure"),
            }
            return [replies.get(len(ask.phrase) % 4, found) for ask, found in zip(asks, shown, strict=True)]

    finished = run_scripted(Sorry())
    run = store.open_run(finished.path)
    found = [(p.phrase or "", p) for p in run.predictions.values() if p.kind == "phrase"]
    expected = {0: ("refused", "I am sorry"), 1: ("denied", None), 2: ("unreadable", "no polyp to measure"),
                3: ("stated", None)}  # fmt: skip
    assert {len(phrase) % 4 for phrase, _ in found} == set(expected)
    for phrase, p in found:
        assert p.ground_reply is not None
        assert (p.ground_reply.state, p.ground_reply.text) == expected[len(phrase) % 4]
    assert run.scores.states["regions"]["all"]["refused"] == sum(len(phrase) % 4 == 0 for phrase, _ in found)


@pytest.mark.parametrize(("regions", "state"), [(0, "stated"), (1, "denied"), (0, "no idea")])
def test_a_state_that_does_not_fit_its_regions_is_refused(regions: int, state: str) -> None:
    mask = np.ones((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="reply"):
        Grounding((Region.from_mask("polyp", mask),) * regions, state=state).reply_state()  # type: ignore[arg-type]


class Wordy(ScriptedModel):
    """Says all that a model can say of a reply."""

    def answer(self, features: Sequence[float], asks: Sequence[Ask]) -> list[Answer]:
        return [
            Answer(
                "no polyp", 0.5, 3, prompt=f"Q: {ask.question}", reply="<s>no polyp</s>", token_log_probs=(-0.5, -0.25),
                state="refused" if ask.index == 1 else None,
            )
            for ask in asks
        ]  # fmt: skip

    def ground(self, features: Sequence[float], asks: Sequence[GroundAsk]) -> list[Grounding]:
        found = []
        for ask in asks:
            region = Region.from_box(ask.label, (2.5, 4, 60, 70), ask.height, ask.width, 0.5)
            if ask.index == 1:
                region = Region.from_point(ask.label, (3, 7.5), ask.height, ask.width)
            found.append(Grounding((region,), 0.5, 5, reply="box", prompt=f"P: {ask.phrase}", token_log_probs=(-1.0,)))
        return found

    def explain(self, features: Sequence[float], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        return [Answer("I am sorry.", None, 4, prompt=f"E: {ask.question}") for ask in asks]


def test_prompt_reply_state_and_tokens_of_every_task_are_stored(run_scripted: Any, suite: PhantomSuite) -> None:
    run = store.open_run(run_scripted(Wordy()).path)
    for question in suite.questions:
        found = run.predictions["question", question.index]
        state = "refused" if question.index == 1 else answer_state("no polyp", question)
        assert found.answer_reply == Reply(
            f"Q: {question.question}", "<s>no polyp</s>", state, 3, (-0.5, -0.25)
        )  # fmt: skip
        wanted = Reply(f"E: {question.question}", "I am sorry.", "refused", 4) if question.wants_explanation else None
        assert found.explain_reply == wanted
    for phrase in suite.phrases:
        found = run.predictions["phrase", phrase.index]
        assert found.ground_reply == Reply(f"P: {phrase.phrase}", "box", "stated", 5, (-1.0,))
        assert found.regions is not None
        (region,) = found.regions
        if phrase.index == 1:
            assert (region.given_point, region.given_box, region.area) == ((3.0, 7.5), None, 1)
        else:
            assert (region.given_box, region.box()) == ((2.5, 4.0, 60.0, 70.0), (2, 4, 60, 70))
    plain = store.open_run(run_scripted(ScriptedModel({"script": 2})).path)
    assert {p.answer_reply.text == p.answer for p in plain.predictions.values() if p.answer_reply} == {True}


def test_a_state_of_an_answer_that_there_is_not_is_told(run_scripted: Any) -> None:
    class Odd(ScriptedModel):
        def answer(self, features: Sequence[float], asks: Sequence[Ask]) -> list[Answer]:
            return [Answer("x", state="perhaps") for _ in asks]  # type: ignore[arg-type]

    with pytest.raises(RunError, match=r"'perhaps' is no state of a reply.*repair the model plugin"):
        run_scripted(Odd())


def test_a_box_and_a_point_are_checked() -> None:
    assert Region.from_box("polyp", (-5, -5, 50, 2), 4, 4).box() == (0, 0, 4, 2)
    assert Region.from_box("polyp", (1, 1, 1, 3), 4, 4).area == 0
    for box in ((3, 0, 1, 2), (0, 0, float("nan"), 2), (0, 0, 1)):
        with pytest.raises(ValueError, match="not a box"):
            Region.from_box("polyp", box, 4, 4)  # type: ignore[arg-type]
    for point in ((4, 0), (-0.5, 0), (0, float("nan")), (1,)):
        with pytest.raises(ValueError, match="not a point"):
            Region.from_point("polyp", point, 4, 4)  # type: ignore[arg-type]


def test_pictures_are_stored_once_a_suite(run_scripted: Any, suite: PhantomSuite) -> None:
    first = run_scripted(ScriptedModel(), limit=5)
    path = store.pictures_path(first.path, suite.fingerprint)
    few = store.open_run(first.path).pictures
    assert list(few) == list(dict.fromkeys(q.img_id for q in suite.questions[:5]))
    whole = run_scripted(ScriptedModel({"script": 2}))
    assert [p.name for p in whole.path.parent.glob("*.parquet")] == [path.name]
    found = store.open_run(first.path).pictures
    assert list(found) == list(suite.image_ids)
    for img_id, picture in found.items():
        with Image.open(io.BytesIO(picture.data)) as opened:
            assert opened.format == "WEBP"
            assert max(opened.size) <= 256
        assert (picture.width, picture.height) == suite.load_image(img_id).size
    before = path.stat().st_mtime_ns
    run_scripted(ScriptedModel({"script": 3}))
    assert path.stat().st_mtime_ns == before
    path.write_bytes(b"damaged")
    run_scripted(ScriptedModel({"script": 4}))
    assert list(store.open_run(first.path).pictures) == list(suite.image_ids)


@pytest.mark.parametrize("name", ["predictions/part-00001.parquet", "questions.parquet", "phrases.parquet"])
def test_an_edited_file_of_a_run_is_refused_and_made_again(run_scripted: Any, name: str) -> None:
    finished = run_scripted(ScriptedModel())
    before, path = _digest(finished.path), finished.path / name
    table = pq.read_table(path)
    pq.write_table(table.slice(0, len(table) - 1), path)
    with pytest.raises(RunError, match="was changed after the run") as caught:
        score_run(finished.path)
    line = caught.value.line()
    assert str(path) in line
    assert "delete this file and run the same command again" in line
    path.unlink()
    with pytest.raises(RunError, match="a file of the run is missing"):
        score_run(finished.path)
    run_scripted(ScriptedModel())
    assert _digest(finished.path) == before


def test_a_run_given_again_keeps_what_was_measured(run_scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = run_scripted(ScriptedModel())
    before = (finished.path / "manifest.json").read_bytes()
    manifest = store.read_manifest(finished.path)
    assert manifest.peak_memory_mb is not None
    assert manifest.model_memory_mb is not None
    assert manifest.peak_memory_mb >= manifest.model_memory_mb > 10
    assert sorted(manifest.parts) == [p.name for p in sorted((finished.path / "predictions").iterdir())]
    monkeypatch.setattr(machine, "peak_memory_mb", lambda device: 1e9)
    monkeypatch.setattr(machine, "memory_mb", lambda device: 1e9)
    run_scripted(ScriptedModel())
    assert (finished.path / "manifest.json").read_bytes() == before
