"""A page as its reader sees it, and the texts that no page may let through."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = [
    "<script>alert(1)</script>",
    '" onerror="alert(1)',
    "javascript:alert(1)",
    "{{7*7}}{% raw %}",
    "\x00\x1b[31mred\x07",
    "</svg><script>alert(2)</script>",
    "x" * 10_000,
    "]]><img src=x onerror=alert(3)>",
]


class Parsed(HTMLParser):
    """Collects tags with attributes, and the text of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        self._open = tag in {"td", "th"} or (self._open and tag not in {"table", "tr"})
        if tag in {"td", "th"} and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
