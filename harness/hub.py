"""The Hugging Face Hub: what is in its cache, and why something could not be had, in words that a user can act on."""

from __future__ import annotations

import os
import re
from pathlib import Path

_COMMIT = re.compile("[0-9a-f]{40}")


def cached_snapshot(source: str) -> Path | None:
    """The snapshot of a model in the Hub's cache, as the Hub's own library would take it; None where there is none.

    Looked up without that library, which takes longer to load than a finished run takes to be found.

    Args:
        source: ``owner/name`` or ``owner/name@revision``.
    """
    repo, _, revision = source.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or repo.startswith(".") or ".." in revision:
        return None
    folder = _cache_folder() / f"models--{repo.replace('/', '--')}"
    try:
        commit = revision
        if not _COMMIT.fullmatch(commit):
            commit = (folder / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
        found = folder / "snapshots" / commit
        return found if _COMMIT.fullmatch(commit) and found.is_dir() else None
    except (OSError, UnicodeDecodeError):
        return None


def _cache_folder() -> Path:
    """Where the Hub's library keeps what it downloads, by the same environment variables."""
    own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if own:
        return Path(own).expanduser()
    home = os.environ.get("HF_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(home).expanduser() / "hub"


def hub_failure(error: BaseException, repo: str) -> tuple[str, str]:
    """Reason and remedy for an exception of ``huggingface_hub``.

    Args:
        error: what was raised; the chain of causes is looked at, by name, so that nothing heavy is imported.
        repo: id of the repository.

    Returns:
        What is wrong, and what to do.
    """
    names = set()
    link: BaseException | None = error
    while link is not None:
        names |= {kind.__name__ for kind in type(link).__mro__}
        link = link.__cause__ or link.__context__
    if "GatedRepoError" in names:
        return "the repository is gated", f"ask for access on its page ({repo}) and log in with: hf auth login"
    if "RevisionNotFoundError" in names:
        return "the revision does not exist", "give another one after the @, or none"
    if "RepositoryNotFoundError" in names:
        return "the repository does not exist or is private", "check the id, or log in with: hf auth login"
    if "OfflineModeIsEnabled" in names:
        return "it is not in the cache and HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE once to fill the cache"
    if "LocalEntryNotFoundError" in names or names & {
        "ConnectionError",
        "ConnectError",
        "ConnectTimeout",
        "ProxyError",
    }:
        return "it is not in the cache and the Hub cannot be reached", "go online once to fill the cache"
    return f"{type(error).__name__}", "check the id and the network"


__all__ = ["cached_snapshot", "hub_failure"]
