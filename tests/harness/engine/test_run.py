"""Runs of scripted models: plans and parts, batches and memory, images seen in training, progress."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness import store
from gi_bench.harness.engine import entries
from gi_bench.harness.engine import run as local
from gi_bench.harness.engine.execute import BatchSize, chain_label, execute_part, in_batches, is_out_of_memory
from gi_bench.harness.engine.plan import make_plan
from gi_bench.harness.engine.progress import Progress, duration
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.schema import TASKS
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.harness.engine.scripted_runs import ROWS, digests_of
from tests.scripted import ScriptedModel, entry


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
    digests = [digests_of(run_scripted(ScriptedModel(), f"b{size}", batch_size=size).path) for size in (1, 7, 64)]
    assert digests[0] == digests[1] == digests[2]


def test_out_of_memory_halves_the_batch_and_loses_nothing(run_scripted: Any) -> None:
    model = ScriptedModel()

    def too_big(asks: Any) -> None:
        if len(asks) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    model.before_answer = too_big
    finished = run_scripted(model, "small", batch_size=16)
    assert max(model.batches) <= 3
    assert store.open_run(finished.path).manifest.batch_halved_count == 3
    assert digests_of(finished.path) == digests_of(run_scripted(ScriptedModel(), "large").path)


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
