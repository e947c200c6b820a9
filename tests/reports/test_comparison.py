"""The comparison page: right numbers, inert foreign text, nothing fetched."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.harness.store import content_digest
from gi_bench.reports.command import after_run
from gi_bench.reports.comparison import build_page, render, write_report
from gi_bench.reports.comparison.table import best_of, made_cell
from gi_bench.reports.overlays import PREDICTION_COLOR, REFERENCE_COLOR, outline, overlay
from tests.reports.chromium import Chromium
from tests.reports.parsed_page import HOSTILE, Parsed
from tests.run_folders import phrases, questions, square, write_run


def _run(folder: Path, **options: object) -> Path:
    write_run(folder, **options)  # type: ignore[arg-type]
    score_run(folder, resamples=50)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    good = _run(tmp_path / "good-11111111", variant="good")
    poor = _run(
        tmp_path / "poor-22222222",
        variant="poor",
        answer=lambda q: "one instrument visible in the image" if q.is_negative else "no polyps there at all",
        ground=lambda p: (square(p.label, 0, 0, 12),),
        explain=lambda q: None,
    )
    return [good, poor]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs with enough rows for a star, and one without."""

    def made(name: str, rows: int, **options: object) -> Path:
        shown = phrases(rows // 2)
        return _run(
            tmp_path_factory.mktemp(name) / f"{name}-1", variant=name, rows=questions(rows), shown=shown, **options
        )

    return [
        made("good", 72, explain=lambda q: f"A smooth, shiny bump rises from the wall: {q.answer}"),
        made(
            "poor",
            72,
            answer=lambda q: "one instrument visible in the image" if q.is_negative else "no polyps there at all",
            ground=lambda p: (square(p.label, 0, 0, 12),),
            explain=lambda q: None,
        ),
        made("small", 12),
    ]


def stars(paths: list[Path]) -> dict[str, frozenset[str]]:
    """Titles of the columns in which each run has a star, over all tables."""
    built = build_page(paths)
    found: dict[str, set[str]] = {}
    for band in built.headline.bands:
        for row in band.rows:
            best = {h.title for h, cell in zip(built.headline.heads, row.cells, strict=True) if cell.best}
            found.setdefault(row.name, set()).update(best)
            assert not any(cell.best and cell.small for cell in row.cells)
    for table in built.tables:
        for name, _, cells in table.rows:
            assert not any(cell.best and cell.small for cell in cells)
            found[name].update(head for head, cell in zip(table.heads, cells, strict=True) if cell.best)
    return {name: frozenset(titles) for name, titles in found.items()}


def test_stars_need_thirty_rows_and_somebody_to_beat(large: list[Path], tmp_path: Path) -> None:
    good, poor, small = large
    both = stars([good, poor])
    assert {"BLEU", "ROUGE-L", "METEOR", "fact accuracy", "IoU", "false-positive rate of regions"} <= both["good"]
    assert not both["poor"] & {"BLEU", "IoU", "fact accuracy"}
    assert stars([good]) == {"good": set()}
    # A run of 12 rows has other rows: it stands beside nobody, and gets no star beside a copy of itself.
    with pytest.raises(GiBenchError, match="different rows cannot be compared"):
        build_page([good, poor, small])
    again = shutil.copytree(small, tmp_path / "small-2")
    assert set(stars([small, again]).values()) == {frozenset()}


def test_a_value_over_few_rows_neither_gets_a_star_nor_takes_one_away() -> None:
    info = MetricInfo("m", "M", "", "")
    few, many, other = (Score("m", "all", "all", value, n, n) for value, n in ((0.9, 29), (0.5, 30), (0.4, 30)))
    assert best_of([few, many], info) is None, "nobody is left to beat"
    assert best_of([few, many, other], info) == 0.5
    assert best_of([many, other], replace(info, higher_is_better=False)) == 0.4
    assert best_of([many, other], replace(info, ranked=False)) is None
    assert not made_cell(few, 0.9).best
    assert made_cell(few, 0.9).small


def test_headline_metrics_come_first_and_the_others_in_a_fold(large: list[Path]) -> None:
    built = build_page(large[:2])
    heads = [head.title for head in built.headline.heads]
    assert heads[:2] == ["BLEU", "ROUGE-L"]
    answers = built.tables[0]
    assert sorted(answers.heads) == ["METEOR", "ROUGE-1", "ROUGE-2", "chrF", "exact match", "sacreBLEU"]
    # The tenth, AUROC within classes, is not computed: the confidence is constant.
    assert len(heads) == 9
    text = render(built)
    assert "<summary>Answers: 6 more metrics</summary>" in text
    everything = {*heads, *(head for table in built.tables for head in table.heads)}
    lines = [*built.headline.lines, *(note for table in built.tables for note in table.footnotes)]
    everything |= {info.title for info in built.definitions if any(line.startswith(info.title) for line in lines)}
    assert everything == {info.title for info in built.definitions}, "nothing is lost"


def test_runs_scored_with_other_headlines_are_shown_with_todays(large: list[Path], tmp_path: Path) -> None:
    path = shutil.copytree(large[0], tmp_path / "run") / "scores.json"
    content = json.loads(path.read_text())
    for metric in content["metrics"]:
        metric["headline"] = True
    content["metrics"].append({**content["metrics"][0], "name": "of_a_plugin", "title": "of a plugin"})
    score = next(s for s in content["scores"] if s["metric"] == content["metrics"][0]["name"])
    content["scores"].append({**score, "metric": "of_a_plugin"})
    path.write_text(json.dumps({**content, "digest": content_digest(content)}))
    heads = {head.title for head in build_page([path.parent]).headline.heads}
    assert "of a plugin" in heads
    assert len(heads) == 10


def test_values_intervals_n_and_the_best_mark(large: list[Path]) -> None:
    pair = large[:2]
    text = render(build_page(pair))
    page = Parsed(text)
    good = next(row for row in page.rows if row and row[0].startswith("good"))
    assert "1.0000" in good[1]
    assert "to" in good[1]
    assert "n 72" in page.rows[0][1], "all values of the column rest on the same rows"
    best = [attributes for tag, attributes in page.tags if tag == "td" and attributes.get("class") == "best"]
    assert best
    built = build_page(pair)
    ours, theirs = built.headline.bands[0].rows
    answers = [i for i, head in enumerate(built.headline.heads) if head.metric in ("bleu", "rougeL")]
    assert all(ours.cells[i].best and not theirs.cells[i].best for i in answers)
    rates = [i for i, head in enumerate(built.headline.heads) if head.metric.endswith("_rate")]
    assert [built.headline.heads[i].note for i in rates] == ["lower is better"] * 3
    assert not any(built.headline.heads[i].comparable for i in rates)
    assert "† gi-bench's own, not comparable with published numbers" in text
    assert all(ours.cells[i].best for i in rates if theirs.cells[i].interval), "lower is better is marked as best"
    negatives = next(table for table in built.tables if table.title == "Absent findings")
    assert all("is better; gi-bench's own, not comparable" in note for note in negatives.notes)
    few = [cell for _, tables in built.classes for table in tables for _, _, row in table.rows for cell in row]
    assert few
    assert all(cell.small == (cell.n < 30) for cell in few if cell.interval)


def test_what_was_not_computed_says_why(pair: list[Path]) -> None:
    text = render(build_page(pair))
    assert "not computed: poor: the run explained nothing" in text
    assert "bertscore: " in text
    assert "made for tests" in text, "the suite's note stands on the page"
    assert "Not comparable with published numbers" in text
    assert "f" * 64 in text


def test_published_results_never_stand_beside_another_suite(pair: list[Path]) -> None:
    assert build_page(pair).published == ()
    assert "PaliGemma" not in render(build_page(pair))


def _hostile(tmp_path: Path) -> Path:
    """The page of a run that says bad things in every field."""
    rows = [
        replace(q, img_id=HOSTILE[i % len(HOSTILE)][:200], question=HOSTILE[i % len(HOSTILE)])
        for i, q in enumerate(questions())
    ]
    shown = [
        replace(p, img_id=rows[p.index % 12].img_id, phrase=HOSTILE[p.index % len(HOSTILE)], label=HOSTILE[p.index % 3])
        for p in phrases()
    ]
    run = _run(
        tmp_path / "run",
        variant="<b>bold</b><script>alert(9)</script>",
        rows=rows,
        shown=shown,
        answer=lambda q: HOSTILE[q.index % len(HOSTILE)],
        explain=lambda q: HOSTILE[(q.index + 1) % len(HOSTILE)],
        manifest={"suite_note": HOSTILE[0], "packages": {HOSTILE[0]: HOSTILE[1]}},
    )
    return write_report([run], tmp_path / "page.html")


def test_foreign_text_stays_inert(tmp_path: Path) -> None:
    text = _hostile(tmp_path).read_text(encoding="utf-8")
    page = Parsed(text)
    assert not [tag for tag, _ in page.tags if tag in {"iframe", "object", "embed", "link", "form", "base", "b"}]
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    blocks = [one for one in scripts if one.get("type") == "application/json"]
    assert len(scripts) - len(blocks) == 3, "Vega and two of our own; all else is data"
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/") or re.fullmatch("#[a-z]+", value), value
    assert "{{7*7}}" in text, "a template in the data is not evaluated"
    assert "49{%" not in text
    assert "<script>alert" not in text
    assert "\x00" not in text
    assert "\x1b" not in text
    for encoded in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", text):
        assert b"<script" not in base64.b64decode(encoded)
    policy = next(a for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    rules = policy["content"] or ""
    assert rules.startswith("default-src 'none'; img-src data: blob:")
    assert "unsafe" not in rules


@pytest.mark.parametrize("scripts", [True, False])
def test_foreign_text_does_nothing_in_a_browser(tmp_path: Path, chromium: Chromium, scripts: bool) -> None:
    with chromium.page(_hostile(tmp_path), scripts=scripts) as shown:  # fails on a dialog, an error or a request
        assert shown.locator("main iframe, main script:not([type='application/json'])").count() == 0
        assert shown.locator("main b").filter(has_text="bold").count() == 0


def test_equal_input_gives_an_equal_page(pair: list[Path], tmp_path: Path) -> None:
    first = write_report(pair, tmp_path / "a.html").read_bytes()
    assert write_report(pair, tmp_path / "b.html").read_bytes() == first


def test_runs_on_different_suites_are_refused(pair: list[Path], tmp_path: Path) -> None:
    other = _run(tmp_path / "other", fingerprint="e" * 64)
    with pytest.raises(GiBenchError, match="different suites cannot be compared"):
        build_page([pair[0], other])
    with pytest.raises(GiBenchError, match="no run given"):
        build_page([])
    with pytest.raises(GiBenchError, match="output is a folder"):
        write_report(pair, tmp_path)
    unscored = write_run(tmp_path / "unscored")
    with pytest.raises(GiBenchError, match="has no scores yet"):
        build_page([unscored])


def test_regions_are_drawn_where_they_are() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (96, 96), (90, 60, 50)).save(stream, format="JPEG", quality=95)
    uri = overlay(stream.getvalue(), [square("polyp", 4, 4, 20)], [square("polyp", 28, 28, 16)])
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))).astype(int)
    # A region of a 48 px image in a 96 px preview: corners at twice the coordinates.
    green = np.abs(pixels - REFERENCE_COLOR).sum(axis=2) < 120
    magenta = np.abs(pixels - PREDICTION_COLOR).sum(axis=2) < 160
    assert green[8:10, 10:46].mean() > 0.8
    assert not green[:5].any()
    assert not green[50:].any()
    assert magenta[56:88, 56:88].any()
    assert not magenta[:50].any()
    for untouched in (pixels[60:, :50], pixels[18:40, 18:40], pixels[66:78, 66:78]):
        assert np.abs(untouched - [90, 60, 50]).max() < 40, "nothing is filled"


