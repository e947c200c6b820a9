"""The files around a submission: requirements, the card, sizes, pickles."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder

REQUIREMENTS = "requirements.txt"
README = "README.md"
_MOST_TEXT = 4_000_000
_GB = 1_000_000_000
# The Hub's own limits and advice: docs "Repository limitations and recommendations".
_LARGE, _TOO_LARGE = 5 * _GB, 50 * _GB
_PLAIN_FILE = 10_000_000
_PLAIN = frozenset(
    (".py", ".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ipynb", ".html", ".log")
)
_FOLDER = 10_000
_PICKLES = frozenset([".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill"])


def check_contents(folder: Folder, found: Findings) -> None:
    """Report what is wrong with the files around the submission."""
    if REQUIREMENTS in folder:
        _check_requirements(folder, found)
    if README in folder:
        _check_card(folder, found)
    else:
        found.add("readme-missing", "the organisers ask for one that tells how answers and explanations are made")
    counts: dict[str, int] = {}
    for name, member in folder.files.items():
        path = PurePosixPath(name)
        parent = path.parent.as_posix()
        counts[parent] = counts.get(parent, 0) + 1
        _check_size(name, path.suffix.lower(), member.size, found)
        if path.suffix.lower() in _PICKLES or _is_pickle(folder, name):
            found.add("pickle", "give the weights as safetensors", name)
    for parent, count in counts.items():
        if count > _FOLDER:
            found.add(
                "size-hub",
                f"{count:,} files in one folder, and the Hub takes {_FOLDER:,}",
                "" if parent == "." else parent,
            )


def _check_size(name: str, suffix: str, size: int, found: Findings) -> None:
    if size > _TOO_LARGE:
        found.add("size", f"{size / _GB:,.1f} GB, and the Hub takes 50 GB a file", name)
    elif size > _LARGE:
        found.add("size-hub", f"{size / _GB:,.1f} GB: cut it into files of at most 5 GB", name)
    elif size > _PLAIN_FILE and suffix in _PLAIN:
        found.add("size-hub", f"{size / 1e6:,.0f} MB: git pushes over 10 MB need Git LFS", name)


def _is_pickle(folder: Folder, name: str) -> bool:
    try:
        with folder.files[name].path.open("rb") as stream:
            start = stream.read(2)
    except OSError:
        return False
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5


def _check_requirements(folder: Folder, found: Findings) -> None:
    text = folder.read_text(REQUIREMENTS, _MOST_TEXT, found)
    if text is None:
        return
    joined = ""
    for number, line in enumerate(text.split("\n"), start=1):
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        body = re.sub(r"(?:^|\s)#.*$", "", joined).strip()
        joined = ""
        if body:
            _check_requirement(body, number, found)


def _check_requirement(body: str, line: int, found: Findings) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    if body.startswith("-"):
        flag = re.split(r"[\s=]", body, maxsplit=1)[0]
        if flag in ("-r", "--requirement", "-c", "--constraint", "-e", "--editable"):
            found.add("requirement", f"{shown(body)}: the client fetches this file alone", REQUIREMENTS, line)
        else:
            found.add("requirement-loose", f"{shown(body)}: an option for all packages", REQUIREMENTS, line)
        return
    if re.match(r"(?:git|hg|svn|bzr)\+|https?://", body):
        found.add("requirement-loose", f"{shown(body)}: an address outside the index", REQUIREMENTS, line)
        return
    body = re.split(r"\s+--(?:hash|config-settings|global-option)\b", body, maxsplit=1)[0]
    try:
        wanted = Requirement(body)
    except InvalidRequirement as error:
        found.add("requirement", f"{shown(body)}: {str(error).partition(chr(10))[0][:120]}", REQUIREMENTS, line)
        return
    if wanted.url is not None and wanted.url.startswith("file:"):
        found.add("requirement", f"{shown(body)}: a file of another machine", REQUIREMENTS, line)
    elif wanted.url is not None:
        found.add("requirement-loose", f"{shown(body)}: an address outside the index", REQUIREMENTS, line)
    elif any("+" in one.version for one in wanted.specifier):
        found.add("requirement", f"{shown(body)}: the index has no local version; leave +... away", REQUIREMENTS, line)


def _check_card(folder: Folder, found: Findings) -> None:
    import yaml  # type: ignore[import-untyped]

    text = folder.read_text(README, _MOST_TEXT, found)
    if text is None:
        return
    if not text.strip():
        found.add("readme-missing", "it is empty", README)
    header = re.match(r"---\n(.*?)\n---(?:\n|$)", text[:200_000], re.DOTALL)
    if header is None:
        return
    try:
        content = yaml.safe_load(header.group(1))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark is not None else 1
        found.add("readme-header", str(getattr(error, "problem", None) or "it cannot be read"), README, line)
        return
    if content is not None and not isinstance(content, dict):
        found.add("readme-header", f"{shown(content)} where keys have to be", README, 2)


__all__ = ["check_contents"]
