"""What all pages share: templates that escape, foreign text made visible, data for scripts, and the page's policy.

A page is one file that fetches nothing. Its scripts and styles are ours and stand in it whole; the policy names them
by their hashes, so that nothing else runs. What models and data say reaches scripts as JSON in a data block only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.harness.provenance import digest_of, keep, recall

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HERE = Path(__file__).parent
# Fewer rows than this are marked as few.
SMALL_N = 30
# The newest Vega-Lite that the oldest supported vl-convert brings.
VEGA_LITE = "6.4"
_POLICY = "@@POLICY@@"
# "<!--" and "</script" would end a block, U+2028 and U+2029 a line of JavaScript.
_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def visible(text: object) -> str:
    """Foreign text with control, format and bidirectional characters made visible; the template escapes it.

    >>> visible("a\\x1b[31m\\u202eb")
    'a\\\\x1b[31m\\\\u202eb'
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(c if c == "\n" or not _is_hidden(c) else _code(c) for c in shown)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def data_block(name: str, value: Any) -> Markup:
    """A block of data for the page's scripts.

    Args:
        name: id of the block.
        value: what JSON can hold; numbers are finite.

    Returns:
        ``<script type="application/json">``, which no browser runs.

    Raises:
        ValueError: a number is not finite.
    """
    from markupsafe import Markup, escape

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPED)
    # A lone surrogate cannot be written as UTF-8; its escape can, and reads as the same text.
    text = (
        "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text) if _has_surrogate(text) else text
    )
    return Markup('<script type="application/json" id="{}">{}</script>').format(escape(name), Markup(text))


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def static(name: str) -> Markup:
    """A script or style of ours, to stand in the page."""
    from markupsafe import Markup

    return Markup((HERE / "static" / name).read_text(encoding="utf-8"))


def vega() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script (0.9 MB): ``window.vegaEmbed``."""
    from importlib.metadata import version

    from markupsafe import Markup

    made = digest_of("vega", version("vl-convert-python"), VEGA_LITE)
    script = recall(made)
    if not isinstance(script, str):
        import vl_convert

        # Putting it together takes three seconds.
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
        keep(made, script)
    # Text of a script must not end it; in the library both occur in strings and comments only. Its short names stay
    # inside a function of its own: a page's scripts share one room.
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return Markup(f"(() => {{\n{script}\n}})();")


def finish(html: str, *, linked_pictures: bool = False) -> str:
    """Write the page's policy: what stands in it runs, by its hash, and nothing else; nothing is fetched.

    Args:
        html: the page, with its place for a policy.
        linked_pictures: whether it shows pictures that lie beside it, which are all that it may read then.

    Raises:
        ValueError: the page has no place for a policy.
    """
    if html.count(_POLICY) != 1:
        raise ValueError("a page has one place for its policy: templates extend base.html.j2")
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).digest()).decode()
        if f"'sha256-{digest}'" not in hashes[kind]:
            hashes[kind].append(f"'sha256-{digest}'")
    # Opened from disk, a page is of the scheme "file" and of no origin: "self" is for one that a server gives.
    beside = " 'self' file:" if linked_pictures else ""
    rules = ["default-src 'none'", f"img-src data: blob:{beside}", "base-uri 'none'", "form-action 'none'"]
    rules += [f"{kind}-src {' '.join(found)}" for kind, found in hashes.items() if found]
    return html.replace(_POLICY, "; ".join(rules))


def environment() -> Environment:
    """Jinja over our templates: everything is escaped, a missing value is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["visible"] = visible
    made.globals.update(static=static, vega=vega, data_block=data_block, policy=_POLICY)
    return made


def render(template: str, *, linked_pictures: bool = False, **values: Any) -> str:
    """A page out of a template that extends ``base.html.j2``; ``linked_pictures`` as for :func:`finish`."""
    return finish(environment().get_template(template).render(**values), linked_pictures=linked_pictures)


__all__ = ["SMALL_N", "data_block", "environment", "finish", "render", "static", "vega", "visible"]