def test_outline_of_a_square() -> None:
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:10, 2:10] = True
    assert outline(mask, 1).sum() == 28
    assert outline(np.ones((5, 5), dtype=bool), 1).sum() == 16


def test_examples_do_not_depend_on_scores(pair: list[Path]) -> None:
    both = build_page(pair).examples
    alone = build_page(pair[:1]).examples
    assert [(e.img_id, e.question, e.phrase) for e in both] == [(e.img_id, e.question, e.phrase) for e in alone]
    assert any(e.phrase_negative for e in both)
    words = {said.overlap for e in both for said in e.said}
    assert "rightly nothing shown" in words
    assert "false alarm" in words
    assert "IoU 1.00" in words


def test_after_a_run_one_page_stands_beside_the_runs(pair: list[Path]) -> None:
    ((what, path),) = after_run(pair)
    assert what == "report"
    assert path == pair[0].parent / "report.html"
    assert path.stat().st_size > 10_000


def test_replies_stand_on_the_page_and_silence_gets_no_star(tmp_path: Path) -> None:
    """A run that apologises has no rate; its states stand beside those of a run that takes part."""
    sorry = write_run(tmp_path / "a", variant="sorry", answer=lambda q: "I am sorry", explain=lambda q: q.answer)
    other = write_run(
        tmp_path / "b",
        variant="other",
        answer=lambda q: "one instrument" if q.index == 1 else q.answer,
        explain=lambda q: f"A smooth bump of 5 mm. {q.explanation}",
    )
    for folder in (sorry, other):
        score_run(folder, resamples=50)
    page = build_page([sorry, other])
    column = [head.title for head in page.headline.heads].index("false-positive rate of answers")
    cells = {row.name: row.cells[column] for row in page.headline.bands[0].rows}
    notes = {row.name: row.notes for row in page.headline.bands[0].rows}
    assert "12 refused of 12 answers" in notes["sorry"]
    assert (cells["sorry"].value, cells["sorry"].best, cells["other"].best) == ("not computed", False, False)
    assert "takes no part: 0 of 6 answers" in cells["sorry"].reason
    answers, _, explanations = page.replies
    assert answers.rows == (("sorry", (0, 0, 12, 0, 0), "0.0 %"), ("other", (7, 5, 0, 0, 0), "100.0 %"))
    assert explanations.rows[0] == ("sorry", (0, 0, 0, 0, 12), "0.0 %")
    assert ("sorry", "polyp_count", (0, 0, 6, 0, 0), "0.0 %") in answers.by_class
    found = Parsed(render(page))
    assert ["sorry", "0", "0", "12", "0", "0", "0.0 %"] in [[cell.strip() for cell in row] for row in found.rows]


def test_a_rate_of_false_alarms_says_what_words_alone_tell(tmp_path: Path) -> None:
    """Absent things are asked for in words of their own here, so that no image is needed."""
    shown = [replace(p, label="polyp", phrase="jagged line" if p.is_negative else "round polyp") for p in phrases(60)]
    run = _run(tmp_path / "worded-1", variant="worded", rows=questions(72), shown=shown)
    headline = build_page([run]).headline
    place = [head.title for head in headline.heads].index("false-positive rate of regions")
    assert headline.bands[0].rows[0].cells[place].way == "told by words alone: 1.00"
    assert "told by words alone: 1.00" in render(build_page([run]))
