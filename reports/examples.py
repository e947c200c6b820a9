"""Examples for the page: pictures with what was asked, what was right and what each run said.

They are not picked by hand: the images are spread evenly over the run, and of each a question or a phrase is taken in
turn, by a fixed rule that walks through the question classes and takes every third phrase from the negatives. What is
drawn belongs to the row: with a question, the region that was shown for its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.metrics.participation import region_state
from gi_bench.harness.metrics.visuals import region_references, region_target
from gi_bench.harness.regions import iou, overlap, united
from gi_bench.harness.schema import Kind, Phrase, Picture, Prediction, Question, Region
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
    """Examples of all runs, one an image of a fixed sample: a question and a phrase in turn, where there are both."""
    first = runs[0]
    pictures = next((found for run in runs if (found := _sample(run))), [])
    questions: dict[str, list[Question]] = {}
    for question in first.questions:
        questions.setdefault(question.img_id, []).append(question)
    all_phrases = next((run.phrases for run in runs if run.phrases), [])
    phrases: dict[str, list[Phrase]] = {}
    for phrase in all_phrases:
        phrases.setdefault(phrase.img_id, []).append(phrase)
    references = region_references(all_phrases)
    classes = sorted({slug for question in first.questions for slug in question.question_class})
    examples: list[Example] = []
    taken = {Question: 0, Phrase: 0}
    for picture in pictures:
        asked = _question(questions.get(picture.img_id, []), classes, taken[Question])
        shown = _phrase(phrases.get(picture.img_id, []), taken[Phrase])
        row = shown if asked is None or (shown is not None and taken[Phrase] < taken[Question]) else asked
        if row is None:
            continue
        taken[type(row)] += 1
        if isinstance(row, Question):
            reference = tuple(region_target(row, references))
        else:
            reference = () if row.region is None else (row.region,)
        examples.append(_example(runs, names, picture, row, reference))
    return examples


def rule_of(examples: Sequence[Example]) -> str:
    """How the examples were chosen, in words for the page; of what they do not hold nothing is said."""
    told = ["Images are spread evenly over the suite."]
    if any(example.question for example in examples):
        told.append("Questions walk through the question classes in alphabetical order.")
    if any(example.phrase for example in examples) and any(example.question for example in examples):
        told.append("Every second image has a phrase in the place of a question, where it has one.")
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
    row: Question | Phrase,
    reference: tuple[Region, ...],
) -> Example:
    asked = row if isinstance(row, Question) else None
    shown = row if isinstance(row, Phrase) else None
    kind: Kind = "question" if asked is not None else "phrase"
    said = tuple(
        _said(name, row, run.predictions.get((kind, row.index)), picture, reference)
        for run, name in zip(runs, names, strict=True)
    )
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
        said=said,
    )


def _said(
    name: str,
    row: Question | Phrase,
    prediction: Prediction | None,
    picture: Picture,
    reference: tuple[Region, ...],
) -> Said:
    text = (prediction.answer if prediction else None) or ""
    # A phrase's confidence is of its region, and stands nowhere beside an answer.
    confidence = prediction.confidence if prediction and isinstance(row, Question) else None
    regions = prediction.regions if prediction else None
    wanted = row.answer if isinstance(row, Question) else None
    return Said(
        variant=name,
        answer=text,
        confidence="" if confidence is None else f"{confidence:.2f}",
        explanation=(prediction.explanation if prediction else None) or "",
        picture="" if regions is None else overlay(picture.data, reference, regions),
        overlap=_overlap(row, prediction, reference),
        exact=bool(wanted and text.strip().lower() == wanted.strip().lower()),
    )


def _overlap(row: Question | Phrase, prediction: Prediction | None, reference: tuple[Region, ...]) -> str:
    """The IoU in words, or whether a false alarm was raised; what was written where it is no region."""
    if prediction is None or prediction.regions is None:
        return ""
    of = f" for \u201c{prediction.phrase[:80]}\u201d" if isinstance(row, Question) and prediction.phrase else ""
    if isinstance(row, Phrase):
        state = region_state(prediction)
        if state not in ("stated", "denied"):
            reply = prediction.ground_reply
            wrote = f": {reply.text[:80]}" if reply is not None and reply.text else ""
            return f"nothing shown, reply {state}{wrote}"
    shown = any(region.area for region in prediction.regions)
    if row.is_negative:
        return f"false alarm{of}" if shown else f"rightly nothing shown{of}"
    if not reference:
        return f"no reference mask{of}" if shown or isinstance(row, Phrase) else f"nothing shown{of}"
    first = reference[0]
    masks = (united(regions, first.height, first.width) for regions in (prediction.regions, reference))
    return f"IoU {iou(*overlap(*masks)):.2f}{of}"
