"""The words of the domain, each list once: what names a thing, what denies, what leaves open, what says nothing new.

Every rule of :mod:`gi_bench.harness.reading` takes its words from here, so that a fact, an assertion and a question are
read with the same nouns and the same notion of negation, absence and doubt. Texts are canonical first
(:func:`gi_bench.harness.reading.canonical.canonical`): lower case, one spelling of dashes, sizes and Paris classes.
"""

from __future__ import annotations

import re
from functools import lru_cache


def holds_any(text: str, marks: tuple[str, ...]) -> bool:
    """Whether a text holds one of some texts: what takes a tenth of a search, before a pattern is searched for."""
    for mark in marks:  # noqa: SIM110  any() takes three times as long, and this is called thirty times a text
        if mark in text:
            return True
    return False


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b")


# -- What names a thing ----------------------------------------------------------------------------------------------

_POLYP = r"polyp(?!ectom)(?!s? snar)\w*|adenoma\w*"
_INSTRUMENT = (
    r"instr?u?mn?e?nt\w*|devices?|tools?|forceps|snares?|tubes?|tubing|tubular (?:instrument|device|structure|"
    r"object)s?|"
    r"(?:metal(?:lic)? |hemo|haemo)?clips?|catheter\w*|equipment|foreign (?:bod\w+|object\w*)|hardware|probes?"
)
_LANDMARK = (
    r"landmarks?|z-?\s?lines?|cecum|cecal|caecum|caecal|ileum|ileal|ileoc[ae]+cal|pylorus|pyloric|"
    r"anatomical (?:structure|feature|reference|marker|point)s?|squamo-?\s?columnar(?: junction)?|scj|"
    r"(?:ga?stro-?\s?)?o?esophago?-?\s?gastric junction|gastro-?\s?o?esophageal junction"
)
_DISEASE = (
    r"(?:ulcerative )?colitis|uc|o?esophagitis|barrett'?s?|inflam\w*|disease\w*|ulcers?|ulcerat(?:ions?|ed)|"
    r"erosions?"
)
# Nouns for whatever is not normal; a count of findings counts these.
_FINDINGS = r"abnormal(?:it\w*|ly)?|findings?|lesions?|anomal\w*|patholog\w*|issues?|irregularit\w*"
# Words that name a polyp by its class or by what is done to it; they name no polyp to count or to colour.
_OF_POLYPS = (
    r"paris(?:_\w+)?|sessile|pedunculated|polypectom\w*|remov(?:al|ed|e)|unremoved|resect\w*|unresected|excis\w*|"
    r"residual|size_\w+"
)
_TEXT = r"texts?|textual|labels?|captions?|characters?|letters?|annotations?|words?|writing|written|inscriptions?"
_BOX_NOUN = r"box\w*|green-black(?: (?:square|rectangle|area|region|overlay)s?)?|artefacts?|rectang\w*"
# Artefacts of optics and motion are not the green or black box of the recording.
_OTHER_ARTEFACT = (
    r"specular|motion|movement|compression|light(?:ing)?|reflection|glare|blur\w*|noise|optical|saturation|bubble|"
    r"interlac\w*|ringing|colou?r|jpeg|smear|halo|shadow"
)

POLYP = _words(_POLYP)
INSTRUMENT = _words(_INSTRUMENT)
LANDMARK = _words(_LANDMARK)
FINDING = _words(f"{_FINDINGS}|conditions?|{_DISEASE}")
FINDINGS = _words(_FINDINGS)
LESION = _words(f"{_FINDINGS}|conditions?|{_DISEASE}|{_POLYP}")
TEXT = _words(_TEXT)
BOX = _words(_BOX_NOUN)
OTHER_ARTEFACT = re.compile(rf"\b(?:{_OTHER_ARTEFACT})(?:[ -](?:{_OTHER_ARTEFACT}|related|like|or|and))* artefacts?\b")
KINDS = (POLYP, INSTRUMENT, LANDMARK, FINDING, TEXT, BOX)

