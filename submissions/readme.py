"""README of subtask 2: how answers, explanations, regions and confidences were made, from the run's own manifest."""

from __future__ import annotations

import ntpath
import posixpath
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gi_bench.harness.schema import Prediction, Question, Reply
from gi_bench.harness.store import Run
from gi_bench.submissions.agreement import Agreement
from gi_bench.submissions.calibration import Calibration
from gi_bench.submissions.editions import Edition, Task2

_SHOWN_PROMPTS = 3
_X1 = "SimulaMet/Kvasir-VQA-x1"


@dataclass(frozen=True)
class Made:
    """What a submission of subtask 2 was made of.

    Attributes:
        run: whose predictions they are.
        edition: the challenge.
        rows: its rows, in order.
        agreement: with subtask 1.
        calibration: of the confidence; None if it is passed on.
        overlays: sentence about the pictures of regions.
        shows_images: whether there are overlays.
        licences: of what the model is made of, by name; empty where nobody says.
        options: of the command, beside those that every submission has.
        repository: Hub id.
    """

    run: Run
    edition: Edition
    rows: Sequence[tuple[Question, Prediction]]
    agreement: Agreement
    calibration: Calibration | None
    overlays: str
    shows_images: bool
    licences: Mapping[str, str]
    options: Sequence[str]
    repository: str

    @property
    def table(self) -> Task2:
        """The edition's subtask 2."""
        found = self.edition.rows_of("task2")
        assert isinstance(found, Task2)
        return found


def readme(made: Made) -> str:
    """Text of ``README.md``; it depends on the submission alone, so that the same one gives the same bytes."""
    run, table = made.run, made.table
    sections = [
        _head(made),
        ("Answers", [_model_line(run), *made.agreement.lines()]),
        ("Explanations", _explanations(made)),
        ("Regions", _regions(made)),
        ("Confidence", confidence_lines(made)),
        ("Licences", _licences(made)),
    ]
    text = [_front(table)]
    for title, lines in sections:
        text.append(f"{'#' if title is sections[0][0] else '##'} {title}\n")
        text += [line if line.startswith("|") else f"{_sentence(line)}\n" for line in lines]
        if lines and lines[-1].startswith("|"):
            text.append("")
    text += ["## Made again by\n", f"    {_run_command(run)}", f"    {_submit_command(made)}\n"]
    return "\n".join(text)


def _front(table: Task2) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        datasets=[table.dataset], tags=["gi-bench", "medical-vqa", "endoscopy"],
        pipeline_tag="visual-question-answering",
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n"


def _head(made: Made) -> tuple[str, list[str]]:
    run, recipe, table = made.run, made.run.recipe, made.table
    title = f"{plain(run.variant)} for {plain(made.edition.title)}, subtask 2"
    batch = run.manifest.batch_size or "unknown size"
    lines = [
        f"{code(table.lines)} holds {len(made.rows):,} rows of {code(table.dataset)} ({code(table.split)}) with "
        f"answer, explanation, regions and confidence, {code(table.visuals)} the pictures that it names, "
        f"{code(table.script)} who submits; written by gi-bench from a "
        "stored run",
        "| | |",
        "|---|---|",
        f"| suite | {plain(run.suite)}, fingerprint `{run.fingerprint[:16]}` |",
        f"| recipe | `{run.manifest.recipe_digest[:16]}`, tasks {', '.join(recipe.tasks)}, {plain(recipe.dtype)}, seed "
        f"{recipe.seed} |",
        f"| gi-bench | {plain(recipe.code_version)} |",
        *(f"| {plain(key.replace('_', ' '))} | {plain(value)} |" for key, value in sorted(recipe.model.items())),
        f"| made on | {plain(run.manifest.hardware.gpu_name)}, batches of {batch} |",
    ]
    return title, lines


def _model_line(run: Run) -> str:
    if run.recipe.model.get("kind") == "predictions of a file":
        return "They were read from a file; gi-bench did not make them, and knows of the model only what is said above"
    said = "the model and its decoding are those of the table above"
    if run.role == "floor":
        said += "; this variant never looks at an image, and is a floor that models are measured against"
    return _prompts("question", [(q.question, p.answer_reply) for q, p in made_rows(run)], said)


def made_rows(run: Run) -> list[tuple[Question, Prediction]]:
    """The run's own rows, as it made them."""
    found = ((question, run.predictions.get(("question", question.index))) for question in run.questions)
    return [(question, prediction) for question, prediction in found if prediction is not None]


def _explanations(made: Made) -> list[str]:
    run = made.run
    texts = Counter(prediction.explanation for _, prediction in made.rows)
    lines = [f"{len(made.rows):,} explanations, {len(texts):,} different texts"]
    if "explain" in run.recipe.tasks:
        said = "the model wrote them after it had answered and shown a region"
        if run.role == "model":
            said += ", out of the same encoding of the image"
        lines.append(_prompts("question", [(q.question, p.explain_reply) for q, p in made.rows], said))
    cut = sum("explain-cut-off" in prediction.warnings for _, prediction in made.rows)
    if cut:
        lines.append(f"{cut:,} reached the longest length that was allowed and end there")
    return lines


