"""Reference explanations of the phantom suite: what is seen that answers the question, and what is ruled out.

An explanation states the fact that was asked for in words that a reader can check, and nothing that another fact of the
scene denies. A thing that has a colour or a place is named in the same sentence; what is no finding is placed by the
clock, as endoscopists do, so that its place is not taken for a finding's.
"""

from __future__ import annotations

import math

from gi_bench.harness.suites.phantom.answers import SIZES, TYPES
from gi_bench.harness.suites.phantom.facts import Facts
from gi_bench.harness.suites.phantom.scene import Draw, Scene
from gi_bench.harness.suites.phantom.templates import NUMBERS, an, capital, listed, say
from gi_bench.harness.taxonomy import QUESTION_CLASSES

_PLACE = "the {place} [area|region|part]"
_SURFACE = {
    "paris ip": "[smooth|lobed|glossy]",
    "paris is": "[smooth|rounded|glossy]",
    "paris iia": "[uneven|fine-grained|rough]",
}
_SHAPES = {"paris ip": "stalked", "paris is": "dome-shaped", "paris iia": "flat"}
_TYPED = {
    "paris ip": "[the head sits on a narrow stalk|a stalk carries the head]",
    "paris is": "[it rises on a broad base|the base is as broad as the head]",
    "paris iia": "[it hardly rises above its surroundings|it is barely higher than the mucosa around it]",
}
_LARGE = {"<5mm": "[tiny|small]", "5-10mm": "small", "11-20mm": "[medium-sized|broad]", ">20mm": "[large|bulky]"}
_RISES = "[stands out|rises|is seen|bulges|lies]"
_RISE = "[stand out|rise|are seen|bulge|lie]"
POLYPS: dict[str, tuple[str, ...]] = {
    "place": (f"{{polyp}} {{rises}} in {_PLACE}", f"in {_PLACE} {{polyp}} {{rises}}"),
    "size": ("[compared with the width of the view|beside the lumen|by its outline] {polyp} [measures|spans] {size}",),
    "type": ("{polyp} {rises}: {typed}, as in Paris {type}",),
}
_STILL = (
    "{polyp} {be} [still attached|still in place|still there], nothing has been removed",
    "{polyp} {rises} in the view and {be} not [removed|resected]",
)
INFLAMED: dict[str, tuple[str, ...]] = {
    "ulcerative colitis": (
        f"[ulcerative colitis|the lesion] [covers|takes up|spreads over] {_PLACE}: [red and white|white on red], "
        "[granular|rough|bleeding] and with [frayed borders|vessels that fade]",
        f"in {_PLACE} [ulcerative colitis shows|the lesion shows] [red granular mucosa with white ulcers|"
        "white ulcers on rough red mucosa]",
    ),
    "oesophagitis": (
        f"[oesophagitis|the lesion] [runs through|covers|marks] {_PLACE} with [red|bright red] [streaks|stripes] and "
        "[pale|frayed|sharp] borders",
        f"in {_PLACE} [oesophagitis shows|the lesion shows] [red|patchy red] [streaks|stripes|breaks of the mucosa]",
    ),
}
TOOLS: dict[str, str] = {
    "biopsy forceps": "biopsy forceps with [open jaws|opened jaws]",
    "metal clip": "a metal clip with [short prongs|shiny prongs]",
    "polyp snare": "a polyp snare with [a thin wire loop|a loop of wire]",
    "tube": "a [dark|banded|thick dark] tube",
}
LANDMARKS: dict[str, tuple[str, ...]] = {
    "z-line": ("[the z-line is|as the z-line] [a jagged ring|an irregular border] between red and pink mucosa",),
    "pylorus": ("[the pylorus is|as the pylorus] [a round dark opening|an opening] in a [smooth|even] pink ring",),
    "cecum": ("[the cecum shows|as the cecum] a [crescent-shaped|curved] opening [between|with] pink folds",),
    "ileum": ("[the ileum shows|as the ileum] [velvety|villous] pink and yellow mucosa",),
}
UNSEEN: dict[str, tuple[str, ...]] = {
    "polyp": (
        "no polyp [rises above|stands out from|interrupts] the [mucosa|surface]",
        "the surface is [searched|followed] to its rim, and no polyp [rises|stands out]",
    ),
    "abnormality": (
        "no abnormality [interrupts|stands out from|breaks] the [even|smooth|regular] mucosa",
        "the mucosa is [even|smooth] [in tone and surface|throughout the folds], and no abnormality [shows|is seen]",
    ),
    "instrument": (
        "no instrument [enters|reaches into|crosses] the view [|from its rim|from any side]",
        "the rim is [free|clear all around], no instrument [shaft|tip] is [seen|there]",
    ),
    "landmark": (
        "no landmark is [seen|made out]: [there is|the view has] neither [a border ring|a jagged border] nor [an "
        "orifice|an opening with folds]",
        "the folds lead to no [opening|border ring], so no landmark is [seen|made out]",
    ),
    "text": (
        "the dark corners hold no [characters|letters]",
        "no [characters|letters] [stand|are written] [beside|around] the round view",
    ),
    "box artifact": (
        "no box [covers|hides] [a corner|the corner below]",
        "the corner below is [free|open to view], no box [lies over|covers] it",
    ),
}
WRITTEN = (
    "[pale|bright|sharp] characters [stand|are written] in the {place} corner",
    "in the {place} corner [letters|characters] [stand out from|are set on] the dark rim",
)
BOXED = (
    "{box} box [covers|hides] the lower-left corner",
    "the lower-left corner [is hidden by|lies under] {box} box",
)
PROCEDURES: dict[str, tuple[str, ...]] = {
    "colonoscopy": (
        "[ring-shaped|regular|curved] folds [with fine vessels|] circle the lumen, as [seen in|usual for] colonoscopy",
        "the [hollow|folded] [wall|passage] with its [rings|ring-shaped folds] [belongs to|fits] a colonoscopy",
    ),
    "gastroscopy": (
        "[smooth|even|glossy] mucosa without ring-shaped folds surrounds the lumen, as [seen in|usual for] gastroscopy",
        "the [smooth|glossy] wall without [rings|ring-shaped folds] [belongs to|fits] a gastroscopy",
    ),
}
_AT = "[at about|at|near] {hour} o'clock"
RULED_OUT: dict[str, tuple[str, ...]] = {
    "bubbles": (f"the [bright|shiny] rounds {_AT} are [bubbles|foam bubbles]",),
    "fold": (f"the [long|curved] ridge {_AT} is [a fold|a fold of the wall]",),
    "glare": (f"the [bright|shiny] spot {_AT} is [glare of the lamp|glare]",),
    "stool": (f"the [dark|dull] matter {_AT} is [stool|a rest of stool]",),
    "vessels": (f"the [fine|branching] lines {_AT} are [vessels|plain vessels]",),
}
_QUALITY = {
    "dim": "[the view is dim|the lamp is weak]",
    "bright": "[the view is well lit|the lamp is strong]",
    "blurred": "[the view is blurred|the outlines are soft]",
    "faint": "[contrast is low|tones differ little]",
    "sharp": "[the view is sharp|the outlines are crisp]",
}
_LUMEN = (f"the lumen opens {_AT}", f"the dark lumen lies {_AT}")