# What makes a text say something of a finding of the taxonomy.
NAMES_FINDING: dict[str, re.Pattern[str]] = {
    "polyp": _words(f"{_POLYP}|{_OF_POLYPS}"),
    "abnormality": _words(f"{_FINDINGS}|conditions?|{_DISEASE}|{_POLYP}|erythema\\w*|redness|discolou?r\\w*|concerns?"),
    "instrument": INSTRUMENT,
    "landmark": LANDMARK,
    "text": TEXT,
    "box artifact": BOX,
}

# -- Members of the sets ---------------------------------------------------------------------------------------------

ABNORMALITIES: dict[str, str] = {
    "polyp": r"polyp(?!ectom)(?!s? (?:snar|removal|resection|status))\w*|adenoma\w*",
    "ulcerative colitis": r"(?:ulcerative )?colitis|uc",
    "oesophagitis": r"o?esophagitis|(?:inflamed|o?esophageal inflam\w+ of the) o?esophagus|o?esophageal inflammation|"
                    r"inflammation (?:of|in) the o?esophagus",
    "barretts": r"barrett'?s?",
}  # fmt: skip
INSTRUMENTS: dict[str, str] = {
    "tube": r"tubes?|tubing|tubular (?:instrument|device|structure|object)s?",
    "biopsy forceps": r"forceps",
    "polyp snare": r"snares?",
    "metal clip": r"(?:metal(?:lic)? |hemo|haemo)?clips?",
}
LANDMARKS: dict[str, str] = {
    "z-line": r"z-?\s?lines?|squamo-?\s?columnar(?: junction)?|scj",
    "cecum": r"cecum|cecal|caecum|caecal",
    "ileum": r"ileum|ileal",
    "pylorus": r"pylorus|pyloric",
}
COLOURS: dict[str, str] = {
    "pink": r"pink\w*", "red": r"red(?:dish)?|erythematous", "white": r"white|whitish", "yellow": r"yellow\w*",
    "flesh": r"flesh|flesh-tone\w*", "brown": r"brown\w*", "orange": r"orange", "green": r"green\w*",
    "black": r"black\w*", "blue": r"blu(?:e|ish)", "grey": r"gr[ea]y\w*", "purple": r"purpl\w*|violet",
    "transparent": r"transparent",
}  # fmt: skip

# -- Denial, absence, doubt ------------------------------------------------------------------------------------------

