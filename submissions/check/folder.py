"""A folder of foreign files, read without following what leads out of it and without reading more than is bearable."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gi_bench.harness.errors import GiBenchError
from gi_bench.submissions.check.findings import Findings, shown

MOST_FILES = 100_000
# What tools leave beside a repository's files; never part of a submission.
IGNORED_FOLDERS = frozenset({".git", ".cache", "__pycache__", ".ipynb_checkpoints", ".venv", ".mypy_cache"})
IGNORED_FILES = frozenset({".DS_Store", "Thumbs.db"})


@dataclass(frozen=True)
class Member:
    """A file of the folder.

    Attributes:
        name: path in the folder, ``/`` between its parts.
        path: where its bytes are, links resolved.
        size: bytes.
    """

    name: str
    path: Path
    size: int


@dataclass(frozen=True)
class Folder:
    """The regular files of a folder, by name."""

    root: Path
    files: dict[str, Member]

    @staticmethod
    def scan(root: Path, found: Findings) -> Folder:
        """List a folder; what is no regular file inside it is reported and left out.

        Raises:
            GiBenchError: it is no folder, or cannot be listed.
        """
        if not root.is_dir():
            raise GiBenchError("not a folder", where=root, do="give the folder of a submission")
        root = root.resolve()
        files: dict[str, Member] = {}
        for parent, folders, names in os.walk(root, onerror=_refuse):
            here = Path(parent)
            folders[:] = sorted(one for one in folders if one not in IGNORED_FOLDERS)
            links = [one for one in folders if (here / one).is_symlink()]
            for name in sorted({*names, *links} - IGNORED_FILES):
                member = _member(root, here / name, found)
                if member is not None:
                    files[member.name] = member
                if len(files) > MOST_FILES:
                    raise GiBenchError(f"more than {MOST_FILES:,} files", where=root,
                                       do="give the folder of one submission")  # fmt: skip
        return Folder(root, dict(sorted(files.items())))

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def read(self, name: str, most: int, found: Findings) -> bytes | None:
        """Content of a file; None, and a finding, where it is larger than ``most`` bytes or unreadable."""
        member = self.files[name]
        try:
            with member.path.open("rb") as stream:
                content = stream.read(most + 1)
        except OSError as error:
            found.add("file-kind", f"cannot be read: {error.strerror}", name)
            return None
        if len(content) > most:
            found.add("size", f"more than {most / 1e6:,.0f} MB, so that it was not read", name)
            return None
        return content

    def read_text(self, name: str, most: int, found: Findings) -> str | None:
        """Text of a file with plain line ends; None where it cannot be read. Marks and line ends are reported."""
        content = self.read(name, most, found)
        if content is None:
            return None
        if content.startswith(b"\xef\xbb\xbf"):
            found.add("bom", "take the first three bytes away (in most editors: save as UTF-8 without BOM)", name, 1)
            content = content[3:]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            found.add("not-utf8", f"byte {error.start}", name, content.count(b"\n", 0, error.start) + 1)
            return None
        if "\r" in text:
            found.add(
                "line-ends", f"{text.count(chr(13)):,} carriage returns", name, text[: text.index("\r")].count("\n") + 1
            )
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text


def _refuse(error: OSError) -> None:
    raise GiBenchError(f"cannot list the folder: {error.strerror}", where=error.filename, do="check its rights")


def _member(root: Path, path: Path, found: Findings) -> Member | None:
    name = path.relative_to(root).as_posix()
    try:
        real = path.resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError):  # RuntimeError: a ring of links, before Python 3.13
        found.add("link-outside", "the link leads nowhere", name)
        return None
    if path.is_symlink() and not real.is_relative_to(root):
        found.add("link-outside", f"leads to {shown(real.name)} outside; put the file itself there", name)
        return None
    if not stat.S_ISREG(status.st_mode):
        found.add("file-kind", "a link to a folder, a device or a pipe", name)
        return None
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        found.add("file-kind", "its name is not UTF-8", name)
        return None
    return Member(name, real, status.st_size)


__all__ = ["IGNORED_FILES", "IGNORED_FOLDERS", "Folder", "Member"]
