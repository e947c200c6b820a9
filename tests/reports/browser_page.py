"""A page that holds the example browser alone, for tests of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gi_bench.harness.files import write_bytes
from gi_bench.harness.store import Run, open_run
from gi_bench.reports.browser import Browser, build_browser
from gi_bench.reports.pages import environment, finish
from gi_bench.reports.palette import run_color, run_shape

_TEMPLATE = """{% extends "base.html.j2" %}
{% block title %}Examples{% endblock %}
{% block head %}<style>{{ static("browser.css") }}</style>{% endblock %}
{% block header %}<h1>Examples</h1>{% endblock %}
{% block body %}{% include "browser.html.j2" %}<p data-without-browser>static</p>{% endblock %}
{% block late %}<script>{{ static("browser.js") }}</script>{% endblock %}"""


def write_page(path: Path, browser: Browser) -> Path:
    """Write a page with the browser and its bar of runs."""
    runs = [
        {"name": name, "color": run_color(i), "shape": run_shape(i), "role": "model"}
        for i, name in enumerate(browser.names)
    ]
    html = environment().from_string(_TEMPLATE).render(browser=browser, runs=runs)
    write_bytes(path, finish(html, linked_pictures=browser.links_pictures).encode("utf-8", errors="backslashreplace"))
    return path


def page_of(
    path: Path, runs: Sequence[Path | Run], *, cap_bytes: int = 12_000_000, pictures_dir: Path | None = None
) -> Browser:
    """Write the page of some runs, and give its browser."""
    opened = [open_run(run) for run in runs]
    names = [run.variant for run in opened]
    browser = build_browser(opened, names, cap_bytes=cap_bytes, pictures_dir=pictures_dir, page_dir=path.parent)
    write_page(path, browser)
    return browser
