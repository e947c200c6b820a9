"""A submission's folder onto the Hub, as a model repository that the organisers' client fetches.

A script that fetches weights of its own repository has to name the commit that has them: the weights go up first, and
the script follows with that commit written into its ``REVISION``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.hub import hub_failure
from gi_bench.submissions.check import Report
from gi_bench.submissions.check.findings import clean
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.identify import names_of, tables_of

TOKENS = "https://huggingface.co/settings/tokens"
NO_TOKEN = "no token of the Hugging Face Hub"
GET_TOKEN = f"make one with write access at {TOKENS} and give it to: hf auth login"
_MAIN = "main"


@dataclass(frozen=True)
class Pin:
    """The line of a script that takes the commit of the weights: ``REVISION = "main"``.

    Attributes:
        script: name of the file.
        text: its content.
        line: number of the line, from 1.
    """

    script: str
    text: str
    line: int

    def pinned(self, commit: str) -> bytes:
        """The script with the commit in that line.

        Raises:
            GiBenchError: the Hub gave something else than a commit.
        """
        if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            raise GiBenchError(f"the Hub gave {commit[:60]!r} as the commit of the weights", do="push again")
        lines = self.text.splitlines(keepends=True)
        line = lines[self.line - 1]
        ending = line[len(line.rstrip("\r\n")) :]
        lines[self.line - 1] = f'REVISION = "{commit}"{ending}'
        return "".join(lines).encode("utf-8")


@dataclass(frozen=True)
class Remote:
    """What lies at the repository's place.

    Attributes:
        user: whose token it is; None without one.
        exists: whether the repository is there; None if nobody looked.
        is_private: of an existing repository.
        commit: its latest.
        files: its files.
    """

    user: str | None = None
    exists: bool | None = None
    is_private: bool = False
    commit: str | None = None
    files: tuple[str, ...] = ()


def find_pin(folder: Folder, script: str, repository: str) -> Pin | None:
    """The line to pin in a script; None where it fetches nothing of its own repository.

    Raises:
        GiBenchError: it fetches from another repository than it is pushed to.
    """
    if script not in folder:
        return None
    text = folder.files[script].path.read_bytes().decode("utf-8")
    constants = _constants(text)
    revision = constants.get("REVISION")
    if revision is None or revision[0] != _MAIN:
        return None
    named = constants.get("REPOSITORY")
    if named is not None and named[0] != repository:
        raise GiBenchError(
            f"the script fetches its weights from {named[0][:100]!r}", where=f"{script}:{named[1]}",
            do=f"push it there, or make the folder again with --repo {repository}",
        )  # fmt: skip
    return Pin(script, text, revision[1])


def _constants(text: str) -> dict[str, tuple[str, int]]:
    """Texts that names are set to, each in a line of its own at the top level."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and node.lineno == node.end_lineno:
                found[node.targets[0].id] = (value.value, node.lineno)
    return found


def look(api: Any, repository: str, token: str | None) -> Remote:
    """What lies at the repository's place, and whether it is the user's to write to.

    Raises:
        GiBenchError: the place is somebody else's, holds a dataset or a space, or the Hub cannot be asked.
    """
    if token is None:
        return Remote()
    try:
        who = api.whoami(token=token)
        owners = {str(who["name"]), *(str(one.get("name")) for one in who.get("orgs", ()))}
        owner = repository.partition("/")[0]
        if owner not in owners:
            raise GiBenchError(
                f"{owner} is not you ({who['name']}) nor an organisation of yours", where=repository,
                do=f"give --repo {who['name']}/NAME",
            )  # fmt: skip
        return _existing(api, repository, str(who["name"]))
    except GiBenchError:
        raise
    except Exception as error:
        raise _failure(error, repository) from error


def _existing(api: Any, repository: str, user: str) -> Remote:
    if api.repo_exists(repository, repo_type="model"):
        info = api.model_info(repository)
        files = tuple(sorted(one.rfilename for one in info.siblings or ()))
        return Remote(user, True, bool(info.private), info.sha, files)
    for kind in ("dataset", "space"):
        if api.repo_exists(repository, repo_type=kind):
            raise GiBenchError(
                f"it is a {kind}; the organisers' client fetches models", where=repository, do="give another --repo"
            )
    return Remote(user, False)