_EXISTS = (
    r"present|presence|visible|identified|identifiable|detected|detectable|observed|noted|seen|found|visuali[sz]ed|"
    r"located|appreciated|shown|evident|apparent|there|exist\w*|recogni[sz]able|discernible|encountered|reported|"
    r"displayed|depicted|contained|included"
)
EXISTS = _words(_EXISTS)
NEGATION = re.compile(
    r"\b(?:no|not|none|nowhere|without|absent|absence|negative|never|neither|nor|zero|lack(?:s|ing|ed)?|free (?:of|"
    r"from)|nil|"
    r"nope|nah|fail(?:s|ed|ing)? to|"
    r"rather than|instead of|as opposed to|"
    r"0|devoid|cannot|nothing|undetect\w*|unidentif\w*|n/a|excluded|exclud(?:es|ing)|invisible|unseen|nobody|"
    r"ruled out|non-?(?:visible|exist\w+|present|detectable|identifiable|apparent|evident)|irrelevant|no longer|"
    r"false|missing)(?![\w-])"
)
# Behind its noun a negation denies the thing only so ("polyp absent", "polyps are not seen"); "the polyp is not
# bleeding" and "the polyp shows no stalk" deny something else.
DENIED_BEHIND = re.compile(
    rf"\b(?:not|cannot|never|neither)(?: (?:be|been|being|yet|currently|clearly|readily|really|at all|any|\w+ly))* "
    rf"(?:{_EXISTS}|(?:a )?relevant|applicable|(?:a |of )?(?:finding|concern)|mentioned|addressed|considered|listed|"
    r"in (?:the |this )?(?:image|field|frame|view|picture)|any\w*)\b|"
    r"\b(?:absent|none|nowhere|nil|zero|0|irrelevant|invisible|unseen|undetect\w*|unidentif\w*|n/a|excluded|"
    r"ruled out|negative|"
    r"lacking|missing|no longer|false|non-?\w+)(?![\w-])|\b(?:no|not)$"
)
NORMAL = re.compile(r"\b(?:normal|healthy|unremarkable|intact)\b")
HEDGE = re.compile(
    r"\b(?:possibl[ey]|possibilit\w+|perhaps|maybe|probabl[ey]|probabilit\w+|(?:un)?likely|presumabl[ey]|presumed|"
    r"supposedly|conceivabl[ey]|potentially|may|might|could(?: not)? (?:be|represent|indicate|have|suggest|show|"
    r"correspond)|"
    r"suspicious (?:for|of)|suspect(?:ed|s)?|suspicion|questionable|equivocal|ambiguous|uncertain\w*|unclear|unsure|"
    r"not (?:entirely |completely |quite |really )?(?:sure|certain|clear|known|possible)|indeterminate|undetermined|"
    r"unknown|inconclusive|seems?|seemingly|whether|"
    r"(?:cannot|could not|not|never)(?: be)? (?:(?:entirely|completely|fully|reliably|clearly|definitely|safely|"
    r"possible to|able to) )*(?:be )?(?:rule[ds]?(?: \w+)? out|exclud\w+|determin\w+|assess\w*|confirm\w*|tell|"
    r"say|judged?|evaluat\w+|ascertain\w*|specif(?:y|ied)|stated?|given|provided|available|mentioned|reported|"
    r"recorded|documented|measured|classified|quantified|estimated|counted|established|decided?)|"
    r"rule[ds]? out(?= \w)(?<!ruled out)|unable to|not able to|difficult to|hard to|impossible to|"
    r"not enough|insufficient|history of|if|(?:question|prompt|user) asks|asked about|wrong to say|not true|untrue|"
    r"incorrect|not the case|false (?:that|to)|"
    r"no (?:image|picture|photo)s?(?=$| (?:is|was|were|has|provided|available|attached|given|uploaded))|"
    r"no (?:information|data|answer|idea|way to)|don't know|do not know|undecided)\b"
)

# -- Numbers ---------------------------------------------------------------------------------------------------------

NUMBERS: dict[str, int] = {
    "zero": 0, "no": 0, "one": 1, "single": 1, "solitary": 1, "sole": 1, "lone": 1, "two": 2, "pair": 2, "couple": 2,
    "double": 2, "dual": 2, "both": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
}  # fmt: skip
VAGUE = re.compile(
    r"\b(?:an? (?:\w+ )?(?:number|series|group|cluster|bunch|handful|lot) of|"
    r"multiple|several|numerous|many|few|various|some|more|dozens?|countless|plenty|lots?)\b"
)

# -- Places ----------------------------------------------------------------------------------------------------------

VERTICAL = r"upper|lower|top|bottom"
SIDE = r"left|right"
MIDDLE = r"center|centre|central|middle|mid"

# -- Words that name nothing -----------------------------------------------------------------------------------------

