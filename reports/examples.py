"""Examples for the page: pictures with what was asked, what was right and what each run said.

They are not picked by hand: the images are spread evenly over the run,
and per image one question and one phrase are taken by a fixed rule that walks through the question classes and
takes every third phrase from the negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.metrics.participation import region_state
from gi_bench.harness.regions import iou, overlap, united
from gi_bench.harness.schema import Phrase, Picture, Prediction, Question, Region
from gi_bench.harness.store import Run
from gi_bench.reports.overlays import overlay

EXAMPLE_COUNT = 24


@dataclass(frozen=True)
class Said:
    """What one run said."""

    variant: str
    answer: str
    confidence: str
    explanation: str
    picture: str
    overlap: str
    exact: bool


@dataclass(frozen=True)
class Example:
    """One image with a question, a phrase and what every run said of them."""

    img_id: str
    question: str
    reference: str
    classes: str
    negative: bool
    explanation: str
    phrase: str
    phrase_negative: bool
    reference_picture: str
    said: tuple[Said, ...]


def pick_examples(runs: Sequence[Run], names: Sequence[str]) -> list[Example]:
    """Examples of all runs, one an image of a fixed sample."""
    first = runs[0]
    pictures = next((found for run in runs if (found := _sample(run))), [])
    questions: dict[str, list[Question]] = {}
    for question in first.questions:
        questions.setdefault(question.img_id, []).append(question)
    phrases: dict[str, list[Phrase]] = {}
    for run in runs:
        if run.phrases:
            for phrase in run.phrases:
                phrases.setdefault(phrase.img_id, []).append(phrase)
            break
    classes = sorted({slug for question in first.questions for slug in question.question_class})
    examples = []
    for number, picture in enumerate(pictures):
        asked = _question(questions.get(picture.img_id, []), classes, number)
        shown = _phrase(phrases.get(picture.img_id, []), number)
        if asked is not None or shown is not None:
            examples.append(_example(runs, names, picture, asked, shown))
    return examples


def rule_of(examples: Sequence[Example]) -> str:
    """How the examples were chosen, in words for the page; of what they do not hold nothing is said."""
    told = ["Images are spread evenly over the suite."]
    if any(example.question for example in examples):
        told.append("Per image, the question walks through the question classes in alphabetical order.")
    if any(example.phrase_negative for example in examples):
        told.append("Every third phrase is about something absent, where the image has such a phrase.")
    return " ".join([*told, "Nothing is chosen by its score."])


def _sample(run: Run) -> list[Picture]:
    """Pictures of images spread evenly over a run; those that it has no picture of are left out."""
    pictures = run.pictures
    rows = [question.img_id for question in run.questions] + [phrase.img_id for phrase in run.phrases]
    ids = list(dict.fromkeys(rows)) if pictures else []
    picked = [ids[i * len(ids) // EXAMPLE_COUNT] for i in range(EXAMPLE_COUNT)] if ids else []
    return [pictures[img_id] for img_id in dict.fromkeys(picked) if img_id in pictures]


def _question(pool: Sequence[Question], classes: Sequence[str], number: int) -> Question | None:
    """The image's question whose class comes next in the walk; explained rows first."""
    if not pool:
        return None
    turned = [*classes[number % len(classes) :], *classes[: number % len(classes)]]
    return min(pool, key=lambda q: (not q.wants_explanation, turned.index(q.question_class[0]), q.index))


def _phrase(pool: Sequence[Phrase], number: int) -> Phrase | None:
    negatives = [phrase for phrase in pool if phrase.is_negative]
    positives = [phrase for phrase in pool if not phrase.is_negative]
    order = [*negatives, *positives] if number % 3 == 2 else [*positives, *negatives]
    return order[0] if order else None


def _example(
    runs: Sequence[Run],
    names: Sequence[str],
    picture: Picture,
    asked: Question | None,
    shown: Phrase | None,
) -> Example:
    reference = (shown.region,) if shown is not None and shown.region is not None else ()
    said = []
    for run, name in zip(runs, names, strict=True):
        answer = run.predictions.get(("question", asked.index)) if asked is not None else None
        region = run.predictions.get(("phrase", shown.index)) if shown is not None else None
        said.append(_said(name, asked, shown, answer, region, picture, reference))
    return Example(
        img_id=picture.img_id,
        question=asked.question if asked else "",
        reference=(asked.answer or "hidden") if asked else "",
        classes=", ".join(asked.question_class) if asked else "",
        negative=bool(asked and asked.is_negative),
        explanation=(asked.explanation or "") if asked else "",
        phrase=shown.phrase if shown else "",
        phrase_negative=bool(shown and shown.is_negative),
        reference_picture=overlay(picture.data, reference, ()),
        said=tuple(said),
    )


def _said(
    name: str,
    asked: Question | None,
    shown: Phrase | None,
    answer: Prediction | None,
    region: Prediction | None,
    picture: Picture,
    reference: tuple[Region, ...],
) -> Said:
    text = (answer.answer if answer else None) or ""
    confidence = answer.confidence if answer else None
    regions = region.regions if region else None
    return Said(
        variant=name,
        answer=text,
        confidence="" if confidence is None else f"{confidence:.2f}",
        explanation=(answer.explanation if answer else None) or "",
        picture="" if regions is None else overlay(picture.data, reference, regions),
        overlap=_overlap(shown, region),
        exact=bool(asked and asked.answer and text.strip().lower() == asked.answer.strip().lower()),
    )


def _overlap(shown: Phrase | None, prediction: Prediction | None) -> str:
    """The IoU in words, or whether a false alarm was raised; what was written where it is no region."""
    if shown is None or prediction is None or prediction.regions is None:
        return ""
    regions, state = prediction.regions, region_state(prediction)
    if state not in ("stated", "denied"):
        reply = prediction.ground_reply
        wrote = f": {reply.text[:80]}" if reply is not None and reply.text else ""
        return f"nothing shown, reply {state}{wrote}"
    if shown.is_negative:
        return "false alarm" if state == "stated" else "rightly nothing shown"
    if shown.region is None:
        return "no reference mask"
    reference = shown.region
    predicted = united(regions, reference.height, reference.width)
    return f"IoU {iou(*overlap(predicted, reference.mask())):.2f}"