def check_other_subtask(report: Report, remote: Remote, repository: str) -> None:
    """Refuse to replace files, such as README.md, of a repository that holds the other subtask.

    Raises:
        GiBenchError: it does, and the folder has not both.
    """
    shared = sorted(name for name in report.folder.files if name in remote.files)
    if not shared:
        return
    for task, table in tables_of(report.edition):
        own = next((name for name in names_of(table).names.values() if name in remote.files), None)
        if own is not None and task not in report.subtasks:
            raise GiBenchError(
                f"the repository holds subtask {task[-1]} too ({own}), whose {shared[0]} would be replaced",
                where=repository, do="give each subtask a repository of its own: --repo user/other-name",
            )  # fmt: skip


def _failure(error: Exception, repository: str) -> GiBenchError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return GiBenchError("the Hub refuses the token", where=repository, do=GET_TOKEN)
    why, do = hub_failure(error, repository)
    return GiBenchError(f"the Hub: {why}", where=repository, do=do)


def plan_lines(report: Report, repository: str, remote: Remote, pin: Pin | None, *, public: bool) -> Iterator[str]:
    """What a push does, in lines for people."""
    if remote.exists is None:
        yield f"repository: {repository}; not looked at: {NO_TOKEN} ({GET_TOKEN})"
    elif remote.exists:
        now = "private" if remote.is_private else "public"
        change = "; becomes public" if public and remote.is_private else ""
        yield f"repository: {repository} is there, a model of yours, {now}{change}"
    else:
        yield f"repository: {repository} is new; made {'public' if public else 'private'}"
    ours = report.folder.files
    size = sum(one.size for one in ours.values())
    yield f"upload: {len(ours):,} files, {size / 1e6:,.1f} MB"
    yield from _listed("replaces", [name for name in ours if name in remote.files])
    yield from _listed("leaves as they are", [name for name in remote.files if name not in ours])
    if pin is not None:
        yield f"{pin.script}:{pin.line}: REVISION becomes the commit of the weights, in a second commit"


def _listed(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
        yield f"{what}: {clean(', '.join(names[:8]))}{more}"


def push(api: Any, report: Report, repository: str, remote: Remote, pin: Pin | None, *, public: bool) -> str:
    """Upload the folder.

    Args:
        api: ``huggingface_hub.HfApi`` with a token.
        report: of the check that the folder passed.
        repository: id.
        remote: what lies there.
        pin: line that takes the commit of the weights.
        public: whether everybody may see the repository; an existing one is not made private.

    Returns:
        The last commit.

    Raises:
        GiBenchError: the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd

    def commit(files: dict[str, Path | bytes], message: str, parent: str | None) -> str:
        additions = [
            CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
            for name, content in files.items()
        ]
        made = api.create_commit(repository, additions, commit_message=message, repo_type="model", parent_commit=parent)
        return str(made.oid)

    files: dict[str, Path | bytes] = {name: one.path for name, one in report.folder.files.items()}
    try:
        if not remote.exists:
            api.create_repo(repository, repo_type="model", private=not public, exist_ok=False)
        elif public and remote.is_private:
            api.update_repo_settings(repository, private=False, repo_type="model")
        if pin is None:
            return commit(files, f"Submission to {report.edition.title}", remote.commit)
        rest = {name: content for name, content in files.items() if name != pin.script}
        weights = commit(rest, f"Submission to {report.edition.title}: all but the script", remote.commit)
        return commit({pin.script: pin.pinned(weights)}, f"The script, with the weights of {weights[:12]}", weights)
    except GiBenchError:
        raise
    except Exception as error:
        raise _failure(error, repository) from error


def next_lines(report: Report, repository: str) -> Iterator[str]:
    """What to run next, and what to know before."""
    for task in report.subtasks:
        number = task.removeprefix("task")
        yield f"next: medvqa validate --competition={report.edition.competition} --task={number} --repo_id={repository}"
    if report.subtasks:
        yield "medvqa leaves with 0 even where it fails: read what it prints last"
    yield from (f"note: {note}" for note in report.edition.notes)


__all__ = [
    "GET_TOKEN",
    "NO_TOKEN",
    "Pin",
    "Remote",
    "check_other_subtask",
    "find_pin",
    "look",
    "next_lines",
    "plan_lines",
    "push",
]
