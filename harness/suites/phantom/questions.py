"""Wordings of the phantom suite's questions: openings, predicates and nouns, alone or as clauses of a merged one."""

from __future__ import annotations

from collections.abc import Sequence

from gi_bench.harness.suites.phantom.scene import Draw
from gi_bench.harness.suites.phantom.templates import capital, say

_IN = "[in the image|| in this image| in the frame| within the image| in the endoscopic view]"
_SEEN = "[visible|present|seen|observed|identified]"
_ABNORMALITY = "[abnormality|abnormal finding|abnormal area|lesion]"
_LANDMARK = "[anatomical landmark|landmark]"
_INSTRUMENT = "[instrument|device|surgical instrument]"
_REGION = "[region|area|part]"


def _located(noun: str) -> tuple[str, ...]:
    return (
        f"where is the {noun} [located|seen||found] {_IN}",
        f"in which {_REGION} of the image is the {noun} [located|seen|visible]",
        f"which {_REGION} of the image shows the {noun}",
        f"where {_IN} [does the {noun} lie|can the {noun} be seen]",
    )


def _coloured(noun: str) -> tuple[str, ...]:
    return (
        f"what color is the {noun} {_IN}",
        f"[what is|which is] the color of the {noun}",
        f"which colors does the {noun} [show|have|display] {_IN}",
    )


def _counted(noun: str) -> tuple[str, ...]:
    return (
        f"how many {noun}s are {_SEEN} {_IN}",
        f"what is the number of [visible|] {noun}s {_IN}",
        f"how many [distinct|separate] {noun}s can be [seen|identified|counted]",
    )


def _listed(noun: str, plural: str) -> tuple[str, ...]:
    return (
        f"are there any {plural} {_SEEN} {_IN}",
        f"which {plural} are {_SEEN} {_IN}",
        f"is there [any|evidence of any] {noun} {_IN}",
        f"what {plural} can be [seen|identified]",
    )


# Clauses, without capital and question mark.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "abnormality_color": _coloured(_ABNORMALITY),
    "abnormality_location": _located(_ABNORMALITY),
    "abnormality_presence": _listed("abnormality", "[abnormalities|abnormal findings|abnormal changes]"),
    "box_artifact_presence": (
        f"is there [a|any] green or black box [artifact|overlay|] {_SEEN} {_IN}",
        f"are there any green or black box artifacts {_IN}",
        "does a [green or black|] box [artifact|] cover part of the image",
    ),
    "finding_count": _counted("[finding|abnormal finding|lesion]"),
    "finding_presence": (
        "does the image [contain|show] any [finding|abnormal finding]",
        f"is there [any finding|anything abnormal] {_IN}",
        "are there any [relevant|significant|] findings to report",
    ),
    "instrument_count": _counted(_INSTRUMENT),
    "instrument_location": _located(_INSTRUMENT),
    "instrument_presence": _listed("instrument", "[instruments|surgical instruments|devices]"),
    "landmark_color": _coloured(_LANDMARK),
    "landmark_location": _located(_LANDMARK),
    "landmark_presence": _listed("anatomical landmark", "[anatomical landmarks|landmarks]"),
    "polyp_count": (*_counted("polyp"), f"are there any polyps {_SEEN} {_IN}"),
    "polyp_removal_status": (
        "have all polyps been [removed|completely removed|resected]",
        "is the removal of [the|all] polyps complete",
        "are there any [remaining|residual] polyps [to be removed|left to remove]",
        "were all [visible|] polyps removed",
    ),
    "polyp_size": (
        f"what is the [size|approximate size|estimated size] of the polyp {_IN}",
        f"how [large|big] is the [polyp|visible polyp] {_IN}",
        "what size does the polyp have",
    ),
    "polyp_type": (
        f"what type of polyp is {_SEEN} {_IN}",
        f"which [Paris class|type|Paris type] does the polyp {_IN} [have|show|belong to]",
        "how is the polyp classified",
    ),
    "procedure_type": (
        "[what|which] [procedure|type of procedure|examination] is [depicted|shown|represented] in [the|this] image",
        "from which [procedure|type of procedure|examination] was [this|the] image [obtained|taken]",
        "[what|which] [procedure|examination] [produced|was performed to obtain] this image",
    ),
    "text_presence": (
        f"is there any [text|burnt-in text|written text] {_SEEN} {_IN}",
        f"is there [text|burnt-in text] {_IN}",
        "does the image [show|contain] [any|burnt-in|] text",
    ),
}
_JOINED = {2: ("{0} and {1}", "{0}, and {1}"), 3: ("{0}, {1}, and {2}", "{0}, {1} and {2}")}


def question_text(slugs: Sequence[str], draw: Draw) -> str:
    """One wording of a question about one to three classes; it tells nothing of the answer."""
    clauses = [say(draw, QUESTIONS[slug]) for slug in slugs]
    text = clauses[0] if len(clauses) == 1 else draw.pick(_JOINED[len(clauses)]).format(*clauses)
    return capital(text) + "?"


TEXTS = (*(text for templates in QUESTIONS.values() for text in templates), "and")
