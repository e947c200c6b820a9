"""The words of the phantom suite: questions, answers, referring phrases and explanations.

Every sentence is a template of ours. Answers are noun phrases, so that two or three of them join into the
answer of a merged question, the way the real dataset merges atomic questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.scene import Draw
from gi_bench.harness.taxonomy import QUESTION_CLASSES

# Wording of a question of its own, and the same as a clause of a merged question (last entry).
_QUESTIONS: dict[str, tuple[str, str, str]] = {
    "abnormality_color": (
        "What color is the abnormality?",
        "Which colors does the abnormal tissue show?",
        "what color is the abnormality",
    ),
    "abnormality_location": (
        "Where in the image is the abnormality?",
        "In which area does the abnormality lie?",
        "where is the abnormality",
    ),
    "abnormality_presence": (
        "Which abnormalities are visible in the image?",
        "Are there any abnormalities in the image?",
        "which abnormalities are visible",
    ),
    "box_artifact_presence": (
        "Is a green or black box artifact visible?",
        "Does a box artifact cover part of the image?",
        "is a box artifact visible",
    ),
    "finding_count": (
        "How many abnormal findings are present?",
        "What is the number of findings in the image?",
        "how many findings are present",
    ),
    "finding_presence": (
        "Does the image contain any finding?",
        "Is there anything abnormal to report?",
        "is there any finding",
    ),
    "instrument_count": (
        "How many instruments are in the image?",
        "What is the number of visible instruments?",
        "how many instruments are visible",
    ),
    "instrument_location": (
        "Where in the image is the instrument?",
        "In which area can the instrument be seen?",
        "where is the instrument",
    ),
    "instrument_presence": (
        "Which instruments are visible in the image?",
        "Are there any instruments in the image?",
        "which instruments are visible",
    ),
    "landmark_color": (
        "What color is the anatomical landmark?",
        "Which colors does the landmark show?",
        "what color is the landmark",
    ),
    "landmark_location": (
        "Where in the image is the anatomical landmark?",
        "In which area does the landmark lie?",
        "where is the anatomical landmark",
    ),
    "landmark_presence": (
        "Which anatomical landmarks are visible?",
        "Are there any anatomical landmarks in the image?",
        "which anatomical landmarks are visible",
    ),
    "polyp_count": (
        "How many polyps are in the image?",
        "What is the number of visible polyps?",
        "how many polyps are visible",
    ),
    "polyp_removal_status": (
        "Have all polyps been removed?",
        "Is the removal of the polyps complete?",
        "have all polyps been removed",
    ),
    "polyp_size": (
        "What is the size of the polyp?",
        "How large is the polyp?",
        "how large is the polyp",
    ),
    "polyp_type": (
        "What type of polyp is present?",
        "Which Paris class does the polyp have?",
        "what type of polyp is present",
    ),
    "procedure_type": (
        "What type of procedure is the image taken from?",
        "Which examination produced this image?",
        "which procedure is shown",
    ),
    "text_presence": (
        "Is there any text in the image?",
        "Does the image show burnt-in text?",
        "is there any text",
    ),
}

_NUMBERS = ("no", "one", "two", "three", "four", "five")
_TYPES = {
    "paris ip": "stalked polyp of Paris type Ip",
    "paris is": "sessile polyp of Paris type Is",
    "paris iia": "flat polyp of Paris type IIa",
}
_SIZES = {
    "<5mm": "less than 5 mm",
    "5-10mm": "5 to 10 mm",
    "11-20mm": "11 to 20 mm",
    ">20mm": "more than 20 mm",
}


def _listed(items: Sequence[str]) -> str:
    """``a``, ``a and b`` or ``a, b and c``."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _absent(slug: str, what: str) -> tuple[str, str]:
    purpose = {"location": "to locate", "color": "to describe", "size": "to measure", "type": "to classify"}
    aim = purpose.get(slug.rsplit("_", 1)[1])
    return (f"no {what} {aim}", f"no {what} present") if aim else (f"no {what} identified", f"no visible {what}")


# A few hundred pairs of class and answer make up all the rows.
@lru_cache(maxsize=4096)
def answer_phrases(slug: str, atomic: str) -> tuple[str, str]:
    """Two wordings of an atomic answer as noun phrases."""
    question_class = QUESTION_CLASSES[slug]
    what = question_class.finding or "procedure"
    topic = slug.rsplit("_", 1)[1]
    if slug == "procedure_type":
        return f"{atomic} image", f"image from a {atomic}"
    if slug == "polyp_removal_status":
        if atomic == "not relevant":
            return "no polyp to remove", "polyp removal not relevant"
        return "polyp not removed", "polyp tissue still present"
    if slug == "finding_presence":
        return ("no finding present", "no significant finding")
    if slug in {"box_artifact_presence", "text_presence"}:
        name = "text" if what == "text" else "box artifact"
        return (
            (f"{name} visible", f"{name} present") if atomic == "yes" else (f"no {name} visible", f"no {name} present")
        )
    if topic == "count":
        noun = "finding" if slug == "finding_count" else what
        number = _NUMBERS[int(atomic)]
        plural = "" if atomic == "1" else "s"
        return f"{number} {noun}{plural} visible", f"{number} {noun}{plural} in the image"
    if atomic in ABSENT_ANSWERS:
        return _absent(slug, what)
    values = atomic.split("; ")
    if topic == "location":
        return f"{what} in the {_listed(values)} area", f"{what} located {_listed(values)}"
    if topic == "color":
        return f"{_listed(values)} {what}", f"{what} of {_listed(values)} color"
    if topic == "size":
        return f"polyp of {_SIZES[atomic]}", f"polyp measuring {_SIZES[atomic]}"
    if topic == "type":
        return _TYPES[atomic], f"P{atomic[1:6]}{atomic[6:].replace('i', 'I')} polyp"
    return f"{_listed(values)} identified", f"presence of {_listed(values)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def question_text(slugs: Sequence[str], draw: Draw) -> str:
    """One wording of a question about one to three classes."""
    if len(slugs) == 1:
        return draw.pick(_QUESTIONS[slugs[0]][:2])
    clauses = [_QUESTIONS[slug][2] for slug in slugs]
    return _capital(", ".join(clauses[:-1]) + ", and " + clauses[-1] + "?")


