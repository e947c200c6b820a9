"""A submission's folder as one ZIP: equal files give equal bytes, whenever and wherever they were written."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.placing import placing
from gi_bench.submissions.check.folder import Folder

# Stands in every archive of ours, so that only those are written over.
MARK = b"gi-bench submit pack"
_BLOCK = 1 << 20


def pack(folder: Folder, output: Path) -> int:
    """Write the archive, whole or not at all.

    Args:
        folder: files to pack.
        output: the archive; one that this function wrote is replaced.

    Returns:
        Its size in bytes.

    Raises:
        GiBenchError: the output is not ours to replace, lies in the folder, or cannot be written.
    """
    _check_output(folder, output)
    try:
        with placing(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.comment = MARK
            for member in sorted(folder.files):
                _add(archive, member, folder.files[member].path)
        return output.stat().st_size
    except OSError as error:
        raise GiBenchError(
            f"cannot write: {error.strerror or error}", where=output, do="make room or choose another -o"
        ) from error


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3
    entry.compress_type = zipfile.ZIP_DEFLATED
    with path.open("rb") as source, archive.open(entry, "w", force_zip64=path.stat().st_size >= 1 << 31) as target:
        while block := source.read(_BLOCK):
            target.write(block)


def _check_output(folder: Folder, output: Path) -> None:
    do = "choose another -o"
    if output.resolve().is_relative_to(folder.root):
        raise GiBenchError("the archive would lie in the folder that it packs", where=output, do=do)
    if output.is_symlink() or (output.exists() and not output.is_file()):
        raise GiBenchError("the output is there and is no file", where=output, do=do)
    if output.exists() and not _is_ours(output):
        raise GiBenchError("the output is there, and gi-bench did not write it", where=output, do=do)


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == MARK
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


__all__ = ["MARK", "pack"]
