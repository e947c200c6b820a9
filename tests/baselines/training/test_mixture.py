"""Which rows a training sees, in which order, and how a step's rows are shared."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gi_bench.baselines.training.mixture import Batch, Mixture, Row, mix, share
from gi_bench.baselines.training.rows import Examples
from gi_bench.harness.errors import GiBenchError


def _examples(counts: dict[str, list[int]]) -> Examples:
    """``counts[task][i]`` rows of image i."""
    found = Examples()
    for task, images in counts.items():
        for image, count in enumerate(images):
            for row in range(count):
                found.add(task, f"i{image}", f"{task} {image} {row}", "yes")
    return found


def _rows(batches: list[Batch]) -> Counter[Row]:
    return Counter(row for batch in batches for row in batch)


FEW = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(answers=FEW, regions=FEW, rows=st.integers(1, 13), per_image=st.integers(1, 6), seed=st.integers(0, 3))
def test_an_epoch_takes_every_row_once_and_keeps_images_together(
    answers: list[int], regions: list[int], rows: int, per_image: int, seed: int
) -> None:
    examples = _examples({"answer": answers, "ground": regions})
    if not examples.image_ids:
        with pytest.raises(GiBenchError, match="no row"):
            mix(examples, Mixture(rows, per_image), seed)
        return
    batches = mix(examples, Mixture(rows, per_image), seed)
    found = _rows(batches)
    assert set(found.values()) == {1}
    assert len(found) == sum(answers) + sum(regions)
    assert all(1 <= len(batch) <= rows for batch in batches)
    assert batches == mix(examples, Mixture(rows, per_image), seed)
    groups = sum(-(-count // min(per_image, rows)) for count in Counter(row.img_id for row in found).values())
    runs = sum(1 + sum(a.img_id != b.img_id for a, b in pairwise(batch)) for batch in batches)
    assert runs <= groups, "rows of a group stand side by side"


ANCHORED = Mixture(12, 6, {"explain": 0.5, "ground": 1.5}, anchor="answer")
MANY = {"answer": [7, 10, 0, 10, 3, 8, 10, 10], "explain": [4, 4, 2, 0, 4, 4, 3, 4], "ground": [0, 5, 3, 1, 0, 6, 2, 2]}


def _of(task: str, batches: list[Batch]) -> list[tuple[Row, ...]]:
    return [tuple(row for row in batch if row.task == task) for batch in batches]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 3),
    rows=st.integers(2, 20),
    per_image=st.integers(1, 8),
    counts=st.fixed_dictionaries({"explain": FEW, "ground": FEW, "negative": FEW}),
)
def test_with_an_anchor_tasks_are_added_and_nothing_else_changes(
    seed: int, rows: int, per_image: int, counts: dict[str, list[int]]
) -> None:
    everything = _examples({"answer": MANY["answer"], **counts})
    mixture = Mixture(rows, per_image, {"ground": 1.5}, anchor="answer")
    whole = mix(everything, mixture, seed, epochs=2)
    alone = mix(_examples({"answer": MANY["answer"]}), mixture, seed, epochs=2)
    assert _of("answer", whole) == [tuple(batch) for batch in alone], "the same answers in the same steps"
    assert _rows(alone) == Counter(dict.fromkeys(_rows(alone), 2))
    for task in sorted(set(everything.by_task) - {"answer"}):
        some = _examples({"answer": MANY["answer"], task: counts[task]})
        assert _of(task, mix(some, mixture, seed, epochs=2)) == _of(task, whole)
        if any(_of(task, whole)):
            single = mix(everything, mixture, seed, epochs=2, without=set(everything.by_task) - {task})
            assert single == _of(task, whole), "alone it has the same rows in the same steps"
            assert len(single) == len(alone)
    for batch in whole:
        assert 1 + sum(a.img_id != b.img_id for a, b in pairwise(batch)) == len({row.img_id for row in batch})


def test_an_anchored_epoch_takes_as_many_rows_as_it_is_told() -> None:
    batches = mix(_examples(MANY), ANCHORED, 0)
    tasks = Counter(row.task for batch in batches for row in batch)
    # Images without an answer are shown in no step: of their rows there are two explanations and three regions.
    assert tasks["answer"] == sum(MANY["answer"])
    assert 10 <= tasks["explain"] <= 13
    levelled = Mixture(12, 6, anchor="answer", epoch_rows={"ground": 64})
    few = _examples({"answer": [10] * 8, "ground": [1, 0, 2, 0, 0, 0, 1, 0]})
    many = _examples({"answer": [10] * 8, "ground": [4] * 8})
    for examples in (few, many):
        tasks = Counter(row.task for batch in mix(examples, levelled, 0) for row in batch)
        assert tasks == {"answer": 80, "ground": 64}


def test_no_step_of_a_single_task_is_empty_and_an_anchor_is_needed() -> None:
    examples = _examples({"answer": [10] * 12, "ground": [3] + [0] * 11})
    batches = mix(examples, Mixture(10, 10, anchor="answer"), 0, without={"answer"})
    assert len(batches) == 12
    assert {row.task for batch in batches for row in batch} == {"ground"}
    assert all(batches)
    with pytest.raises(GiBenchError, match="no rows of answer"):
        mix(_examples({"ground": [3]}), ANCHORED, 0)


def test_weights_are_passes_over_a_task_s_rows() -> None:
    examples = _examples({"answer": [10] * 4, "explain": [10] * 4, "ground": [5] * 4, "negative": [1] * 4})
    mixture = Mixture(12, 4, {"explain": 0.5, "ground": 2.5, "negative": 0})
    tasks = Counter(row.task for batch in mix(examples, mixture, 1) for row in batch)
    assert tasks == {"answer": 40, "explain": 20, "ground": 50}
    twice = mix(examples, mixture, 1, epochs=2)
    first = mix(examples, mixture, 1)
    assert twice[: len(first)] == first
    halves = [{row.prompt for batch in part for row in batch if row.task == "explain"} for part in
              (first, twice[len(first) :])]  # fmt: skip
    assert halves[0] != halves[1], "each epoch draws its own half"


def test_steps_are_exact_and_other_seeds_give_other_orders() -> None:
    examples = _examples({"answer": [3, 3, 3]})
    assert len(mix(examples, Mixture(4, 2), 0, steps=7)) == 7
    assert mix(examples, Mixture(4, 2), 0) != mix(examples, Mixture(4, 2), 1)


def test_batches_are_full_where_groups_allow_it() -> None:
    examples = _examples({"answer": [10] * 30})
    sizes = [len(batch) for batch in mix(examples, Mixture(12, 4), 0)]
    assert sum(sizes) == 300
    assert sum(sizes) / len(sizes) > 10.5


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), parts=st.integers(1, 4))
def test_shares_cover_each_step(sizes: list[int], parts: int) -> None:
    batches = [tuple(Row("i", "answer", f"{n} {k}", "y") for k in range(size)) for n, size in enumerate(sizes)]
    if sizes[0] < parts:
        with pytest.raises(GiBenchError, match="cannot be shared by"):
            share(batches, parts)
        return
    shared = share(batches, parts)
    assert [row for step in shared for part in step for row in part] == [row for batch in batches for row in batch]
    assert all(len(step) == parts and all(step) for step in shared)
    assert max(max(map(len, step)) - min(map(len, step)) for step in shared) <= 1
    assert len(shared) == sum(size >= parts for size in sizes)