def answer_text(slugs: Sequence[str], facts: Facts, draw: Draw) -> str:
    """One wording of the answer to a question about one to three classes."""
    chosen = [draw.pick(answer_phrases(slug, facts.atomic(slug))) for slug in slugs]
    if len(chosen) == 1:
        return chosen[0]
    return _capital(", ".join(chosen[:-1]) + ", and " + chosen[-1])


_POLYP_SHAPES = {"paris ip": "stalked", "paris is": "dome-shaped", "paris iia": "flat, irregular"}
_TOOLS = {
    "biopsy forceps": "a metallic shaft with two open jaws",
    "polyp snare": "a thin wire loop on a shaft",
    "tube": "a dark banded tube",
}


def _seen(finding: str, facts: Facts) -> str:
    """What the image shows of a finding that is there, as a clause."""
    scene = facts.scene

    def place(label: str) -> str:
        return "the " + _listed(facts.cells.get(label, ("center",))) + " area"

    if finding == "polyp" or (finding == "abnormality" and scene.polyps):
        polyp = scene.polyps[0]
        many = len(scene.polyps)
        shape = f"{polyp.color}, {_POLYP_SHAPES[polyp.paris]}"
        if many == 1:
            return f"a {shape} elevation of {_SIZES[polyp.size]} stands out in {place('polyp')}"
        return f"{_NUMBERS[many]} {shape} elevations of {_SIZES[polyp.size]} stand out in {place('polyp')}"
    if finding == "abnormality":
        look = {
            "ulcerative colitis": "red granular mucosa with yellow-white ulcers covers",
            "oesophagitis": "red streaks with pale borders run through",
        }[scene.abnormality]
        return f"{look} {place(scene.abnormality)}"
    if finding == "instrument":
        return f"{_listed([_TOOLS[kind] for kind in facts.instruments])} reaches into {place('instrument')}"
    if finding == "landmark":
        assert scene.landmark is not None
        look = {
            "z-line": "a pale jagged ring borders salmon-red mucosa in",
            "cecum": "three folds meet at a crescent-shaped opening in",
        }[scene.landmark.kind]
        return f"{look} {place(scene.landmark.kind)}"
    if finding == "text":
        return f"white characters stand in the upper-{'right' if scene.text_right else 'left'} corner"
    return f"a {scene.box} box covers the lower-left corner"


_UNSEEN = {
    "polyp": "the mucosa is even and no raised lesion interrupts it",
    "abnormality": "the mucosa is even in color and surface",
    "instrument": "nothing enters the field from its edge",
    "landmark": "the mucosa shows no border ring and no orifice with folds",
    "text": "the dark corners hold no characters",
    "box artifact": "the lower-left corner is free",
}


def explanation(slug: str, answer: str, facts: Facts) -> str:
    """A reference explanation: what is seen, and that it supports the answer."""
    finding = QUESTION_CLASSES[slug].finding
    if finding is None:
        seen = {
            "colonoscopy": "ring-shaped folds with fine vessels surround the lumen",
            "gastroscopy": "smooth orange-red mucosa without ring-shaped folds surrounds the lumen",
        }[facts.scene.procedure]
    elif (facts.atomic(slug) in ABSENT_ANSWERS and slug != "polyp_removal_status") or (
        finding == "polyp" and not facts.scene.polyps
    ):
        seen = _UNSEEN[finding]
    else:
        seen = _seen(finding, facts)
    return f"{_capital(seen)}. This supports the answer: {answer}."


def referring_phrases(label: str, facts: Facts) -> tuple[str, str]:
    """A short and a descriptive phrase for what is there."""
    scene = facts.scene
    place = _listed(facts.cells[label])
    if label == "polyp":
        polyp = scene.polyps[0]
        if len(scene.polyps) > 1:
            return "polyps", f"{_NUMBERS[len(scene.polyps)]} {polyp.color} polyps"
        return "polyp", f"{polyp.color} polyp in the {place} area"
    if label == "instrument":
        return _listed(facts.instruments), f"instrument in the {place} area"
    return label, f"{label} in the {place} area"


ABSENT_PHRASES = {
    "polyp": ("polyp", "sessile polyp"),
    "ulcerative colitis": ("ulcerative colitis", "ulcerated mucosa"),
    "oesophagitis": ("oesophagitis", "inflamed oesophagus"),
    "z-line": ("z-line", "jagged z-line"),
    "cecum": ("cecum", "cecal orifice"),
    "instrument": ("instrument", "biopsy forceps"),
}