# An answer of these words alone is about what was asked ("yes", "two of them", "none visible in this image"); one with
# any other word speaks of something else, or says nothing ("hello there").
_NEUTRAL = frozenset(
    re.findall(
        r"\S+",
        """
    a an the this that these those it its they them there here one's of in on at to from by for with without within
    across throughout and or nor but as is are was were be been being has have had do does did can could will would
    which what i we you see sees show shows showed shown showing contain contains contained containing reveal reveals
    revealed demonstrate demonstrates display displays displayed exhibit exhibits include includes including appear
    appears appeared occupy occupies lie lies located positioned situated distributed scattered spread extending found
    seen visible present identified identifiable detected detectable observed noted visualized visualised located
    appreciated evident apparent exist exists existing discernible recognizable reported encountered
    image images picture photo frame field view scene screen endoscopy endoscopic examination exam region regions
    area areas quadrant quadrants part parts portion position positions location locations site sites side sides
    corner corners zone zones section sections cell cells grid segment segments
    yes yeah yep no nope not none nothing nil zero any all every each both only just exactly total count number
    overall altogether absent absence negative positive never neither lack lacks lacking free devoid undetectable
    undetected unidentified unidentifiable invisible irrelevant relevant applicable n/a true false correct right
    left upper lower top bottom center centre central middle mid
    color colors colour colours colored coloured coloration colouration coloring hue hues tone tones shade shades
    patch patches spots streaks focal peripheral periphery surrounding lateral presenting structure structures fleshy
    discoloration discolouration discolored redness everything looks look i'm m s
    tinge tint tinged appearance dark light pale bright mixed multiple several varied various different distinct
    clearly significant obvious single size sized measuring measures measured approximately about
    around roughly nearly between diameter evidence signs sign presence indication mucosa mucosal tissue tissues wall
    surface colon colonic gastrointestinal gi tract intestine intestinal stomach gastric bowel esophagus oesophagus
    abdominal lumen luminal digestive organ patient changes change pigmentation
    completely complete fully successfully yet still remaining remain remains so far moment currently now time
    absolutely affirmative definitely cannot can't
    result results limits
    same longer am also too additionally specific specifically particular mainly mostly primarily predominantly
    type class classification category normal healthy unremarkable intact large small extensive minimal
    answer please sure certainly indeed image's item items
    """,
    )
)
_NEUTRAL_PATTERN = re.compile(
    rf"\d+(?:st|nd|rd|th)?|size_\w+|paris(?:_\w+)?|{'|'.join(COLOURS.values())}|(?:{VERTICAL}|{SIDE}|{MIDDLE})\w*|"
    + "|".join(NUMBERS)
)
_WORD = re.compile(r"[^\W]+(?:['/-][^\W]+)*")


# "In the image", "of the colon" say where; an image or a colon by itself is a topic of its own.
_SETTING = (
    r"(?:images?|pictures?|photos?|frames?|scenes?|screens?|views?|fields?|endoscopy|examination|exam|mucosa|colon|"
    r"tract|intestines?|"
    r"stomach|bowel|o?esophagus|lumen|organ|wall|patient)"
)
_WHERE = re.compile(
    rf"\b(?:in|of|within|on|from|across|throughout|at|by) (?:(?:the|this|that|an?|any|patient's|entire|whole|\w+al|"
    rf"\w+ic) )*"
    rf"{_SETTING}(?: of view)?\b"
)
_TOPIC = re.compile(
    rf"\b{_SETTING}\b(?! (?:shows?|contains?|has|does|did|cannot|reveals?|displays?|exhibits?|is (?:normal|healthy|"
    rf"unremarkable|"
    r"intact)|appears|looks))"
)


# Clauses repeat far more often than texts.
@lru_cache(maxsize=65_536)
def bare(text: str) -> bool:
    """Whether a canonical text has words, and none that names a thing or a topic of its own."""
    found = _WORD.findall(text)
    if not found or not all(_neutral(word) for word in found):
        return False
    return NORMAL.search(text) is not None or _TOPIC.search(_WHERE.sub(" ", text)) is None


def _neutral(word: str) -> bool:
    if word in _NEUTRAL or _NEUTRAL_PATTERN.fullmatch(word):
        return True
    parts = re.split(r"[-/]", word)
    return len(parts) > 1 and all(part in _NEUTRAL or _NEUTRAL_PATTERN.fullmatch(part) for part in parts)