def _prompts(what: str, asked: Sequence[tuple[str, Reply | None]], said: str) -> str:
    """How a model was asked: prompts with the row's text taken out, the most frequent first."""
    found = Counter(
        reply.prompt.replace(text, f"{{{what}}}") if text else reply.prompt
        for text, reply in asked
        if reply is not None and reply.prompt is not None
    )
    if not found:
        return f"{said}; the run does not say with which prompts"
    shown = ", ".join(code(prompt[:300]) for prompt, _ in found.most_common(_SHOWN_PROMPTS))
    more = f" and {len(found) - _SHOWN_PROMPTS:,} more" if len(found) > _SHOWN_PROMPTS else ""
    return f"{said}; asked with {shown}{more}"


def _regions(made: Made) -> list[str]:
    regions = [prediction.regions for _, prediction in made.rows]
    if all(one is None for one in regions):
        return ["The run has no regions: `visual_explanation` is empty in every row"]
    shown = sum(any(region.area for region in one or ()) for one in regions)
    every = [region for one in regions for region in one or ()]
    said = (
        "the model was asked for the region of its own answer (the phrase is the answer's text, where the question is "
        "about something that has a place), so that a region shows what the answer names"
    )
    lines = [
        f"{shown:,} rows show a region, {len(regions) - shown:,} show none and have an empty `visual_explanation`",
        _prompts("phrase", [(p.phrase or "", p.ground_reply) for _, p in made.rows], said),
        "a row's mask is a PNG of its image's size, white on black; each box goes around one region, as x1, y1, x2, y2 "
        "in pixels of the original image, x2 and y2 exclusive, from its top left corner",
        made.overlays,
    ]
    for kind, count in (
        ("boxes", sum(region.given_box is not None for region in every)),
        ("points", sum(region.given_point is not None for region in every)),
    ):
        if count:
            lines.append(f"{count:,} regions were given as {kind} by the model, and their masks are those {kind}")
    return lines


def confidence_lines(made: Made) -> list[str]:
    """What ``confidence_score`` is, as sentences without a full stop."""
    values = [prediction.confidence for _, prediction in made.rows]
    given = [value for value in values if value is not None]
    if "confidence_score" not in (*made.table.required, *made.table.optional):
        return ["This edition asks for none"]
    if not given:
        return ["The model gives no confidence, and `confidence_score` is left out"]
    lines = [
        "`confidence_score` rests on the number that the model gave for its answer (for gi-bench's Florence-2 variants "
        "the mean probability mass of the five likeliest tokens over the steps of decoding)"
    ]
    if len(given) < len(values):
        lines.append(f"{len(values) - len(given):,} rows have none, and leave it out")
    if made.calibration is None:
        lines.append("it is not calibrated, but passed on as it is: no run on rows that are not submitted was given")
    else:
        lines += ["an answer is right if it states every atomic fact that its question asks for, or where a set has no "
                  "atomic answers, if it equals the reference", *made.calibration.lines()]  # fmt: skip
    return lines


def _licences(made: Made) -> list[str]:
    dataset = made.table.dataset
    lines = [f"{name}: {plain(licence) or 'its card states no licence'}" for name, licence in made.licences.items()]
    if not made.licences:
        lines.append("the licences of the model's weights are not known to gi-bench: state them here")
    data = "CC BY-NC 4.0 (SimulaMet)" if dataset == _X1 else "the licence that its card states"
    lines.append(f"the questions are those of {code(dataset)}, under {data}")
    if made.shows_images:
        lines.append(f"the overlays show its images, changed by the contour that is drawn on them, under {data}")
    return lines


def _run_command(run: Run) -> str:
    recipe = run.recipe
    if recipe.model.get("kind") == "predictions of a file":
        return f"gi-bench score {shlex.quote(bare(str(recipe.model.get('file', 'FILE'))))} -s {shlex.quote(run.suite)}"
    words = ["gi-bench", "run", "-m", recipe.variant, "-s", run.suite, "--tasks", ",".join(recipe.tasks),
             "--dtype", recipe.dtype, "--seed", str(recipe.seed)]  # fmt: skip
    backbone, decoding = recipe.model.get("backbone"), recipe.model.get("decoding")
    if isinstance(backbone, str):
        words += ["--backbone", bare(backbone)]
    if isinstance(decoding, Mapping) and "beams" in decoding:
        words += ["--beams", str(decoding["beams"])]
    return shlex.join(words)


def _submit_command(made: Made) -> str:
    words = ["gi-bench", "submit", "task2", made.run.path.resolve().name, "--info", "team.toml",
             "--repo", made.repository, "--edition", made.edition.name, *made.options, "-o", "DIR"]  # fmt: skip
    return shlex.join(words)


def bare(text: str) -> str:
    """A path of this machine without its folders; any other text as it is."""
    if posixpath.isabs(text) or ntpath.isabs(text) or text.startswith("~"):
        return ntpath.basename(text.rstrip("/\\")) or "folder"
    return text


def plain(value: Any) -> str:
    """A value in Markdown: one line, no path of this machine, nothing that ends a cell or code or starts HTML."""
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(key)} {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    text = "".join(one if one.isprintable() else " " for one in bare(str(value)))
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def code(text: str) -> str:
    """A text as code in Markdown, on one line; outside of tables only."""
    shown = "".join(one if one.isprintable() else " " for one in bare(text))
    return "`" + " ".join(shown.split()).replace("`", "'") + "`"


def _sentence(line: str) -> str:
    return line[:1].upper() + line[1:] + ("" if line.endswith(".") else ".")


__all__ = ["Made", "confidence_lines", "plain", "readme"]
