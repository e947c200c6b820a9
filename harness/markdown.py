"""Foreign text in Markdown: a name or a note stays what it says, whatever is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gi_bench.harness.terminal import clean

# Punctuation that starts or ends something: a cell, a link, HTML, code, emphasis, a formula, a mention, an entity.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~&!#$@])")
# Bare addresses become links by themselves.
_ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)


def one_line(value: Any) -> str:
    r"""A value as one line of Markdown, in a table or outside: nothing in it is taken for markup or HTML.

    Args:
        value: text, number, or what JSON can hold; a list becomes its items, an object its names and values.

    >>> one_line("a|b\n<b> `c` [d](http://e)")
    'a\\|b \\<b\\> \\`c\\` \\[d\\](http\\://e)'
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(key)} {one_line(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(one_line, value))
    text = clean(" ".join(str(value).split()))
    return _ADDRESS.sub(lambda found: f"{found[0][:-3]}\\://" if "/" in found[0] else f"{found[0][:-1]}\\.",
                        _MARKUP.sub(r"\\\1", text))  # fmt: skip


def code(text: str) -> str:
    """A text as code in one line of Markdown, also in a table.

    >>> code("kvasir-vqa-x1/test"), code("a`|b")
    ('`kvasir-vqa-x1/test`', "`a'/b`")
    """
    return "`" + clean(" ".join(str(text).split())).replace("`", "'").replace("|", "/") + "`"


__all__ = ["code", "one_line"]
