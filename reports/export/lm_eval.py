"""For tools that read lm-evaluation-harness: its two files, as its ``EvaluationTracker`` writes them.

``MODEL/results_DATE.json`` has the scores, ``MODEL/samples_TASK_DATE.jsonl`` a line a question. The package itself is
not needed: the layout is that of version 0.4.13, held by tests against its own types.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.reports.export.rows import row_scores
from gi_bench.reports.export.source import Source, writable
from gi_bench.reports.export.writing import File, evidence, is_evidence, json_text, plain_name

# The name of the filter that a text passes without one.
_FILTER = "none"
_HASHES = ("doc_hash", "prompt_hash", "target_hash")


def lm_eval_files(source: Source) -> list[File]:
    """Results and samples of a run.

    Raises:
        GiBenchError: the run asks no question.
    """
    run = source.run
    if not run.questions:
        raise GiBenchError("the run asks no question", where=run.path, do="use --to hub for its regions")
    by_row, others = row_scores(run)
    samples = [
        _sample(question, run.predictions.get(("question", question.index)), by_row[question.index])
        for question in run.questions
    ]
    task = re.sub(r"\W", "_", plain_name(run.suite))
    notes = list(source.notes)
    if others:
        notes.append(f"no scores a question, since they do not add up to the stored score: {', '.join(others)}")
    results = _results(source, task, samples, notes)
    manifest_digest = run.manifest.recipe_digest
    day = source.created.strftime("%Y-%m-%dT%H-%M-%S.%f")
    folder = plain_name(run.variant)
    lines = "".join(json_text(sample) + "\n" for sample in samples)
    written = f"results_{day}.json", manifest_digest, task
    return [
        File(
            f"{folder}/samples_{task}_{day}.jsonl", lines.encode("ascii"), lambda found: _are_samples(found, *written)
        ),
        File(
            f"{folder}/{written[0]}",
            json_text(results, indent=2).encode("ascii"),
            lambda found: is_evidence(json.loads(found.read_text(encoding="utf-8")), manifest_digest, "gi_bench"),
        ),
    ]


def _are_samples(found: Path, results: str, digest: str, task: str) -> bool:
    """Whether a file has the samples that our results of a run, which lie beside it, were written with."""
    content = json.loads((found.parent / results).read_text(encoding="utf-8"))
    if not is_evidence(content, digest, "gi_bench"):
        return False
    samples = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
    if not all(isinstance(one, dict) and set(_HASHES) <= set(one) for one in samples):
        return False
    hashes = content.get("task_hashes")
    return isinstance(hashes, dict) and hashes.get(task) == _task_hash(samples)


def _task_hash(samples: list[dict[str, Any]]) -> str:
    """One hash over those of all samples."""
    return _hash("".join(str(one[name]) for one in samples for name in _HASHES))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _sample(question: Question, said: Prediction | None, scores: dict[str, float]) -> dict[str, Any]:
    """One line of the samples."""
    reply = None if said is None else said.answer_reply
    text = writable((None if said is None else said.answer) or "")
    raw = writable(reply.text) if reply is not None and reply.text is not None else text
    prompt = writable(reply.prompt if reply is not None and reply.prompt else question.question)
    target = writable(question.answer or "")
    document: dict[str, Any] = writable(
        {
            "index": question.index,
            "img_id": question.img_id,
            "question": question.question,
            "answer": question.answer,
            "question_class": list(question.question_class),
            "complexity": question.complexity,
            "is_negative": question.is_negative,
            "reference": "hidden" if question.answer is None else "known",
            "prediction": "missing" if said is None or said.answer is None else "stored",
        }
    )
    return {
        "doc_id": question.index,
        "doc": document,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {}}},
        "resps": [[raw]],
        "filtered_resps": [text],
        "filter": _FILTER,
        "metrics": list(scores),
        "doc_hash": _hash(json.dumps(document, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(target),
        **scores,
    }


def _results(source: Source, task: str, samples: list[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    """The results' file: what its types know, and what they have no place for under ``gi_bench``."""
    from gi_bench.harness.registry import stored_spec

    run, manifest = source.run, source.run.manifest
    scores = source.scores()
    values = {f"{score.metric},{_FILTER}": score.value for score in scores}
    directions = {score.metric: source.infos[score.metric].higher_is_better for score in scores
                  if score.metric in source.infos}  # fmt: skip
    details = {
        "suite": run.suite,
        "fingerprint": run.fingerprint,
        "notes": notes,
        "interval_method": run.scores.interval_method,
        "not_computed": dict(run.scores.not_computed),
        "scores": [
            {"metric": one.metric, "slice_by": one.slice_by, "slice_value": one.slice_value, "value": one.value,
             "n": one.n, "images": one.image_count, "interval_low": one.interval_low,
             "interval_high": one.interval_high, "level": one.level}
            for one in run.scores.scores
        ],
    }  # fmt: skip
    content = {
        "results": {task: {"name": task, "alias": run.suite, "sample_len": len(samples), **values}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "dataset_path": run.suite, "output_type": "generate_until",
                           "should_decontaminate": False}},
        "versions": {task: run.fingerprint[:16]},
        "n-shot": {task: 0},
        "higher_is_better": {task: directions},
        "n-samples": {task: {"original": _whole(source, stored_spec(run.suite)), "effective": len(samples)}},
        "config": _config(source),
        "git_hash": manifest.code.commit,
        "date": source.created.timestamp(),
        "transformers_version": manifest.packages.get("transformers", ""),
        "model_source": "gi-bench",
        "model_name": run.variant,
        "model_name_sanitized": plain_name(run.variant),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": False,
        "chat_template": None,
        "chat_template_sha": None,
        "task_hashes": {task: _task_hash(samples)},
        "total_evaluation_time_seconds": str(manifest.seconds or 0.0),
        "gi_bench": evidence(manifest.recipe_digest, details),
    }  # fmt: skip
    found: dict[str, Any] = writable(content)
    return found


def _whole(source: Source, spec: SuiteSpec) -> int:
    """Questions of the whole suite as far as that is known: a run with a limit does not hold them all."""
    asked = len(source.run.questions)
    if source.run.recipe.limit is None:
        return asked
    return max(asked, spec.questions or asked)


def _config(source: Source) -> dict[str, Any]:
    """How the model was run; its own settings as text, which is what the type allows."""
    recipe, manifest = source.run.recipe, source.run.manifest
    settings = {
        str(key): value if isinstance(value, (str, int, float)) else json.dumps(value, sort_keys=True, default=str)
        for key, value in recipe.model.items()
    }
    return {
        "model": "gi-bench",
        "model_args": settings,
        "model_dtype": recipe.dtype,
        "batch_size": None if manifest.batch_size is None else str(manifest.batch_size),
        "device": manifest.device,
        "limit": recipe.limit,
        "gen_kwargs": None,
        "random_seed": recipe.seed,
    }


__all__ = ["lm_eval_files"]
