"""What should not leave a machine: secrets, addresses of people, and paths of its own, in every text of a folder."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder, Member
from gi_bench.submissions.check.scripts import Script

MOST_BYTES = 8_000_000
MOST_OF_ALL = 128_000_000
_BINARY = re.compile(
    r"\.(?:safetensors|bin|pt|pth|pkl|pickle|ckpt|np[yz]|h5|onnx|gguf|png|jpe?g|gif|webp|tiff?|bmp|zip|gz|tar|xz|7z|"
    r"parquet|arrow|so|pyd|dll|mp4|pdf|woff2?)$", re.IGNORECASE
)  # fmt: skip
# What it is, its expression, and texts of which one has to be there: looking for those first is much faster.
_SECRETS = (
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}"), ("hf_",)),
    ("an AWS key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), ("AKIA", "ASIA")),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]{1,20} ){0,3}PRIVATE KEY-----"), ("PRIVATE KEY-----",)),
    (
        "a GitHub token",
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{30,})"),
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    ("an API key", re.compile(r"\bsk-(?:[A-Za-z]{2,10}-)?[A-Za-z0-9_-]{20,}"), ("sk-",)),
    ("a Google key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}"), ("AIza",)),
    ("a Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}"), ("xox",)),
)
_NAMES = re.compile("key|secret|passw|token", re.IGNORECASE)
# A name that says secret, and a value that looks like one: letters and digits, no words.
_NAMED = re.compile(
    r"(?<![A-Za-z])(?:[A-Za-z]{1,20}[_-]){0,3}(?:api[_-]?key|secret(?:[_-]?key)?|access[_-]?key|password|passwd|"
    r"(?:access|auth|hf|hub|wandb|api)[_-]?token|(?<=_)token)[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
    r"(?P<value>[A-Za-z0-9_./+=-]{8,200})(?![A-Za-z0-9_(\[])", re.IGNORECASE
)  # fmt: skip
_PASSWORD = re.compile(
    r"(?:api[_-]?key|password|passwd|secret)\s{0,4}=\s{0,4}[\"'](?P<value>[^\"'\s]{6,200})[\"']", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"your|xxx|\*\*\*|example|changeme|placeholder|environ|getenv|\.\.\.|^<|^\$|^none$|^null$|^true$", re.IGNORECASE
)
_SECRET_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.\w+)?|id_(?:rsa|ed25519|ecdsa|dsa)|\.netrc|\.git-credentials|[^/]*\.(?:pem|p12|pfx))$"
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_PATH = re.compile(
    r"(?<![\w.:/~$}>-])(?:/(?:home|Users|root|mnt|media|content|kaggle|workspace|scratch|gpfs|lustre|storage|work|data|"
    r"srv|opt|nfs|export|projects?)/[\w.@+-][\w.@+/-]{0,300}|~/[\w.][\w./-]{0,300}|"
    r"[A-Za-z]:\\{1,2}[\w.-][\w.\\ -]{0,300}|file:///[\w.][\w./-]{0,300})"
)


def check_leaks(folder: Folder, scripts: dict[str, Script], blocks: dict[str, str], found: Findings) -> None:
    """Search the folder's texts.

    Args:
        folder: the submission.
        scripts: those that are Python, by name; their SUBMISSION_INFO may hold addresses.
        blocks: text to search for addresses instead of the file's own, by name.
        found: what is there.
    """
    budget = MOST_OF_ALL
    for name, member in folder.files.items():
        if _SECRET_FILES.search(name):
            found.add("secret", "a file of this name holds keys or passwords", name)
        if _BINARY.search(name) or not member.size:
            continue
        if budget <= 0:
            found.skip(f"secrets, addresses and paths in {shown(name)} and the files after it: too much text")
            return
        text = _text_of(member)
        if text is None:
            continue
        budget -= len(text)
        if member.size > MOST_BYTES:
            found.skip(f"secrets, addresses and paths in {shown(name)} after its first {MOST_BYTES // 1_000_000} MB")
        _search(name, text, scripts.get(name), blocks, found)


def _text_of(member: Member) -> str | None:
    try:
        with member.path.open("rb") as stream:
            content = stream.read(MOST_BYTES)
    except OSError:
        return None
    return None if b"\0" in content[:4096] else content.decode("utf-8", "replace")


def _search(name: str, text: str, script: Script | None, blocks: dict[str, str], found: Findings) -> None:
    hidden: set[int] = set()
    for what, pattern, needs in _SECRETS:
        for match, line in _numbered(pattern, text) if any(one in text for one in needs) else ():
            hidden.add(line)
            found.add("secret", f"{what}, {_start(match.group())}", name, line)
    for pattern in (_NAMED, _PASSWORD) if _NAMES.search(text) else ():
        for match, line in _numbered(pattern, text):
            if line not in hidden and _looks_secret(match.group("value"), pattern is _PASSWORD):
                hidden.add(line)
                found.add("secret", f"a value of {shown(_key(match.group()))}", name, line)
    for email, line in _emails(name, text, script, blocks):
        found.add("email", shown(email), name, line)
    code = "path-absolute" if script is None else "path-in-script"
    for path, line in _paths(text) if script is None else _strings(script):
        found.add(code, shown(path), name, line)


def _numbered(pattern: re.Pattern[str], text: str, first: int = 1) -> Iterator[tuple[re.Match[str], int]]:
    """Matches with their lines, counted on from one to the next: a hostile text may have millions."""
    position, line = 0, first
    for match in pattern.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        yield match, line


def _start(secret: str) -> str:
    return f"{secret[:4]}..." if not secret.startswith("-") else secret.strip("-").lower()


def _key(text: str) -> str:
    return re.split(r"[\"'\s:=]", text, maxsplit=1)[0]


def _looks_secret(value: str, is_quoted: bool) -> bool:
    if _PLACEHOLDER.search(value):
        return False
    has_both = bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value))
    return has_both or (is_quoted and not value.isidentifier())


def _emails(name: str, text: str, script: Script | None, blocks: dict[str, str]) -> Iterator[tuple[str, int]]:
    if name in blocks:
        yield from ((match.group(), 0) for match in _EMAIL.finditer(blocks[name]))
        return
    if "@" not in text:
        return
    if name.endswith(".py"):
        if script is None:  # damaged, which is told: where its SUBMISSION_INFO ends cannot be
            return
        first, last = script.info_lines
        for start, part in _words_of_python(text):
            for match, line in _numbered(_EMAIL, part, start):
                if not first <= line <= last:
                    yield match.group(), line
        return
    for match, line in _numbered(_EMAIL, text):
        if match.group().partition("@")[0] != "git":  # git@github.com:owner/name is an address of nobody
            yield match.group(), line


def _words_of_python(text: str) -> Iterator[tuple[int, str]]:
    """Comments and texts of a script, with their lines: elsewhere @ multiplies matrices. All of it if it is damaged."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING) or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
                found.append((token.start[0], token.string))
    except (tokenize.TokenError, SyntaxError, ValueError):
        found = [(1, text)]
    yield from found


def _paths(text: str) -> Iterator[tuple[str, int]]:
    if "/" not in text and "\\" not in text:
        return
    for match, line in _numbered(_PATH, text):
        yield match.group(), line


def _strings(script: Script) -> Iterator[tuple[str, int]]:
    """Absolute paths among the texts of a script, which it needs where it runs; comments need nothing."""
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for match, line in _numbered(_PATH, node.value, node.lineno):
                yield match.group(), line


__all__ = ["check_leaks"]
