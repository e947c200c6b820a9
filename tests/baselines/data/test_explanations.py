"""Explanations from facts and from a server of the test's own; rate, resuming, and how varied they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gi_bench.baselines.data import explanations as writing
from gi_bench.harness.cli import _main
from gi_bench.harness.language_model import LanguageModelError, replies
from gi_bench.harness.suites.phantom.suite import PhantomSuite

SUITE = PhantomSuite("validation", 4)


class _Model:
    """Replies as told; keeps what it was asked."""

    name = "tested"

    def __init__(self, *replies: str, fails_at: int = -1) -> None:
        self.replies, self.asked, self.fails_at = list(replies), [], fails_at  # type: ignore[var-annotated]

    def reply(self, messages: Any, attempt: int) -> str:
        if len(self.asked) == self.fails_at:
            raise LanguageModelError("the server cannot be reached", where="here")
        self.asked.append(messages)
        return self.replies[len(self.asked) % len(self.replies)]


def test_facts_give_varied_texts_that_repeat() -> None:
    suite = PhantomSuite("validation")
    written = writing.write_from_facts(suite, per_image=3)
    assert written == writing.write_from_facts(suite, per_image=3)
    assert len(written) == 3 * len({q.img_id for q in suite.questions})
    found = writing.diversity([one.explanation for one in written])
    assert found["unique"] > 0.5
    assert 0 < found["self_bleu"] < 1
    facts = writing.facts_of(suite.questions)
    for one in written:
        if "Its colours are" in one.explanation:
            colours = facts[one.img_id]["What color is the abnormality? If more than one separate with ;"]
            assert all(colour.strip() in one.explanation for colour in colours.split(";"))


def test_diversity_knows_repetition() -> None:
    same = writing.diversity(["a red bump lies in the middle of it"] * 10)
    assert same["self_bleu"] == pytest.approx(1.0)
    assert same["unique"] == 0.1
    other = writing.diversity([f"w{i}a w{i}b w{i}c w{i}d w{i}e" for i in range(10)])
    assert other["self_bleu"] < 0.05
    assert other["distinct_2"] == 1.0
    with pytest.raises(ValueError, match="two texts"):
        writing.diversity(["one"])


def test_a_model_describes_and_explains_and_is_asked_once(tmp_path: Path) -> None:
    chat = _Model("A smooth red bump lies in the middle of the view.")
    cache = replies(tmp_path)
    written, counts = writing.write_with_model(SUITE, chat, cache, vision=chat, per_image=2)
    images = len({q.img_id for q in SUITE.questions})
    assert len(written) == 2 * images
    assert counts == {"rows": 2 * images, "no acceptable reply": 0, "no description": 0}
    assert len(chat.asked) == 3 * images, "one description an image, one explanation a row"
    pictures = [m for m in chat.asked if isinstance(m[0]["content"], list)]
    assert all(m[0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,") for m in pictures)
    last = json.loads(chat.asked[-1][-1]["content"])
    assert set(last) == {"question", "answer", "facts", "description"}
    silent = _Model("x", fails_at=0)
    assert writing.write_with_model(SUITE, silent, cache, vision=silent, per_image=2)[0] == written


def test_an_interrupted_job_goes_on(tmp_path: Path) -> None:
    cache = replies(tmp_path)
    good = "A smooth red bump lies in the middle of the view."
    with pytest.raises(LanguageModelError, match="after 3 of 4 rows"):
        writing.write_with_model(SUITE, _Model(good, fails_at=3), cache)
    rest = _Model(good)
    written, _ = writing.write_with_model(SUITE, rest, cache)
    assert (len(written), len(rest.asked)) == (4, 1)


def test_replies_that_are_no_explanation_are_counted(tmp_path: Path) -> None:
    chat = _Model('{"explanation": "x"}', "yes", "# Title with several words in it")
    written, counts = writing.write_with_model(SUITE, chat, replies(tmp_path))
    assert written == []
    assert counts["no acceptable reply"] == 4
    assert len(chat.asked) == 12, "three attempts each"
    assert not writing.acceptable("word " * 121)


def test_a_rate_is_kept() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    limit = writing.RateLimit(4, clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        limit.wait()
    assert slept == [15.0, 15.0]
    now[0] += 100
    limit.wait()
    assert len(slept) == 2


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "e.jsonl"
    assert _main(["data", "explanations", "-s", "phantom/validation", "-o", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert set(rows[0]) == {"img_id", "question", "answer", "explanation", "source"}
    assert "self_bleu" in capsys.readouterr().out
    assert _main(["data", "explanations", "--source", "model", "-o", str(out)]) == 2
    assert "needs a server" in capsys.readouterr().err
    assert _main(["data", "explanations", "--source", "oracle", "-o", str(out)]) == 2
