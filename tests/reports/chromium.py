"""Pages opened in a real browser: Debian's Chromium or another on the path, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LOCAL = ("file:", "data:", "blob:", "about:")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"]


def found_browser() -> str | None:
    """The browser that tests use; ``GI_BENCH_BROWSER`` names another."""
    return os.environ.get("GI_BENCH_BROWSER") or next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser for many pages."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def page(self, path: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> Iterator[Any]:
        """Open a file; a message of an error or a request that leaves the file fails the test.

        Args:
            path: HTML file.
            width: of the window, in CSS pixels.
            dark: what the system prefers.
            scripts: whether the browser runs scripts.
        """
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            accept_downloads=True,
        )
        page, faults = context.new_page(), []
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda sent: faults.append(sent.url) if not sent.url.startswith(_LOCAL) else None)
        try:
            page.goto(path.resolve().as_uri())
            if scripts:
                page.wait_for_selector("html[data-ready=true]", state="attached")
            yield page
            assert not faults, faults
        finally:
            context.close()


@contextmanager
def started(browser: str) -> Iterator[Chromium]:
    """A browser that runs for as long as the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=_FLAGS)
        try:
            yield Chromium(launched)
        finally:
            launched.close()