def _clock(x: float, y: float) -> str:
    """The hour at which a place lies, seen from the picture's centre."""
    hour = round(math.atan2(x - 0.5, 0.5 - y) / (math.pi / 6)) % 12
    return str(hour or 12)


def _polyp(slug: str, facts: Facts, draw: Draw) -> str:
    """What shows of the polyps; the attribute that was asked for is always named."""
    scene = facts.seen
    polyp, count = scene.polyps[0], len(scene.polyps)
    looks = [
        (_LARGE[polyp.size], draw.chance(0.5)),
        (_SURFACE[polyp.paris], draw.chance(0.5)),
        (polyp.color, slug == "abnormality_color" or draw.chance(0.6)),
        (_SHAPES[polyp.paris], slug == "polyp_type" or draw.chance(0.6)),
    ]
    noun = "lesion" if slug == "finding_count" or (slug.startswith("abnormality_c") and draw.chance(0.5)) else "polyp"
    named = say(draw, (" ".join([text for text, wanted in looks if wanted] + [noun + "s" * (count > 1)]),))
    if slug.endswith("_count") or count > 1:
        named = f"{'a single' if count == 1 and draw.chance(0.5) else NUMBERS[count]} {named}"
    else:
        named = an(named)
    slots = {
        "polyp": named,
        "rises": say(draw, (_RISES if count == 1 else _RISE,)),
        "be": "is" if count == 1 else "are",
        "place": listed(facts.cells["polyp"]),
        "size": SIZES[polyp.size],
        "type": TYPES[polyp.paris],
        "typed": say(draw, (_TYPED[polyp.paris],)),
    }
    if slug == "polyp_removal_status":
        return say(draw, _STILL, **slots)
    return say(draw, POLYPS[slug[6:] if slug in ("polyp_size", "polyp_type") else "place"], **slots)


