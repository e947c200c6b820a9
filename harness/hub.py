"""Why something could not be had from the Hugging Face Hub, in words that a user can act on."""

from __future__ import annotations


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
