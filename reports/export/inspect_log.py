"""For Inspect: a log that ``inspect view`` opens, every question a sample.

Written by inspect-ai's own writer as JSON: its writer of archives takes minutes for thousands of questions, since its
time grows with their square, and dates what it writes by the clock.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Prediction, Question, Score
from gi_bench.reports.export.rows import row_scores
from gi_bench.reports.export.source import Source, writable
from gi_bench.reports.export.writing import File, evidence, is_evidence, plain_name

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalResults, EvalSample, EvalSpec

_ROLES = {"floor": "a floor", "ceiling": "a ceiling", "model": "a model"}


def inspect_files(source: Source) -> list[File]:
    """One log, named as Inspect names its own.

    Raises:
        GiBenchError: inspect-ai is not installed, or the run asks no question.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise GiBenchError(
            "a log of Inspect needs the package inspect-ai", do="pip install 'gi-bench[inspect]'"
        ) from error
    if not source.run.questions:
        raise GiBenchError("the run asks no question", where=source.run.path, do="use --to hub for its regions")
    log = _log(source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.json"
        write_eval_log(log, path.as_posix(), format="json")
        content = path.read_bytes()
    day = source.created.strftime("%Y-%m-%dT%H-%M-%S+00-00")
    name = f"{day}_{plain_name(source.run.suite).replace('_', '-')}_{log.eval.task_id}.json"
    digest = source.run.manifest.recipe_digest

    def is_ours(found: Path) -> bool:
        content = json.loads(found.read_text(encoding="utf-8"))
        return is_evidence(content, digest, "eval", "metadata", "gi_bench")

    return [File(name, content, is_ours)]


def _log(source: Source) -> EvalLog:
    from inspect_ai.log import EvalLog, EvalStats

    run = source.run
    by_row, others = row_scores(run)
    notes = list(source.notes)
    if others:
        notes.append(f"no scores a question, since they do not add up to the stored score: {', '.join(others)}")
    finished = source.finished
    order = [score.metric for score in source.scores()]
    samples = [
        _sample(source, question, run.predictions.get(("question", question.index)), by_row[question.index], order)
        for question in run.questions
    ]
    return EvalLog(
        status="success" if run.manifest.complete else "cancelled",
        eval=_spec(source, notes),
        results=_results(source, notes),
        stats=EvalStats(
            started_at=source.created.isoformat(), completed_at="" if finished is None else finished.isoformat()
        ),
        samples=samples,
    )


def _spec(source: Source, notes: list[str]) -> EvalSpec:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec

    run, manifest = source.run, source.run.manifest
    ids = hashlib.sha256(f"{manifest.recipe_digest} {manifest.created}".encode("utf-8", "replace")).hexdigest()
    metadata = evidence(
        manifest.recipe_digest,
        {
            "fingerprint": run.fingerprint,
            "role": _ROLES[run.role],
            "seed": run.recipe.seed,
            "dtype": run.recipe.dtype,
            "tasks": list(run.recipe.tasks),
            "phrases": len(run.phrases),
        },
    )
    return EvalSpec(
        created=source.created.isoformat(),
        task=writable(run.suite),
        task_id=ids[:22],
        run_id=ids[22:44],
        eval_id=ids[42:64],
        task_version=run.fingerprint[:16],
        dataset=EvalDataset(
            name=writable(run.suite),
            samples=len(run.questions),
            sample_ids=[question.index for question in run.questions],
            shuffled=False,
        ),
        model=f"gi-bench/{source.name}",
        model_args=writable(run.recipe.model),
        config=EvalConfig(limit=run.recipe.limit, epochs=1),
        packages=writable({"gi-bench": run.recipe.code_version, **manifest.packages}),
        metadata=writable({"notes": notes, "gi_bench": metadata}),
    )


def _results(source: Source, notes: list[str]) -> EvalResults:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    run = source.run
    scores = []
    for score in source.scores():
        info = source.infos.get(score.metric)
        described = {} if info is None else {
            "title": info.title, "definition": info.definition, "source": info.source, "version": info.version,
            "higher_is_better": info.higher_is_better, "comparable": info.comparable, "group": info.group,
        }  # fmt: skip
        metric = EvalMetric(name="value", value=score.value or 0.0, metadata=_rests_on(score))
        scores.append(
            EvalScore(
                name=writable(score.metric),
                scorer=writable(score.metric),
                metrics={"value": metric},
                metadata=writable({**described, "by_slice": _slices(source, score.metric)}),
            )
        )
    made = sum(("question", question.index) in run.predictions for question in run.questions)
    metadata = {
        "notes": notes,
        "interval_method": run.scores.interval_method,
        "not_computed": dict(run.scores.not_computed),
        "counts": dict(run.scores.counts),
    }
    return EvalResults(
        total_samples=len(run.questions), completed_samples=made, scores=scores, metadata=writable(metadata)
    )


def _rests_on(score: Score) -> dict[str, Any]:
    return {
        "n": score.n,
        "images": score.image_count,
        "interval_low": score.interval_low,
        "interval_high": score.interval_high,
        "level": score.level,
    }


def _slices(source: Source, metric: str) -> dict[str, dict[str, Any]]:
    """Scores of a metric by slice kind and value."""
    found: dict[str, dict[str, Any]] = {}
    for one in source.run.scores.scores:
        if one.metric == metric and one.slice_by != "all":
            found.setdefault(one.slice_by, {})[one.slice_value] = {"value": one.value, **_rests_on(one)}
    return found


def _sample(
    source: Source, question: Question, said: Prediction | None, scores: dict[str, float], order: list[str]
) -> EvalSample:
    """One question; its scores come in an ``order``, and the first, from which viewers take it, has the answer."""
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser
    from inspect_ai.scorer import Score as InspectScore

    answer = None if said is None else said.answer
    text = None if answer is None else writable(answer)
    asked = ChatMessageUser(id=f"{question.index}-asked", content=_prompt(question, said), source="input")
    messages: list[Any] = [asked]
    if text is not None:
        messages.append(ChatMessageAssistant(id=f"{question.index}-said", content=text, source="generate"))
    return EvalSample(
        id=question.index,
        epoch=1,
        uuid=hashlib.sha256(f"{source.run.manifest.recipe_digest} {question.index}".encode()).hexdigest()[:22],
        input=writable(question.question),
        choices=writable(list(question.options)) or None,
        target=_targets(question),
        messages=messages,
        output=_output(source, messages[1:], said),
        scores={
            writable(name): InspectScore(value=scores[name], answer=text if number == 0 else None)
            for number, name in enumerate(name for name in order if name in scores)
        },
        metadata=_metadata(question, said),
    )


def _prompt(question: Question, said: Prediction | None) -> str:
    """What was put to the model, where it says so."""
    reply = None if said is None else said.answer_reply
    text: str = writable(reply.prompt if reply is not None and reply.prompt else question.question)
    return text


def _targets(question: Question) -> str | list[str]:
    """The reference, or all that are right; empty where it is hidden."""
    right = [one for one in (question.answer, *question.also_accepted) if one is not None]
    texts: list[str] = writable(right)
    return texts if len(texts) > 1 else "".join(texts)


def _output(source: Source, messages: list[Any], said: Prediction | None) -> Any:
    from inspect_ai.model import ChatCompletionChoice, ModelOutput, ModelUsage

    count = 0 if said is None else said.token_count
    return ModelOutput(
        model=f"gi-bench/{source.name}",
        choices=[ChatCompletionChoice(message=one, stop_reason="stop") for one in messages],
        usage=ModelUsage(output_tokens=count, total_tokens=count) if count else None,
    )


def _metadata(question: Question, said: Prediction | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "img_id": question.img_id,
        "question_class": list(question.question_class),
        "complexity": question.complexity,
        "is_negative": question.is_negative,
        "finding": question.finding,
        "reference": "hidden" if question.answer is None else "known",
        "reference_explanation": question.explanation,
        "facts": [[pair.question, pair.answer] for pair in question.original],
        "prediction": "missing" if said is None else "stored",
    }
    if said is not None:
        reply = said.answer_reply
        found |= {
            "confidence": said.confidence,
            "explanation": said.explanation,
            "regions": None if said.regions is None else [[one.label, one.box()] for one in said.regions],
            "warnings": list(said.warnings) or None,
            "reply_state": None if reply is None else reply.state,
            "raw_reply": None if reply is None or reply.text == said.answer else reply.text,
        }
    kept: dict[str, Any] = writable({name: value for name, value in found.items() if value is not None})
    return kept


__all__ = ["inspect_files"]