def _inflamed(slug: str, facts: Facts, draw: Draw) -> str:
    kind = facts.seen.abnormality
    text = say(draw, INFLAMED[kind], place=listed(facts.cells[kind]))
    if slug == "finding_count":
        return text + ", " + say(draw, ("[one lesion in all|a single lesion|one lesion and nothing beside it]",))
    if slug == "abnormality_presence" and kind not in text:
        return say(draw, ("{text}, [typical of|as in] {kind}",), text=text, kind=kind)
    return text


def _tools(slug: str, facts: Facts, draw: Draw) -> str:
    kinds = [say(draw, (TOOLS[kind],)) for kind in facts.instruments]
    place, plural = listed(facts.cells["instrument"]), len(kinds) > 1
    if plural:
        kinds = [kind.removeprefix("a ") for kind in kinds]
    if slug == "instrument_count":
        number = NUMBERS[len(kinds)]
        return say(
            draw,
            ("{number} instrument{s} {be} [seen|made out] in {place}", "{place} hold{verb} {number} instrument{s}"),
            number=number,
            s="s" * plural,
            be="are" if plural else "is",
            verb="s",
            place=say(draw, (_PLACE,), place=place),
        )
    return say(
        draw,
        ("{tools} [{verb} into|{seen} in] " + _PLACE, "in " + _PLACE + " [the view shows|there {be}] {tools}"),
        tools=listed(kinds),
        verb="reach" if plural else "reaches",
        seen="lie" if plural else "lies",
        be="are" if plural else "is",
        place=place,
    )


def _landmark(facts: Facts, draw: Draw) -> str:
    assert facts.seen.landmark is not None
    kind = facts.seen.landmark.kind
    text = say(draw, LANDMARKS[kind])
    place = say(draw, (_PLACE,), place=listed(facts.cells[kind]))
    if text.startswith("as "):
        return f"in {place} the view shows {text.partition(kind)[2].strip()}, which is the {kind}"
    return f"{text} in {place}"


def _seen(slug: str, finding: str, facts: Facts, draw: Draw) -> str:
    """What the image shows of a finding that is there, as a clause."""
    scene = facts.seen
    if finding == "polyp" or (finding == "abnormality" and scene.polyps):
        return _polyp(slug, facts, draw)
    if finding == "abnormality":
        return _inflamed(slug, facts, draw)
    if finding == "instrument":
        return _tools(slug, facts, draw)
    if finding == "landmark":
        return _landmark(facts, draw)
    if finding == "text":
        return say(draw, WRITTEN, place="upper-right" if scene.text_right else "upper-left")
    return say(draw, BOXED, box=an(scene.box or "black"))


def _setting(scene: Scene, draw: Draw) -> str:
    """How well the picture shows it, or where the lumen is."""
    known = [name for name, holds in (("dim", scene.light < 0.82), ("bright", scene.light > 1.0),
                                      ("blurred", scene.blur > 2), ("faint", scene.contrast < 0.5),
                                      ("sharp", scene.blur == 0 and scene.contrast > 0.8)) if holds]  # fmt: skip
    if known and draw.chance(0.5):
        return say(draw, (_QUALITY[draw.pick(known)],))
    return say(draw, _LUMEN, hour=_clock(scene.lumen[0], scene.lumen[1]))


def explanation(slug: str, facts: Facts, draw: Draw) -> str:
    """A reference explanation: what is seen of what was asked, and one or two things around it.

    Args:
        slug: question class.
        facts: of the scene.
        draw: where the choices come from.
    """
    finding = QUESTION_CLASSES[slug].finding
    scene = facts.seen
    if finding is None:
        said = say(draw, PROCEDURES[scene.procedure])
    elif facts.is_absent(slug):
        said = say(draw, UNSEEN[finding])
    else:
        said = _seen(slug, finding, facts, draw)
    beside = [
        say(draw, RULED_OUT[one.kind], hour=_clock(one.x, one.y))
        for one in draw.sample(scene.distractors, 1 if draw.chance(0.7) else 2)
    ]
    if not beside or draw.chance(0.4):
        beside.append(_setting(scene, draw))
    return ". ".join(capital(text) for text in (said, *beside)) + "."


_TABLES = (POLYPS, INFLAMED, LANDMARKS, UNSEEN, PROCEDURES, RULED_OUT)
TEXTS = (
    *(text for table in _TABLES for templates in table.values() for text in templates),
    *(text for table in (_SURFACE, _SHAPES, _TYPED, _LARGE, TOOLS, _QUALITY) for text in table.values()),
    *(
        _RISES,
        _RISE,
        "a an single one all which nothing view shows the typical of as in holds",
        "reach reaches lie lies are is lesion lesions",
    ),
    *(*WRITTEN, *BOXED, *_LUMEN, *_STILL, *map(str, range(1, 13))),
)
