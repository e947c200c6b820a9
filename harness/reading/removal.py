"""Whether polyps have been removed: ``yes``, ``no`` (some are left) or ``not relevant`` (there is none)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gi_bench.harness.reading.clauses import Clause
from gi_bench.harness.reading.vocabulary import KINDS, POLYP

_MOOT = re.compile(
    r"(?:\bnot (?:currently |clinically )?|\bno (?:polyp )?removal (?:is |was |were )?|\bun)"
    r"(?:relevant|applicable|necessary|needed|required|indicated|pertinent)\b|\birrelevant\b|\bn/a\b|\bno relevan|"
    r"\bno polyps? to (?:remove|resect)\b|\bdo(?:es)? not apply\b|\bno need (?:for|of) (?:polyp )?(?:removal|"
    r"resection)|"
    r"\bnothing (?:to|left to) (?:remove|resect)"
)
_NOTHING_LEFT = re.compile(r"\b(?:no|without) (?:\w+ ){0,3}(?:unremoved|unresected|incomplete)")
_DONE = r"(?:removed|resected|excised)"
_HAVE = r"(?:has|have|had|was|were|is|are)"
_NOT_REMOVED = re.compile(
    r"\b(?:incomplete\w*|partial(?:ly)?|unremoved|unresected)\b|"
    r"\bnot (?:all|every|yet|fully|completely|entirely|been|have been)\b|"
    rf"\b{_HAVE} not (?:been |yet |fully |completely |all )*{_DONE}|\bnot {_DONE}|"
    rf"\b(?:one|two|three|\d|some|most|part|half|only (?:some|one|part|a few))(?: of (?:the |these )?(?:\w+ )?"
    rf"(?:polyps?|them))? {_HAVE} (?:been )?{_DONE}|"
    r"\b(?:polypectomy|removal|resection) (?:has |was |is )?not (?:been |yet )*(?:performed|done|carried out|"
    r"undertaken)|^(?:no ; )?(?:they|it) (?:have|has|were|was) not$|^(?:no ; )?(?:(?:they|it) (?:are|is) )?still "
    r"(?:present|there|visible|in place)$"
)
# What is planned is not done, and does not say that it is needed.
_PLANNED = re.compile(
    r"\b(?:will|shall|should|must|needs? to|going to|planned|scheduled|pending|recommended|advised|requires?|being)\b"
)
_PLAIN_DONE = re.compile(
    rf"^(?:yes ; )?(?:the |both )?(?:polyps? )?(?:status )?{_DONE}$|^(?:yes ; )?(?:they|it) (?:have|has|were|"
    rf"was)(?: all)?$"
)
_NONE_REMOVED = re.compile(
    rf"\b(?:no polyps?|none(?: of (?:the |these )?(?:\w+ )?(?:polyps|them))?) {_HAVE} (?:yet )?(?:been )?{_DONE}"
)
_NO_REMOVAL = re.compile(
    r"\b(?:no|without)\b(?: \w+){0,3} (?:complete |successful |full )?(?:polyp )?(?:remov\w*|resect\w*|excis\w*|"
    r"polypectom\w*)"
)
_FOR_REMOVAL = re.compile(r"\bno polyps? (?:\w+ ){0,3}(?:for|to be) (?:removal|resection|excision|removed|resected)")
_PLAIN_POLYP = re.compile(rf"(?:{POLYP.pattern})(?! (?:remov|resect|excis|type|size|status))")
_STAYS = re.compile(r"\b(?:remain\w*|residual|persist\w*|still|left behind|leftover)\b")
_HIDDEN = re.compile(r"\bremain\w* un(?:identified|detected|seen)")  # polyps that stay, and are not known
_REMOVED = re.compile(r"\b(?:removed|resected|excised|removal|resection|excision|polypectom(?:y|ies)|emr)\b")
_FULLY = re.compile(
    r"\b(?:all|complete\w*|fully|success\w*|has been|have been|were|was|performed|done|carried out|"
    r"both|every)\b"
)
_TISSUE = re.compile(r"polyp|lesion|tissue|growth|adenom")
_PRESENT = re.compile(
    r"\b(?:present|visible|seen|identified|detected|observed|noted|found|there (?:is|are)|"
    r"remain\w*)\b"
)


def removal_status(parts: Sequence[Clause], text: str) -> str | None:
    """The removal status that clauses state.

    Nothing left to remove is ``not relevant``, as in the dataset; so is "no residual polyps".

    Args:
        parts: clauses of a text.
        text: the same as one text.

    Returns:
        ``yes``, ``no``, ``not relevant``; None where the text does not tell.
    """
    if _MOOT.search(text):
        return "not relevant"
    if _NOTHING_LEFT.search(text):
        return None
    if _NOT_REMOVED.search(text):
        return "no"
    if _NONE_REMOVED.search(text):
        plain = [part for part in parts if POLYP.search(part.text) and not _REMOVED.search(part.text)]
        return "not relevant" if plain and all(part.denies(POLYP) for part in plain) else "no"
    if _NO_REMOVAL.search(text) or _FOR_REMOVAL.search(text):
        if re.search(r"complete|success|full", text):
            return "no"
        plain = [part for part in parts if _PLAIN_POLYP.search(part.text)]
        return "not relevant" if plain and all(part.denies(_PLAIN_POLYP) for part in plain) else None
    stays = [part for part in parts if _STAYS.search(part.text) and _TISSUE.search(part.text)]
    done = [part for part in parts if _REMOVED.search(part.text)]
    if stays:
        if any(not part.denied or _HIDDEN.search(part.text) for part in stays):
            return "no"
        return "yes" if any(not part.denied and _FULLY.search(part.text) for part in done) else "not relevant"
    if _PLAIN_DONE.search(text):
        return "yes"
    if done:
        if any(_PLANNED.search(part.text) for part in done):
            return None
        if any(_more_polyps(part) for part in parts if part not in done) or any(p.joint == "except" for p in parts):
            return "no"  # "a polyp has been removed, but smaller polyps are present"
        return "yes" if _FULLY.search(text) and not any(part.denied for part in done) else None
    named = [part for part in parts if POLYP.search(part.text)]
    return "not relevant" if named and all(part.denies(POLYP) for part in named) else None


def _more_polyps(part: Clause) -> bool:
    """Whether a clause beside the removal shows a polyp that is there."""
    return (
        not part.denied
        and (
            POLYP.search(part.text) is not None
            or (
                re.match(
                    r"(?:one|others?|another|"
                    r"some)\b",
                    part.text,
                )
                is not None
                and not any(k.search(part.text) for k in KINDS)
            )
        )
        and _PRESENT.search(part.text) is not None
    )
