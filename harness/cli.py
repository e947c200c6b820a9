"""The command line: builds the app, mounts the sub-commands found by entry point, tells errors; imports nothing heavy.

An error that a user can act on is one line and exit code 2. Ctrl-C leaves with 130; finished parts stay. Whatever else
goes wrong is a defect: one line too, and exit code 70. Tracebacks come with ``--debug``.
"""

from __future__ import annotations

import contextvars
import errno
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gi_bench import __version__
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.terminal import clean, clean_warning, say, say_text

SUMMARY = "Evaluate visual question answering models on gastrointestinal endoscopy images."
# Of sysexits.h: an internal software error. 1 is taken: verify and audit found something.
DEFECT = 70
EXIT_CODES = (
    "Exit codes: 0 done; 1 verify or audit found something; 2 wrong input, told in one line; 70 a defect of gi-bench; "
    "130 interrupted (Ctrl-C); 141 the reader of the output went away. After 2, 70 and 130 finished work is kept: the "
    "same command goes on."
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"gi-bench {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; anywhere in the command.")
    ] = False,
) -> None:
    """What ``gi-bench`` takes before its sub-commands."""


def build_app() -> typer.Typer:
    """The command line with the sub-commands of all installed packages, ours among them.

    Raises:
        GiBenchError: a package's command fails to load, or two packages claim one name.
    """
    from gi_bench.harness.registry import registered

    app = typer.Typer(
        name="gi-bench",
        help=SUMMARY,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(help=SUMMARY, epilog=EXIT_CODES)(root)
    for entry in sorted(registered("gi_bench.commands").values(), key=lambda entry: (entry.order, entry.name)):
        epilog = _examples(entry.examples)
        if isinstance(entry.app, typer.Typer):
            for command in entry.app.registered_commands:
                verb = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
                start = f"gi-bench {entry.name} {verb} "
                command.epilog = command.epilog or _examples(
                    [one for one in entry.examples if f"{one[1]} ".startswith(start)]
                )
            app.add_typer(entry.app, name=entry.name, help=entry.summary, epilog=epilog)
        else:
            app.command(name=entry.name, short_help=entry.summary, epilog=epilog)(entry.app)
    return app


def _examples(pairs: Sequence[tuple[str, str]]) -> str | None:
    """Examples for the end of a help page; the mark keeps their lines as they are."""
    if not pairs:
        return None
    return "\n".join(["\b", "Examples:", *(line for what, typed in pairs for line in (f"# {what}", typed))])


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``gi-bench`` script."""
    import warnings

    warnings.formatwarning = clean_warning
    _clean_logs()
    sys.exit(_main(sys.argv[1:] if arguments is None else arguments))


def _clean_logs() -> None:
    """Let what libraries log, texts of foreign files and servers in it, lose its force like all else on a terminal."""
    import logging

    class Record(logging.LogRecord):
        """A record whose message is one clean line, and so is the traceback that it may carry."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            if self.exc_info and self.exc_info[0] is not None:
                self.exc_text = _one_line(logging.Formatter().formatException(self.exc_info))

        def getMessage(self) -> str:  # noqa: N802 (logging's name)
            return _one_line(super().getMessage())

    logging.setLogRecordFactory(Record)


def _one_line(text: str) -> str:
    return clean(" ".join(text.split()))


_INTERRUPTED = "interrupted; finished parts are kept: run the same command again to go on"


def _main(arguments: list[str]) -> int:
    # In a context of its own: what one command was told (--accept-changed) holds for no other of this process.
    return contextvars.copy_context().run(_run, *_without_debug(arguments))


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without ``--debug``, which may stand anywhere before ``--``, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [one for one in arguments[:end] if one != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end or bool(os.environ.get("GI_BENCH_DEBUG"))


def _run(arguments: list[str], debug: bool) -> int:
    try:
        _refuse_dash(arguments)
        result = build_app()(arguments, standalone_mode=False, prog_name="gi-bench")
        if result == 130:  # typer turns Ctrl-C into this code
            say(_INTERRUPTED, err=True)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, EOFError):
        say(_INTERRUPTED, err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]
        return 141
    except Exception as error:
        return _told(error, debug)


def _told(error: Exception, debug: bool) -> int:
    """One line for an error, after its traceback where that is wanted; gives the exit code."""
    if debug:
        import traceback

        say_text("".join(traceback.format_exception(error)).rstrip("\n"), err=True)
    if isinstance(error, GiBenchError):
        say(f"error: {error.line()}", err=True)
        return error.exit_code
    if type(error).__name__ == "Abort":
        say(_INTERRUPTED, err=True)
        return 130
    if getattr(error, "format_message", None) is not None:
        return _usage_error(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" ({error.filename})" if error.filename else ""
        say(f"error: {error.strerror}{where}; make room, or write elsewhere", err=True)
        return GiBenchError.exit_code
    if isinstance(error, MemoryError):
        say(f"error: out of memory ({what}); use smaller inputs or a machine with more memory", err=True)
        return GiBenchError.exit_code
    again = "see the traceback above" if debug else "the same command with --debug shows where"
    say(f"error: a defect of gi-bench, please report it: {what}; {again}", err=True)
    return DEFECT


# What a full or broken disk says, standard output on it too: no defect of ours.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

# Options that name what is written. Of all commands, one can write to standard output.
_WRITTEN = ("-o", "--output", "--disjoint")
_TO_STANDARD_OUTPUT = ["suites", "export"]


def _refuse_dash(arguments: list[str]) -> None:
    """Refuse ``-o -``, which would write a file or a folder called ``-``.

    Raises:
        GiBenchError: it is given to a command that writes no standard output.
    """
    if arguments[:2] == _TO_STANDARD_OUTPUT:
        return
    given = itertools.zip_longest(arguments, arguments[1:])
    if any(
        (name in _WRITTEN and value == "-") or name in ("-o-", "--output=-", "--disjoint=-") for name, value in given
    ):
        raise GiBenchError(
            "this command does not write to standard output",
            where="--output -",
            do="give a path (a file called - is ./-)",
        )


def _usage_error(error: Exception) -> int:
    """One line for a wrong flag or value, as the parser tells it."""
    if type(error).__name__ == "NoArgsIsHelpError":
        say_text(error.ctx.get_help())  # type: ignore[attr-defined]
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "gi-bench"
    text = " ".join(str(error.format_message()).split()).rstrip(".")  # type: ignore[attr-defined]
    say(f"error: {text}; see {command} --help", err=True)
    return 2


if __name__ == "__main__":
    main()
