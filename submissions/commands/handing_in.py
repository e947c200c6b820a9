"""``gi-bench submit check``, ``pack`` and ``push``: from a folder to what the organisers' client takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.submissions.check import Report

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a submission, of any team.")]
EditionOption = Annotated[str | None, typer.Option("--edition", help="Edition (default: the newest that fits).")]
EditionsOption = Annotated[Path | None, typer.Option("--editions", help="TOML table of further editions.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with the challenge's data: rows, answers, images are compared.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Warnings keep it back too (exit code 1).")]


def check(
    folder: FolderArgument,
    edition: EditionOption = None,
    editions: EditionsOption = None,
    data: DataOption = None,
    strict: StrictOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Check a submission's folder. Exit code 0, 1 for warnings under --strict, 2 for errors."""
    report = _checked(folder, edition, editions, data)
    if as_json:
        say_text(json.dumps(_plain(report, strict), indent=1))
    else:
        for line in _page(report):
            say(line)
    code = _exit_code(report, strict)
    if code:
        raise typer.Exit(code)


def pack(
    folder: FolderArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Archive to write.")],
    edition: EditionOption = None,
    editions: EditionsOption = None,
    data: DataOption = None,
    strict: StrictOption = False,
) -> None:
    """Check a folder and write it as a ZIP; equal files give equal bytes."""
    from gi_bench.submissions.pack import pack as write
    from gi_bench.submissions.push import next_lines

    report = _passed(folder, edition, editions, data, strict)
    size = write(report.folder, output)
    say(f"packed: {output}, {len(report.folder.files):,} files, {size / 1e6:,.1f} MB")
    say(f"next: gi-bench submit push {folder} --repo USER/NAME --edition {report.edition.name}")
    for line in next_lines(report, "USER/NAME"):
        say(line)


def push(
    folder: FolderArgument,
    repo: Annotated[str, typer.Option("--repo", metavar="USER/NAME", help="Model repository on the Hub.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only told.")] = False,
    public: Annotated[bool, typer.Option("--public", help="For everybody to see (default: private).")] = False,
    edition: EditionOption = None,
    editions: EditionsOption = None,
    data: DataOption = None,
    strict: StrictOption = False,
) -> None:
    """Check a folder and put it onto the Hub. Only told, unless --yes is given."""
    from huggingface_hub import HfApi, get_token

    from gi_bench.submissions import push as hub
    from gi_bench.submissions.wanted import check_repository

    check_repository(repo)
    report = _passed(folder, edition, editions, data, strict)
    task1 = report.edition.task1
    pin = hub.find_pin(report.folder, task1.script, repo) if task1 is not None and "task1" in report.subtasks else None
    token = get_token()
    if token is None and yes:
        raise GiBenchError(hub.NO_TOKEN, do=hub.GET_TOKEN)
    api = HfApi(token=token)
    remote = hub.look(api, repo, token)
    hub.check_other_subtask(report, remote, repo)
    for line in hub.plan_lines(report, repo, remote, pin, public=public):
        say(line)
    if yes:
        say(f"pushed: https://huggingface.co/{repo} {hub.push(api, report, repo, remote, pin, public=public)}")
    else:
        say("nothing was sent: give --yes to do it")
    for line in hub.next_lines(report, repo):
        say(line)


def _checked(folder: Path, edition: str | None, editions: Path | None, data: Path | None) -> Report:
    from gi_bench.submissions.check import Wanted, check_folder

    return check_folder(folder, Wanted(edition, editions, data))


def _passed(folder: Path, edition: str | None, editions: Path | None, data: Path | None, strict: bool) -> Report:
    """The report of a folder that may be handed in; one that may not ends the command after its page."""
    report = _checked(folder, edition, editions, data)
    for line in _page(report):
        say(line)
    code = _exit_code(report, strict)
    if code:
        say("error: the folder does not pass its check; nothing was written or sent", err=True)
        raise typer.Exit(code)
    return report


def _exit_code(report: Report, strict: bool) -> int:
    if report.found.count("error"):
        return 2
    return 1 if strict and report.found.count("warning") else 0


def _page(report: Report) -> Any:
    from gi_bench.submissions.check.findings import clean, page

    tasks = " and ".join(task.replace("task", "subtask ") for task in report.subtasks) or "no subtask"
    why = f" ({report.why})" if report.why else ""
    yield clean(f"{report.folder.root}: {tasks} of {report.edition.title}, {report.edition.name}{why}")
    yield from page(report.found)


def _plain(report: Report, strict: bool) -> dict[str, Any]:
    from gi_bench.submissions.check.findings import plain

    return {
        "folder": str(report.folder.root),
        "edition": report.edition.name,
        "edition_assumed": bool(report.why),
        "subtasks": list(report.subtasks),
        "passes": _exit_code(report, strict) == 0,
        **plain(report.found),
    }


__all__ = ["check", "pack", "push"]
