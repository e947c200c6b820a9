"""One spelling for what texts write in many: quotes, dashes, lists, "key: value" pairs, sizes and Paris classes.

The rules of this room see canonical text only. Sizes become ``size_lt5``, ``size_5to10``, ``size_11to20`` and
``size_gt20`` (:mod:`gi_bench.harness.reading.sizes`), classes ``paris_is``, ``paris_ip`` and ``paris_iia``; no text can
forge them, as underscores are taken out first.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from gi_bench.harness.reading.sizes import mark_sizes
from gi_bench.harness.reading.vocabulary import (
    HEDGE,
    KINDS,
    MIDDLE,
    NAMES_FINDING,
    NORMAL,
    NUMBERS,
    OTHER_ARTEFACT,
    SIDE,
    VERTICAL,
    bare,
    holds_any,
)

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–−﹣－", "-"))
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "œ": "oe", "ö": "oe"})

# What stands before these words is a preamble or the question again.
_ANSWER = re.compile(
    # A label, and no words of a sentence: "this supports the answer: ..." stays.
    r"^(?:.*[.,;?!\n{])?\s*\"?(?:the |my )?(?:final |short )?(?:answer|response|prediction|output|conclusion)\"? ?"
    r"(?:[:=]|- ) ?(?=\S)|"
    r"^(?:the |my )?(?:final )?answer(?: is| would be)\b:? ?|^q ?: .*?[?\n] ?a ?: ?|^a ?: ",
    re.DOTALL,
)
_LABELS = (":", "answer", "response", "prediction", "output", "conclusion")
_AFTER_ANSWER = re.compile(
    r"[.,;\n]\s*\"?(?:textual )?(?:explanation|confidence|reasoning|rationale|"
    r"justification)\"? ?[:=].*$",
    re.DOTALL,
)
_NUMBER_WORDS = "|".join(NUMBERS)
# Pattern, replacement, and texts of which every match holds one: to look for these takes a tenth of a search. So it
# is with all marks of this module.
_SPELLING: tuple[tuple[re.Pattern[str], str, tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), to, marks)
    for pattern, to, marks in (
        (r"(\w)\(e?s\)", r"\1s", ("(",)),
        (r"\b(is|are|do|does|was|were|has|have|had|did|could|would|should)n'?t\b", r"\1 not",
         ("n't", "isnt", "arent", "dont", "snt", "werent", "havent", "hadnt", "didnt", "ldnt")),
        (r"\b(?:can't|can not|cant|couldn't|could not)\b", "cannot", ("can", "could")),
        (r"\b(there|it|that|here)'s\b", r"\1 is", ("'s",)),
        (r"\bartifact", "artefact", ("artifact",)),
        (r"\b(?:non-?|un)(text|instrument)(?:ual|ed)?\b", r"without \1", ("non", "untext", "uninstrument")),
        (r"\bo?esoph?[ao]git[iu]s\b|\boesphagitis\b", "oesophagitis", ("esop", "esph")),
        (r"\b(green|black)(?:[\s-]colou?red)?\s*(?:/|-|,|and/or|and|or|&)\s*(?:green|black)\b", "green-black",
         ("green", "black")),
        (r"\b(\w+(?: artefact)?)-free\b", r"free of \1", ("-free",)),
        (r"\bnot (?:only|just|merely|solely)\b", "", ("not ",)),
        (rf"\ball but (?=(?:an?|the|\d|{_NUMBER_WORDS})\b)", "not all ", ("all but ",)),
        (r"\bno (?:more|greater|larger|bigger) than\b", "at most", (" than",)),
        (rf"\b(\d{{1,2}}|{_NUMBER_WORDS}) \((?:\d{{1,2}}|{_NUMBER_WORDS})\)", r"\1", ("(",)),
        (r"\b(\d{1,2}) ?[x×] ?(?=[a-z])", r"\1 ", ("x", "×")),
        (r"\b(polyps?|instruments?|findings?) [x×] ?(\d{1,2})\b", r"\2 \1", ("x", "×")),
        (rf"\bbetween (\d{{1,2}}|{_NUMBER_WORDS}) and (\d{{1,2}}|{_NUMBER_WORDS})\b", r"\1 to \2", ("between ",)),
        (r"\bno (?:less|fewer|smaller) than\b", "at least", (" than",)),
        (r"\bnothing (?:but|except|other than)\b", "nothing else ; only", ("nothing ",)),
        # Two negations: what is not absent is there.
        (r"\b(?:not|never) (?:completely |entirely |totally |\w+ly )?(?:without|free (?:of|from)|devoid of|"
         r"lacking)\b", "with", ("not ", "never ")),
        (r"\b(?:not|never) (?:completely |entirely |\w+ly )?(?:absent|missing|invisible|undetectable|undetected|"
         r"unseen)\b", "present", ("not ", "never ")),
        (r"\b(?:no|not any|without) (?:absence|lack) of\b", "presence of", ("absence of", "lack of")),
        (r"\bnot negative for\b", "positive for", ("not negative for",)),
        (r"\b(?:normal|unremarkable) findings\b|\bfindings? (?:is|are|was|were|appear|look)s? (?:all |completely |"
         r"entirely )?"
         r"(?:normal|unremarkable)\b", "no findings", ("normal", "unremarkable")),
        (r"\b(?:not|no longer|never|hardly|far from|non-?)[ -]?(?:an? )?(?:(?:entirely|completely|quite|totally|"
         r"fully|really|at all) )?(?:normal|healthy|"
         r"unremarkable|intact)\b",
         "abnormal", ("normal", "healthy", "unremarkable", "intact")),
        (r"\bcannot be denied\b|\bundeniabl[ey]\b|\bno doubt\b|\bwithout (?:a |any )?doubt\b", "clearly",
         ("denied", "undeniabl", "doubt")),
    )
)  # fmt: skip
_CELL_DASH = re.compile(rf"\b({VERTICAL}|{SIDE}|{MIDDLE})\s+-\s*(?={VERTICAL}|{SIDE}|{MIDDLE})|"
                        rf"\b({VERTICAL}|{SIDE}|{MIDDLE})-\s+(?={VERTICAL}|{SIDE}|{MIDDLE})")  # fmt: skip

_CELL_MARKS = (" -", "- ")

# -- Paris classes ---------------------------------------------------------------------------------------------------

_SHORT = r"(?:(?:ii|2)[\s-]?a|(?:i|1)[\s-]?p|(?:i|1)[\s-]?s)"
_TYPE = r"(?:types?|class(?:ification|ified as|ed as|es)?|categor(?:y|ies)|grades?|morpholog(?:y|ies))"
_PARIS = re.compile(
    rf"\b(?P<led>(?:paris[\s-]*(?:{_TYPE}[\s-]*)*|{_TYPE}[\s-]*)(?P<verb>(?:(?:is|of|was|as|are|being)\s+|[:=]\s*)*)"
    rf"(?:0[\s-]*)?)(?P<first>{_SHORT})(?![\w'])|\b0[\s-]*(?P<zero>{_SHORT})\b|\b(?P<sure>ii[\s-]?a|ip)\b|"
    rf"\b(?P<tail>is)-type\b"
)
# "the Paris type is not stated": a verb, unless what follows can only stand behind a class. Behind "type" a
# participle makes it one too ("a Paris IIa type is present"), behind "Paris" alone it does not.
_BEHIND_TYPE = re.compile(
    r"\s*(?:$|[.,;:!?)/+&'-]|(?:polyps?|polypoid|lesions?|adenoma\w*|morphology|and|or|with|without|was|were|is|but)\b)"
)
_BEHIND_PARIS = re.compile(
    rf"{_BEHIND_TYPE.pattern}|\s*(?:types?|class|classification|category|growths?|tumou?rs?|present|visible|identified|"
    r"observed|detected|noted|seen|found|in|on|at|located|by|per|according|sized|measuring|size_\w+)\b"
)
# "it is Is", "sessile (Is)".
_IS_IS = re.compile(rf"\b(is:? )is(?={_BEHIND_TYPE.pattern})|\(is(?=\))")
_CLASS_FOLLOWS = re.compile(
    rf"\s+(?:(?:paris|{_TYPE}|0)[\s-]*)*(?:(?:ii|2)[\s-]?a|(?:i|1)[\s-]?p)\b|"
    rf"\s+(?:(?:paris|types?|0)[\s-]*)*is(?={_BEHIND_TYPE.pattern})"
)
_JOINED = re.compile(rf"(paris_\w+)\s*(?:and|or|/|\+|,|&|plus)\s*(?:(?:paris|{_TYPE}|0)[\s-]*)*(is|ip|iia)\b")
_PARIS_MARKS = ("ii", "ip", "paris", "type", "0", "class", "categor", "grade", "morpholog")
_IS_MARKS = ("is is", "is: is", "(is)")


def _paris(match: re.Match[str]) -> str:
    text, end = match.string, match.end()
    found = match["first"] or match["zero"] or match["sure"] or match["tail"]
    name = re.sub(r"[\s-]", "", found).replace("1", "i").replace("2", "ii")
    if name == "is" and match["first"] is not None and not match["led"].endswith("0"):
        behind = _BEHIND_PARIS if match["led"].strip(" -").endswith(("paris", " as")) else _BEHIND_TYPE
        if re.fullmatch(r"paris\s+is\s+", match["led"]):
            return "paris_is is"  # "a polyp of type Paris Is is visible"
        if not behind.match(text, end) or _CLASS_FOLLOWS.match(text, end):
            return match[0]
    return f"paris_{name}"


def _mark_paris(text: str) -> str:
    if holds_any(text, _PARIS_MARKS):
        text = _PARIS.sub(_paris, text)
    if holds_any(text, _IS_MARKS):
        text = _IS_IS.sub(lambda m: f"{m[1] or ', '}paris_is", text)
    while "paris_" in text and (joined := _JOINED.sub(r"\1 and paris_\2", text)) != text:
        text = joined
    return text


# -- What was looked for and not found -------------------------------------------------------------------------------

_THING = r"(?:(?:an?|any|the|some|possible|suspected) ){0,2}(?P<thing>(?:[\w-]+ ){0,2}?[\w-]+)"
_FOUND = (
    r"(?:be |been )?(?:found|seen|detected|identified|visuali[sz]ed|observed|noted|located|visible|present|there|"
    r"confirmed|encountered)"
)
# "but was not found", ", none was seen", "and could not be seen", "but found none".
_IN_VAIN = (
    r",? ?(?:;|-)? ?(?:but|and|yet|however|though|although)?,? ?(?:with )?(?:"
    rf"(?:(?:it|they|this|these|one|none|nothing|neither) )?(?:(?:was|were|is|are|has|have|had) )?"
    rf"(?:not |never |cannot )(?:clearly |actually )?{_FOUND}|"
    rf"(?:none|nothing|neither|not (?:a single )?one)(?: of (?:them|these|those))? (?:(?:was|were|is|are|has|have|"
    rf"cannot|could) )?{_FOUND}|"
    r"(?:(?:i|we|they|he|she|it) )?(?:found|saw|seeing|finding|detected|identified|noted|observed) (?:none|nothing|"
    r"no (?:such )?(?:thing|one|evidence))(?: of (?:it|them|one|any))?|"
    r"(?:without (?:success|result|finding (?:one|any|it|them))|in vain|to no avail))\b"
)
_SOUGHT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_THING} (?:(?:was|were|has been|have been|had been|is|are|being) )*(?:carefully |actively |also )?"
        rf"(?:sought(?: for| after)?|looked for|searched for|checked for|screened for|hunted for|expected|suspected)"
        rf"{_IN_VAIN}",
        rf"\b(?:(?:i|we|the \w+) )?(?:look|search|check|screen|hunt|inspect|examin|scan)\w*(?: [\w-]+){{0,4}}? for "
        rf"{_THING}{_IN_VAIN}",
        rf"\b(?:(?:i|we|the \w+) )?(?:sought|expected|suspected) {_THING}{_IN_VAIN}",
    )
)


# One of them is in every match of the patterns above.
_SEEKS = ("sought", "look", "search", "check", "screen", "hunt", "expect", "suspect", "inspect", "examin", "scan")


def _mark_vain(text: str) -> str:
    """ "A polyp was sought but not found" says that there is none."""
    if not holds_any(text, _SEEKS):
        return text
    for pattern in _SOUGHT:
        text = pattern.sub(lambda match: f"no {match['thing']}", text)
    return text


# -- Lists and "key: value" ------------------------------------------------------------------------------------------

_ABSENT = (
    r"(?:none|no|nil|zero|0|absent|false|negative|nothing|null|undetected|invisible|n/a|missing|-|"
    r"(?:none|not|nothing|no) (?:\w+ )?(?:present|visible|seen|identified|detected|observed|noted|found|there|any)"
    r"(?: (?:in|on) .*)?)"
)
_THERE = r"(?:yes|true|present|positive|visible|seen|detected|identified|found|observed|noted|\+)"
_PAIR = re.compile(r"^(?P<key>[a-z][a-z'/ -]{0,48}?)\s*(?:[:=]|\s->|\s-\s)\s*(?P<value>[^:=]+)$")
_PAIR_MARKS = (":", "=", "->", " - ")
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|shows?|reveals?|contains?|there|see|with|and|or|no|not|without)\b")
_SAYS = re.compile(r"\b(?:there|is|are|was|were|has|have|been|any|an?|the|all|of)\b")
_ASKS = re.compile(r"^(?:(?:has|is|are|any|contains|shows?|there) ){1,3}(?:an? )?(?=[^:=]{1,60}[:=])")
_ATTRIBUTE = re.compile(r"\b(?:sizes?|types?|colou?rs?|locations?|positions?|presence|status|class(?:ification)?|"
    r"visible|"
                        r"detected|present|paris)\b")  # fmt: skip
_DENIES = re.compile(
    r"(?:no|not|none|nothing|without|absent|never)\b(?! (?:relevant|applicable|necessary|needed|required))"
)
_OF_FINDINGS = re.compile(r"\b(?:findings?|abnormalit\w+|patholog\w+|lesions?|impression)\b")
_COUNT = re.compile(r"\b(?:number|count|total|amount|quantity|no)\b(?: of)?")
_LISTED = re.compile(r"[-*•–+]\s|\d[.)]\s")  # in every match of the next
_BULLET = re.compile(r"(^|[\n;.!?])\s*(?:[-*•–+]\s+|\(?\d{1,2}[.)]\s+(?=[a-z(]))")
_NUMBER = re.compile(rf"(?:\d{{1,2}}|{'|'.join(NUMBERS)})")
# "polyp count: 2 text presence: no": keys of a dialect that leaves the commas out.
_KEY = re.compile(
    rf"(?<![,;:=.!?]) (?=(?:number of |any )?(?:{'|'.join(kind.pattern for kind in KINDS)})(?: (?:count|number|"
    r"presence|present|type|size|colou?r|location|status|detected|visible))? ?[:=])"
)


def _pair(segment: str) -> str:
    """A ``key: value`` segment as a phrase: "polyps: 0" is "no polyps", "text: yes" "text present"."""
    match = _PAIR.match(_ASKS.sub("", segment.strip()))
    if match is not None and re.fullmatch(r"(?:yes|no|true|false)\.?", match["value"].strip()):
        match = _PAIR.match(f"{_SAYS.sub(' ', match['key'])}: {match['value'].strip()}")  # "text is present: no"
    if match is None or _VERB.search(match["key"]) or re.match(rf"(?:an?|the|{_NUMBER.pattern})\b", match["key"]):
        return segment
    key, value = match["key"].strip(), match["value"].strip(" .")
    if not any(word.search(key) for word in (*KINDS, *NAMES_FINDING.values(), _ATTRIBUTE, _COUNT)):
        return segment  # "this supports the answer: none"
    if HEDGE.search(value):
        return f"{key} {value}"
    if any(kind.search(key) and kind.search(value) for kind in KINDS):
        return value  # "polyp: there is no polyp"
    if re.search(r"remov|resect", key) and re.fullmatch(r"(?:no|yes|true|false)", value):
        return "polyps not removed" if value in ("no", "false") else "all polyps removed"
    noun = _COUNT.sub(" ", _ATTRIBUTE.sub(" ", key)).strip() or key
    if (
        re.fullmatch(_ABSENT, value)
        or (_DENIES.match(value) and bare(value))
        or (_OF_FINDINGS.search(key) and NORMAL.fullmatch(value))
    ):
        return f"no {noun}" if not _ATTRIBUTE.fullmatch(key) else "none"
    if re.fullmatch(_THERE, value):
        return f"{noun} present"
    number = _NUMBER.fullmatch(value)
    if number:
        return f"{value} {noun}" if noun != key or not _COUNT.fullmatch(key) else value
    return segment


def _pairs(text: str) -> str:
    """Segments between sentence ends, each read as a pair where it is one; also commas between several pairs."""
    if not holds_any(text, _PAIR_MARKS):
        return text
    found = []
    if len(re.findall(r"[:=]", text)) > 1:
        text = _KEY.sub(" ; ", text)
    for sentence in re.split(r"([;\n]|[.!?](?!\d))", text):
        commas = sentence.split(",")
        several = len(commas) > 1 and all(_PAIR.match(part.strip()) for part in commas)
        found.append(" ; ".join(_pair(part) for part in commas) if several else _pair(sentence))
    return "".join(found)


# Signs of lists, tags, tables and pairs, lines, and all that is not ASCII.
_RARE = re.compile(r"[^a-z0-9 .,;'-]")


@lru_cache(maxsize=65_536)
def canonical(text: str) -> str:
    """The canonical form of a text: lower case, single spaces, sizes and classes as tokens.

    Args:
        text: any text.

    Returns:
        Canonical text; empty where nothing is left.

    >>> canonical("A polyp of ½ cm — *Paris Is*.")
    'a polyp of size_5to10 ; paris_is .'
    >>> canonical("<loc_5>")
    ''
    """
    # Most texts have none of the rare signs; each test saves a pass over the text.
    if "½" in text:
        text = re.sub(r"(\d?)½", lambda m: f"{m[1] or 0}.5", text)
    if text.isascii():
        text = text.lower().replace("`", "'")  # the one of the signs below that is ASCII
    else:
        text = unicodedata.normalize("NFKC", text.translate(_DASHES)).lower().translate(_DASHES).translate(_QUOTES)
    rare = _RARE.search(text) is not None
    if rare or "  " in text:
        text = re.sub(r"[^\S\n]+", " ", text)
    if rare:
        text = "none" if re.fullmatch(r"\s*(?:\[\s*\]|\{\s*\})\s*", text) else text
        text = re.sub(r"\((count|number|total|yes/no|y/n|presence)\)", r"\1", text)
    bare_text = text.strip().strip("{[('\"")
    text = (_ANSWER.sub("", bare_text) if holds_any(bare_text, _LABELS) else bare_text) or text
    if rare:
        text = _without_signs(_AFTER_ANSWER.sub("", text))
    if _LISTED.search(text):
        text = _BULLET.sub(r"\1 ; ", text)
    if "\n" in text:
        text = re.sub(
            r"(?<=\b(?:or|of|in))\s*\n|(?<=\b(?:and|the))\s*\n|(?<=,)\s*\n|"
            r"(?<=\ba)\s*\n",
            " ",
            text,
        ).replace("\n", " ; ")
    text = " ".join(text.replace("—", " - ").split())
    for pattern, to, marks in _SPELLING:
        if holds_any(text, marks):
            text = pattern.sub(to, text)
    text = _mark_vain(text)
    if holds_any(text, _CELL_MARKS):
        text = _CELL_DASH.sub(r"\1\2-", text)
    text = mark_sizes(text)
    if "(" in text:
        text = re.sub(rf"\s*\(({_ABSENT}|{_THERE})\)", r": \1", text)
    text = _pairs(text)
    text = _mark_paris(text)
    if "artefact" in text:
        text = OTHER_ARTEFACT.sub("optical flaws", text)
    text = text.replace("(", " , ").replace(")", " , ").replace(" - ", " ; ").replace("->", " ; ")
    return " ".join(text.split())


def _without_signs(text: str) -> str:
    """A text without tags, tables, brackets and the like."""
    if ">" in text:
        text = re.sub(r"<(?=[a-z/_])[^<>]*>", " ", text)  # tags of a model's dialect; "<5mm" stays
    if "|" in text:
        text = re.sub(r"^\|?(.*?)\|?$", lambda m: re.sub(r"\s*\|\s*", ": ", m[1]), text, flags=re.MULTILINE)
    text = re.sub(r"\[\s*\]|\{\s*\}|(?<=: )\"\"", "none", text)
    text = re.sub(r"[{}\[\]\"*#~^\\]", " ", text.replace("_", " "))
    return re.sub(r"(?<![(\w])\d{1,2}\)\s+(?=[a-z])", " ; ", text) if ")" in text else text
