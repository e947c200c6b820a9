"""Answers and explanations as texts: empty, echoed, filled in, or not meant for people at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gi_bench.harness.reading.replies import explanation_state, repeats
from gi_bench.harness.schema import Question
from gi_bench.submissions.check.findings import Findings, shown

# Rows below which nothing is said of many rows having the same text.
_ENOUGH = 10
_MOST = 0.5
_MANY = 0.2
# A sentence that this share of the rows have, but for names and numbers, is a template's.
_RECURS = 0.1
# Rows need not be read whole to see that a text is a model's dump.
_LONGEST = 5_000
_MARKS = re.compile(
    r"</?s>|<pad>|<unk>|<bos>|<eos>|<loc_\d+>|<MedVQA\w*>|<image>|<\|[a-z_0-9]{1,40}\|>|\[/?INST\]|</?think>|"
    r"<(?:start|end)_of_turn>|^(?:assistant|user|system|model)\s*[:\n]", re.IGNORECASE
)  # fmt: skip
_LABELLED = re.compile(
    r"\b(?:question|query|q)\s*[:=].{0,500}?\b(?:answer|response|a)\s*[:=]", re.IGNORECASE | re.DOTALL
)
_FENCE = re.compile(r"^```(?:json)?\s*(.*?)\s*(?:```)?$", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_QUOTED = re.compile(r"\"[^\"]{0,400}\"|“[^”]{0,400}”|‘[^’]{0,400}’|`[^`]{0,400}`")


@dataclass(frozen=True)
class Said:
    """Texts of one row, and where it stands; None for what is missing or no text."""

    line: int
    name: str
    img_id: str
    question: str
    answer: str | None
    explanation: str | None = None


def check_answers(rows: Sequence[Said], file: str, found: Findings) -> None:
    """Report answers that are empty, hold the question or a model's marks, or are all the same."""
    for one in rows:
        if one.answer is None:
            continue
        if not one.answer.strip():
            found.add("answer-empty", one.name, file, one.line)
        elif _holds_question(one.answer[:_LONGEST], one.question):
            found.add("answer-question", f"{one.name}: {shown(one.answer)}", file, one.line)
        elif _MARKS.search(one.answer[:_LONGEST]):
            found.add("answer-marks", f"{one.name}: {shown(one.answer)}", file, one.line)
    text, share = _commonest(one.answer for one in rows if one.answer)
    if share > _MOST:
        found.add("answer-same", f"{shown(text)} is the answer to {share:.0%} of the rows", file)


def check_explanations(rows: Sequence[Said], file: str, found: Findings) -> None:
    """Report explanations that are empty, JSON, echoes or refusals, and sets of them made from one template."""
    for one in rows:
        text = one.explanation
        if text is None:
            continue
        if not text.strip():
            found.add("explanation-empty", one.name, file, one.line)
        elif _is_json(text):
            found.add("explanation-json", f"{one.name}: {shown(text)}", file, one.line)
        elif repeats(text[:_LONGEST], one.answer or "", one.question):
            found.add("explanation-echo", f"{one.name}: {shown(text)}", file, one.line)
        elif _state(one, text[:_LONGEST]) in ("refused", "unreadable"):
            found.add("explanation-refusal", f"{one.name}: {shown(text)}", file, one.line)
    common, share = _commonest(one.explanation for one in rows if one.explanation and one.explanation.strip())
    if share > _MANY:
        found.add("explanation-same", f"{shown(common)} explains {share:.0%} of the rows", file)
    share, example = _filled_in(rows)
    if share > _MOST:
        text = f"{share:.0%} of the rows are mostly made of sentences that others have too, as {shown(example)}"
        found.add("explanation-template", text, file)


def _state(one: Said, text: str) -> str:
    question = Question(0, one.img_id, one.question, None, (), 0, ())
    return explanation_state(text, one.answer, question)


def _holds_question(answer: str, question: str) -> bool:
    """Whether an answer repeats its question, or labels the two.

    >>> _holds_question("Question: Is it red?, Answer: yes", "Is it red?"), _holds_question("it is red", "Is it red?")
    (True, False)
    """
    asked = _folded(question)
    return bool(_LABELLED.search(answer[:1_000])) or (len(asked.split()) >= 3 and asked in _folded(answer))


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _is_json(text: str) -> bool:
    """Whether a text is an object or a list of JSON or Python, whole, cut off or in a fence.

    >>> [_is_json(one) for one in ('{}', '```json\\n{"a": 1}\\n```', "{'a': 'b'}", '{"a": "cut', "[a] polyp (2 mm)")]
    [True, True, True, True, False]
    """
    body = _FENCE.sub(r"\1", text.strip()[:_LONGEST]).strip()
    if not body.startswith(("{", "[")):
        return False
    if re.match(r"[\[{]\s*(?:[\]}]|[\"'][^\"']{0,80}[\"']\s*[:,\]])", body) or re.match(r"\[\s*\{", body):
        return True
    try:
        return isinstance(json.loads(body), (dict, list))
    except (ValueError, RecursionError):
        return False


def _commonest(texts: Iterable[str | None]) -> tuple[str, float]:
    """The commonest text and its share; a share of 0 where there are too few texts to tell."""
    counts = Counter(" ".join(text.split()) for text in texts if text)
    total = sum(counts.values())
    if total < _ENOUGH:
        return "", 0.0
    text, count = counts.most_common(1)[0]
    return text, count / total


def _filled_in(rows: Sequence[Said]) -> tuple[float, str]:
    """Share of the rows whose explanation is, by length, mostly sentences of a template, and one such sentence."""
    cut = [_skeletons(one) for one in rows if one.explanation and one.explanation.strip()]
    if len(cut) < _ENOUGH:
        return 0.0, ""
    counts = Counter(sentence for sentences in cut for sentence in set(sentences))
    least = max(3, _RECURS * len(cut))
    filled = 0
    for sentences in cut:
        whole = sum(map(len, sentences))
        shared = sum(len(one) for one in sentences if counts[one] >= least)
        filled += bool(whole) and shared > _MOST * whole
    example = max(counts, key=lambda one: (counts[one], len(one)), default="")
    return filled / len(cut), example


def _skeletons(one: Said) -> list[str]:
    """Sentences without what a template fills in: quotations, answer, question, numbers."""
    text = (one.explanation or "")[:_LONGEST].lower()
    for part in (one.question, one.answer or ""):
        bare = part.lower().strip().rstrip(".?!")
        if len(bare) > 2:
            text = text.replace(bare, "...")
    text = re.sub(r"\d+(?:\.\d+)?", "#", _QUOTED.sub("...", text))
    return [" ".join(sentence.split()) for sentence in _SENTENCE.split(text) if sentence.strip()]


__all__ = ["Said", "check_answers", "check_explanations"]
