"""Wordings of the phantom suite's answers.

Answers are noun phrases, so that two or three of them join into the answer of a merged question, the way the real
dataset merges atomic questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.scene import Draw
from gi_bench.harness.suites.phantom.templates import NUMBERS, capital, joint, listed, say

SIZES = {"<5mm": "less than 5 mm", "5-10mm": "5 to 10 mm", "11-20mm": "11 to 20 mm", ">20mm": "more than 20 mm"}
TYPES = {"paris ip": "Ip", "paris is": "Is", "paris iia": "IIa"}
_SHAPES = {"paris ip": "pedunculated", "paris is": "sessile", "paris iia": "flat"}

_SEEN = "[identified|observed|detected|visible|noted|present|seen]"
_IN = "[in the image||in the frame|in this view]"
_WHERE = "[area|region|part] [|of the image|of the frame|]"


def _counted(noun: str) -> tuple[str, ...]:
    return (
        f"{{number}} [|distinct|separate|] {noun} {_SEEN} {_IN}",
        f"{{number}} {noun} {_IN}",
        f"[presence|evidence] of {{number}} {noun}",
    )


def _denied(noun: str, plural: str) -> tuple[str, ...]:
    return (
        f"no {plural} [identified|observed|detected|visible] {_IN}",
        f"no [evidence of|visible|sign of] [{plural}|{noun}]",
        f"no {noun} {_SEEN} {_IN}",
    )


def _placed(noun: str) -> tuple[str, ...]:
    return (
        f"{noun} [located|situated|seen|visible|positioned] in the {{value}} {_WHERE}",
        f"{noun} in the {{value}} {_WHERE}",
        f"{noun} [lying|found|noted] in the {{value}} {_WHERE}",
    )


def _coloured(noun: str) -> tuple[str, ...]:
    return (
        f"{{value}} {noun} {_SEEN} {_IN}",
        f"{noun} [with|showing|of|displaying] {{value}} [color|coloration|hue] {_IN}",
        f"[visible|] {noun} of {{value}} [color|tone]",
    )


def _named(lead: str) -> tuple[str, ...]:
    return (
        f"[evidence|presence|{lead}] of {{value}} {_IN}",
        f"{{value}} {_SEEN} {_IN}",
        "[visible|] {value} in [the image|view]",
    )


_LESION = "[abnormality|abnormal tissue|lesion]"
_POLYP_ABSENT = _denied("polyp", "polyps")
PRESENT: dict[str, tuple[str, ...]] = {
    "abnormality_color": _coloured(_LESION),
    "abnormality_location": _placed(_LESION),
    "abnormality_presence": _named("signs"),
    "box_artifact_presence": (
        f"[a|one] box artifact {_SEEN} {_IN}",
        f"[presence|evidence] of a box artifact {_IN}",
        f"[a|one] box {_SEEN} {_IN}",
    ),
    "finding_count": _counted("[finding|abnormal finding]{s}"),
    "instrument_count": _counted("[instrument|surgical instrument]{s}"),
    "instrument_location": _placed("[instrument|device]"),
    "instrument_presence": _named("view"),
    "landmark_color": _coloured("landmark"),
    "landmark_location": _placed("[anatomical landmark|landmark]"),
    "landmark_presence": _named("view"),
    "polyp_count": _counted("polyp{s}"),
    "polyp_removal_status": (
        "[polyp|visible polyp] not [removed|yet removed|resected]",
        f"[residual polyp|residual polyp tissue] {_SEEN} {_IN}",
        f"polyp [still|] remaining {_IN}",
    ),
    "polyp_size": (
        f"polyp [measuring|of|with a size of] [|about|approximately] {{value}} {_IN}",
        "[size|estimated size] of the polyp is {value}",
    ),
    "polyp_type": (
        "[|evidence of|visible] {shape} polyp [of Paris type|of type Paris] {value}",
        f"[{{shape}}|evidence of|] Paris {{value}} polyp {_SEEN} {_IN}",
    ),
    "procedure_type": (
        "[evidence of|image from|view from|frame of] {value}",
        "{value} [|performed|depicted|shown]",
    ),
    "text_presence": (
        f"text {_SEEN} {_IN}",
        f"[presence|evidence] of [text|written text] {_IN}",
        f"[visible|burnt-in] text {_IN}",
    ),
}
ABSENT: dict[str, tuple[str, ...]] = {
    "abnormality_color": ("no abnormality to describe", "no abnormality [identified|observed|detected]"),
    "abnormality_location": ("no abnormality to locate", *_denied("abnormality", "abnormalities")),
    "abnormality_presence": _denied("[abnormality|abnormal finding]", "[abnormalities|abnormal findings]"),
    "box_artifact_presence": _denied("[box artifact|box]", "[box artifacts|boxes]"),
    "finding_count": _denied("[finding|abnormal finding]", "[findings|abnormal findings]"),
    "finding_presence": _denied("[finding|abnormal finding]", "[findings|abnormal findings|significant findings]"),
    "instrument_count": _denied("[instrument|surgical instrument]", "[instruments|surgical instruments]"),
    "instrument_location": ("no instrument to locate", *_denied("instrument", "instruments")),
    "instrument_presence": _denied("[instrument|device]", "[instruments|devices|surgical instruments]"),
    "landmark_color": ("no landmark to describe",),
    "landmark_location": ("no [anatomical|] landmark to locate", *_denied("landmark", "anatomical landmarks")),
    "landmark_presence": _denied("[anatomical landmark|landmark]", "[anatomical landmarks|landmarks]"),
    "polyp_count": _POLYP_ABSENT,
    "polyp_removal_status": (
        "no polyp to [remove|resect]",
        "polyp removal not [relevant|applicable]",
        "no polyps [remaining|to be removed]",
    ),
    "polyp_size": ("no polyp to measure", *_POLYP_ABSENT),
    "polyp_type": ("no polyp to classify", *_POLYP_ABSENT),
    "text_presence": _denied("[text|written text]", "[text|visible text]"),
}
_PROCEDURES = {
    "colonoscopy": ("[colonoscopy|colonoscopic examination]",),
    "gastroscopy": ("[gastroscopy|gastroscopic examination]",),
}
# How one clause follows another; what is there must not be read as one more thing that is not.
_AND = "[ and | and |, and |; |, with ]"
_COMMA = "[, |, |; |, with ]"
_BUT = "[; |. ]"


def atomic_text(slug: str, atomic: str, draw: Draw) -> str:
    """One wording of an atomic answer as a noun phrase."""
    if slug == "finding_presence" or (atomic in ABSENT_ANSWERS and (slug, atomic) != ("polyp_removal_status", "no")):
        return say(draw, ABSENT[slug])
    if slug.endswith("_count"):
        number = int(atomic)
        return say(draw, PRESENT[slug], number=NUMBERS[number], s="" if number == 1 else "s")
    if slug == "polyp_size":
        return say(draw, PRESENT[slug], value=SIZES[atomic])
    if slug == "polyp_type":
        return say(draw, PRESENT[slug], value=TYPES[atomic], shape=_SHAPES[atomic])
    if slug == "procedure_type":
        return say(draw, PRESENT[slug], value=say(draw, _PROCEDURES[atomic]))
    return say(draw, PRESENT[slug], value=listed(atomic.split("; ")))


def answer_text(slugs: Sequence[str], facts: Facts, draw: Draw) -> str:
    """One wording of the answer to a question about one to three classes."""
    clauses = [atomic_text(slug, facts.atomic(slug), draw) for slug in slugs]
    if len(clauses) == 1:
        return clauses[0]
    text = clauses[0]
    for i in range(1, len(clauses)):
        turns = facts.is_absent(slugs[i - 1]) and not facts.is_absent(slugs[i])
        between = joint(draw, _BUT if turns else _AND if i == len(clauses) - 1 else _COMMA)
        text += between + (capital(clauses[i]) if between == ". " else clauses[i])
    return capital(text)


TEXTS = (
    *(text for table in (PRESENT, ABSENT, _PROCEDURES) for templates in table.values() for text in templates),
    *SIZES.values(),
    *TYPES.values(),
    *_SHAPES.values(),
    *NUMBERS,
    "and with",
    "findings",
    "instruments",
    "polyps",
)
