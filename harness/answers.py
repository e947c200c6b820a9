"""Reads what a free-text answer asserts: is the finding there, or is it denied?

The parser knows the domain, not the model: answers are cut into clauses, a clause is about the findings that its
words name (or, if it names none, about what the question asked), and a clause denies if it carries a negation, a
zero count or an "irrelevant". It is rule-based and deterministic; how often it agrees with the atomic answers of
the real dataset is measured in the tests.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Words that name a finding. An abnormality is named by any disease, a landmark by any anatomical structure.
_NAMES: dict[str, str] = {
    "polyp": r"polyp\w*|adenom\w*|paris|sessile|pedunculated|resect\w*|polypectom\w*|remov\w*|residual",
    "abnormality": (
        r"abnormal\w*|lesion\w*|finding\w*|patholog\w*|disease\w*|inflammat\w*|inflamed|colitis|esophagitis|"
        r"oesophagitis|ulcer\w*|polyp\w*|discolou?r\w*|erythema\w*|redness|irregularit\w*|anomal\w*|concern\w*"
    ),
    "instrument": (
        r"instrument\w*|device\w*|tool\w*|forceps|snare\w*|tube\w*|clip\w*|catheter\w*|equipment|foreign|"
        r"hardware|probe\w*|endoscop\w*"
    ),
    "landmark": (
        r"landmark\w*|z-?line|z line|cec\w*|caec\w*|ile\w*|pylor\w*|anatomic\w*|junction\w*|structure\w*|"
        r"sphincter\w*"
    ),
    "text": (
        r"text\w*|label\w*|caption\w*|character\w*|letter\w*|annotation\w*|words?|writing|written|overlay\w*|"
        r"inscription\w*"
    ),
    "box artifact": r"box\w*|artefact\w*|artifact\w*|square\w*|overlay\w*|rectang\w*",
}
_PATTERNS = {finding: re.compile(rf"\b(?:{words})\b") for finding, words in _NAMES.items()}

_NEGATION = re.compile(
    r"\b(?:no|not|none|non|without|absent|absence|negative|never|neither|nor|zero|lack\w*|free of|nil|0|"
    r"unremarkable|normal|devoid|cannot|nothing|irrelevant|undetect\w*|unidentif\w*|n/a|excluded|exclude\w*|"
    r"isn't|aren't|doesn't|wasn't|intact)\b"
)
# "not removed", "not yet resected": the polyp is there.
_STILL_THERE = re.compile(
    r"\b(?:not|no|incomplet\w*|without|un)[\s-]*(?:all |been |yet |fully |completely |have |evidence of |"
    r"complete |successful |polyps? (?:have )?(?:been )?)*(?:remov\w*|resect\w*|excis\w*|polypectom\w*)|"
    r"\b(?:residual|remain\w*|persist\w*|still present|unremoved|unresected)\b"
)
_SPLIT = re.compile(r"[.;:!?]|,(?!\d)|\bbut\b|\bhowever\b|\balthough\b|\bwhile\b|\bwith\b|\balong\b|(?=\bwithout\b)")
_AND = re.compile(r"\band\b|\bor\b")
_HEDGE = re.compile(r"\b(?:unclear|uncertain|indeterminate|cannot be (?:determined|assessed)|unable to)\b")


@lru_cache(maxsize=65_536)
def asserts(answer: str, finding: str, question: str = "") -> bool | None:
    """Whether an answer says that a finding is there.

    Args:
        answer: free text of a model or a reference.
        finding: ``polyp``, ``abnormality``, ``instrument``, ``landmark``, ``text`` or ``box artifact``.
        question: the question; a clause that names no finding is taken to be about it.

    Returns:
        True if the finding is asserted, False if it is denied, None if the text does not tell.

    Raises:
        KeyError: an unknown finding.
    """
    pattern = _PATTERNS[finding]
    text = answer.lower().replace("’", "'").strip()
    if not text or _HEDGE.search(text):
        return None
    if finding == "polyp" and re.search(r"remov|resect|remain", text + " " + question.lower()):
        verdict = _removal(text)
        if verdict is not None:
            return verdict
    votes = [_reads(clause, carried) for clause, carried in _clauses(text) if pattern.search(clause)]
    if votes:
        return any(votes)
    # No clause names the finding: the text is about it only if the question is, or if it names nothing else.
    asked = bool(question and pattern.search(question.lower()))
    if not asked and any(other.search(text) for name, other in _PATTERNS.items() if name != finding):
        return None
    return _reads(text, carried=False)


def _removal(text: str) -> bool | None:
    """Answers about the removal of polyps: "not removed" asserts a polyp, "not relevant" denies it."""
    if re.search(
        r"not (?:relevant|applicable)|irrelevant|no polyps?\b(?! (?:removal|remov|resect|have|has|excis))", text
    ):
        return False
    if re.search(
        r"\b(?:no|without|absence of|not any)\b[\w\s-]*?\b(?:residual|remain\w*|remnant\w*|persist\w*)\b", text
    ):
        return False
    if _STILL_THERE.search(text):
        return True
    if re.search(r"\b(?:no|without)\b.*\b(?:identified|detected|present|observed|visible|noted|seen|found)\b", text):
        return False
    return None


def _clauses(text: str) -> list[tuple[str, bool]]:
    """Clauses, each with whether a negation before an enumeration carries into it ("no polyps or text")."""
    found: list[tuple[str, bool]] = []
    for sentence in _SPLIT.split(text):
        carried = False
        for piece in _AND.split(sentence):
            if piece.strip():
                found.append((piece.strip(), carried))
                carried = carried or bool(re.match(r"\s*(?:there (?:is|are) )?(?:no|without|neither)\b", piece))
    return found


def _reads(clause: str, carried: bool) -> bool:
    """Whether a clause affirms; ``carried`` is a negation that stands before an enumeration."""
    if _NEGATION.search(clause):
        return False
    if not carried:
        return True
    if re.search(r"\b(?:identified|detected|observed|visible|noted|seen|found)\b", clause):
        return False
    return bool(re.search(r"\b(?:one|two|three|is|are|a|an|yes|present)\b", clause))
