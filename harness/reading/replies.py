"""What a reply is: a statement, a denial, a refusal, something that cannot be read, or nothing at all.

A score of what a model says of absent things is worth something only where the model takes part. "I am sorry", "???"
and an empty text deny nothing, and an explanation that repeats its answer explains nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gi_bench.harness.reading.assertions import asserts
from gi_bench.harness.reading.questions import finding_asked
from gi_bench.harness.reading.readers import read
from gi_bench.harness.reading.values import Value
from gi_bench.harness.reading.vocabulary import COLOURS, holds_any
from gi_bench.harness.schema import Question, ReplyState

_CANNOT = (
    r"(?:can(?:\s?not|'t)|could(?: not|n't)|(?:am|are|is|was|be|being)(?: not|n't)? (?:un)?able to|"
    r"i'm (?:un|not )able to|(?:^|[.;,] )(?:un|not )able to|won't|will not|"
    r"do(?: not|n't)(?: (?:have|feel)(?: \w+){0,4} to)?|impossible to|"
    r"not possible to|difficult to|hard to|decline to|refuse to|not (?:allowed|permitted|qualified|authori[sz]ed) to)"
)
# What is not done there concerns the reply itself; "cannot see a polyp" and "unable to find instruments" do not.
_REPLYING = (
    r"(?:answer|respond|reply|help|assist|tell|say|know|decide|judge|comment|comply|diagnose|interpret|analy[sz]e|"
    r"determine|assess|evaluate|advise|provide|offer|give|make (?:out|an?)|be (?:answered|determined|assessed|sure|"
    r"certain|told|said|evaluated|judged)|"
    r"(?:see|view|access|process|open|read|identify|recogni[sz]e|look at|understand) "
    r"(?:the |this |that |your |any |an? )?"
    r"(?:image|picture|photo\w*|question|request|it|frame|content|medical|that|this)\b)"
)
# A clause with one of these says something of the reply, nothing of the image.
_REFUSAL = re.compile(
    rf"\b(?:sorry|apologi[sz]e|apologies|regret)\b|\bas an? (?:\w+ ){{0,3}}(?:ai|model|assistant|chatbot)\b|"
    rf"\bi(?: am|'m) (?:just |only )?an? (?:\w+ ){{0,3}}(?:ai|model|assistant|chatbot)\b|"
    rf"{_CANNOT} (?:\w+ly |really )?{_REPLYING}|"
    r"\b(?:not|n't|never) (?:really |entirely |quite |completely |at all )?(?:sure|certain|confident)\b|\bunsure\b|"
    r"\bno idea\b|\b(?:consult|see|ask|contact|seek)\b(?: \w+){0,3} "
    r"(?:doctor|physician|professional|gastroenterologist|specialist|advice)|"
    r"\b(?:not enough|insufficient|lack of|no) (?:information|context|data|detail)\b|\bno comment\b|\bno answer\b|"
    r"\bi(?:'m| am)? (?:must |have to |will |would )?(?:declin|refus)\w*|\bmust decline\b|\bdunno\b|"
    r"\bartificial intelligence\b|\b(?:policy|policies|guidelines)\b|\bneed more (?:information|context|data|detail)|"
    r"\bplease (?:provide|upload|attach|send|share)\b|\b(?:not|n't) (?:allow|permit) (?:an? |any |for )|"
    r"\bno image (?:was |is |has been )?(?:provided|attached|given|available|uploaded|found|shared|received)\b"
)
# One of these is in every match: to look for them takes a fraction of a search, and most answers have none.
_REFUSES = (
    "sorry", "apolog", "regret", " ai", "model", "assistant", "chatbot", "can", "could", "able to", "won't", "will not",
    "do not", "don't", "possible to", "difficult to", "hard to", "declin", "refus", "sure", "certain", "confident",
    "idea", "doctor", "physician", "professional", "gastroenterologist", "specialist", "advice", "information",
    "context", "data", "detail", "comment", "answer", "dunno", "intelligence", "polic", "guidelines", "please", "allow",
    "permit", "qualified", "authori", "no image",
)  # fmt: skip
# Where nothing else can be read, these say why.
_DOUBT = re.compile(
    r"\b(?:unknown|unclear|uncertain|undetermined|indeterminate|inconclusive|undecided|unanswerable|unable to|"
    r"not able to|cannot be|can't be|hard to say|difficult to say|who knows)\b"
)
_DOUBTS = (
    "unknown", "unclear", "uncertain", "undetermined", "indeterminate", "inconclusive", "undecided", "unanswerable",
    "able to", "cannot be", "can't be", " to say", "who knows",
)  # fmt: skip
_NOTHING = re.compile(r"\b(?:no|not|none|yes)\b")
_CLAUSE = re.compile(r"[.;:!?\n]+(?!\d)|,(?!\d)|\s[-–—]+\s|\b(?:but|however|although|though|because|since)\b")


@lru_cache(maxsize=65_536)
def refuses(text: str) -> bool:
    """Whether a text says that it does not answer (apologies, "as an AI", "I cannot tell", "not sure", "unknown").

    >>> refuses("I cannot tell."), refuses("There is no polyp.")
    (True, False)
    """
    lower = _plain(text)
    return _of_reply(lower) or _doubts(lower)


@lru_cache(maxsize=65_536)
def without_refusals(text: str) -> str:
    """A text without the clauses that speak of the reply itself; what is left is read.

    >>> without_refusals("I am sorry, but there is no polyp.")
    'there is no polyp'
    """
    lower = _plain(text)
    if not _of_reply(lower):
        return text
    # "I cannot determine whether there is a polyp" is one clause with its object, and goes as a whole.
    kept = [piece.strip() for piece in _CLAUSE.split(lower) if not _REFUSAL.search(piece)]
    return ", ".join(piece for piece in kept if re.search(r"\w", piece))


def _of_reply(lower: str) -> bool:
    return holds_any(lower, _REFUSES) and _REFUSAL.search(lower) is not None


def _doubts(lower: str) -> bool:
    return holds_any(lower, _DOUBTS) and _DOUBT.search(lower) is not None


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").split())


def answer_state(text: str | None, question: Question) -> ReplyState:
    """What an answer is.

    About a single finding, the assertion decides (:func:`asserts`), else the values that can be read for the question's
    classes: ``denied`` where all of them say that nothing is there. A row that names neither (hidden sets) gives
    nothing to read against: whatever has words and does not refuse is ``stated`` then.

    Args:
        text: the answer; None if there is none.
        question: its row.
    """
    if text is None or not text.strip():
        return "not given"
    finding = question.finding or (None if question.question_class else finding_asked(question.question))
    # The question's words matter only to what is said of a finding: without one, equal answers are read once.
    return _answer_state(text, finding, question.question if finding is not None else "", question.question_class)


@lru_cache(maxsize=131_072)
def _answer_state(text: str, finding: str | None, question: str, asked: tuple[str, ...]) -> ReplyState:
    said = without_refusals(text)
    if said.strip() and not _only_doubts(said):
        verdict = asserts(said, finding, question) if finding is not None else None
        if verdict is None:
            verdict = _by_values(said, asked)
        if verdict is None and finding is None and not asked and not refuses(text):
            verdict = re.search(r"[^\W_]", said) is not None or None
        if verdict is not None:
            return "stated" if verdict else "denied"
    return "refused" if refuses(text) else "unreadable"


def _only_doubts(text: str) -> bool:
    """Whether nothing is said but that it is not known: "unknown", "It is unclear." """
    lower = _plain(text)
    return _doubts(lower) and not _words(_DOUBT.sub(" ", lower)) and _NOTHING.search(lower) is None


def _by_values(text: str, asked: tuple[str, ...]) -> bool | None:
    """Whether any value read says that something is there; None if no value can be read."""
    found = [(slug, read(text, slug, asked)) for slug in asked]
    values = [(slug, value) for slug, value in found if value is not None]
    return any(not _says_nothing(slug, value) for slug, value in values) if values else None


def _says_nothing(slug: str, value: Value) -> bool:
    """Whether a value stands for an absent thing: an empty set, 0, "no"; a polyp that is not removed is there."""
    if slug == "polyp_removal_status":
        return value == "not relevant"
    return value == 0 or value == "no" or value == frozenset()


def names_finding(text: str, question: Question) -> bool:
    """Whether a text asserts the one finding that a row is about."""
    return question.finding is not None and asserts(without_refusals(text), question.finding, question.question) is True


_WORD = re.compile(r"[a-z0-9]+")
_NUMBER_WORDS = {
    "zero": "0", "one": "1", "single": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "none": "no", "without": "no", "absent": "no", "absence": "no", "non": "no",
}  # fmt: skip
# Words that carry an answer without adding to it: "the answer is that one polyp can be seen in the image".
_FILLER = frozenset(
    _WORD.findall(
        "a an the and or but of in on at to from by with for as is are was were be been being am this that these those "
        "there here it its they them which what where how why when who whether many much any some not all have has had "
        "do does did can could may might must should would will so thus hence therefore because since due if then also "
        "i we you he she my your our image picture frame photo photograph view endoscopic endoscopy shown scene "
        "visible seen see sees present presence identified identify observed observe detected detect noted note "
        "found find evident evidence exist exists appear appears appearing show shows showing contain contains include "
        "includes depict depicts display displays reveal reveals answer answers question explanation explain reason "
        "correct right true indeed clearly clear say says said state states stated mean means meaning given "
        "concluded certainty certain sure think thought believe model said above below mentioned explained described "
        "consistent support supports supported based conclude conclusion result 1 no yes"
    )
)
# What an explanation can point to: one new word of these is more than a repetition.
_EVIDENCE = re.compile(
    rf"(?:{'|'.join(COLOURS.values())}|colou?r\w*|discolou?r\w*|redness|erythema\w*|pale|dark\w*|bright\w*|shiny|gloss\w*|upper|lower|top|"
    r"bottom|cent(?:er|re|ral)|left|right|middle|corner|edge|quadrants?|periphery|small\w*|large\w*|tiny|big|sizes?|"
    r"\d+mm|mm|cm|round\w*|oval|flat|raised|elevat\w*|sessile|pedunculat\w*|stalk\w*|protru\w*|irregular\w*|smooth|"
    r"nodul\w*|lobul\w*|bump\w*|dome\w*|tubular|linear|circular|shape\w*|square|rectang\w*|ulcerat\w*|granular\w*|"
    r"fold\w*|vessel\w*|vascular\w*|wall|lining|mucos\w*|tissue|surface\w*|lumen|normal\w*|healthy|inflam\w*|swollen|"
    r"bleed\w*|metal\w*|textur\w*|pattern\w*|bord\w*|margin\w*|light|reflect\w*|empty|nothing)"
)
# What an endoscopy image may hold at all; a text without any of it and without a denial is about something else.
_DOMAIN = re.compile(
    rf"\b(?:{_EVIDENCE.pattern}|image\w*|picture\w*|frame\w*|field|view\w*|seen|visible|polyp\w*|lesion\w*|find\w*|"
    r"abnormal\w*|instrument\w*|device\w*|tool\w*|forceps|snare\w*|tube\w*|clip\w*|landmark\w*|anatom\w*|z-?line|ca?ec\w*|"
    r"ile\w*|pylor\w*|colo\w+|gastro\w*|stomach|o?esophag\w*|bowel|intestin\w*|rect\w*|label\w*|letter\w*|character\w*|"
    r"box\w*|artefact\w*|artifact\w*|growth\w*|no|not|none|absent|absence|without|one|two|three|area\w*|region\w*|spot\w*|"
    r"structure\w*|appear\w*|look\w*|endoscop\w*|scop\w*|procedure\w*)\b"
)


def _words(text: str) -> set[str]:
    """Words that say something, in one form: numbers as digits, plurals and participles without their ending."""
    found = (_NUMBER_WORDS.get(word, word) for word in _WORD.findall(text.lower()))
    return {_stem(word) for word in found if word not in _FILLER}


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s", "ed", "ing"):
        if len(word) > len(ending) + 3 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


@lru_cache(maxsize=65_536)
def repeats(explanation: str, answer: str, question: str) -> bool:
    """Whether an explanation adds nothing to its answer and its question.

    It adds something if at least two words of content are in neither of them, or one that names something to be seen (a
    place, a colour, a size, a shape, a surface). Order, case, filler ("is visible in the image") and the ending of a
    word add nothing; one other word is a slip, not a reason.

    >>> repeats("The answer is: one polyp is seen in the image.", "one polyp", "How many polyps are there?")
    True
    >>> repeats("A smooth bump rises from the wall.", "one polyp", "How many polyps are there?")
    False
    """
    new = _words(explanation) - _words(answer) - _words(question)
    return not (len(new) >= 2 or any(_EVIDENCE.fullmatch(word) for word in _seen_words(explanation, new)))


def _seen_words(text: str, stems: set[str]) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if _stem(word) in stems]


def explanation_state(text: str | None, answer: str | None, question: Question) -> ReplyState:
    """What an explanation is; one that repeats answer or question is ``not given``, like an empty one.

    ``denied`` where it denies the row's finding, ``unreadable`` where it has nothing to do with an endoscopy image.
    """
    if text is None or not text.strip():
        return "not given"
    said = without_refusals(text)
    if not said.strip() or (said != text and repeats(said, answer or "", question.question)):
        return "refused"
    nothing_new = _words(said) <= _words(answer or "") | _words(question.question)
    if _WORD.search(said.lower()) and nothing_new:
        return "not given"
    if not _DOMAIN.search(said.lower()):
        return "refused" if refuses(text) else "unreadable"
    if repeats(said, answer or "", question.question):
        return "not given"
    if question.finding is not None and asserts(said, question.finding, question.question) is False:
        return "denied"
    return "stated"
