"""The command line: builds the app, mounts the sub-commands found by entry point, tells errors; imports nothing heavy.

An error that a user can act on is one line and exit code 2. Ctrl-C leaves with 130; finished parts stay.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gi_bench import __version__
from gi_bench.harness.errors import GiBenchError

SUMMARY = "Evaluate visual question answering models on gastrointestinal endoscopy images."


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gi-bench {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
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
    app.callback(help=SUMMARY)(root)
    for entry in sorted(registered("gi_bench.commands").values(), key=lambda entry: (entry.order, entry.name)):
        if isinstance(entry.app, typer.Typer):
            app.add_typer(entry.app, name=entry.name, help=entry.summary)
        else:
            app.command(name=entry.name, help=entry.summary)(entry.app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``gi-bench`` script."""
    sys.exit(_main(sys.argv[1:] if arguments is None else arguments))


_INTERRUPTED = "interrupted; finished parts are kept: run the same command again to go on"


def _main(arguments: list[str]) -> int:
    try:
        _refuse_dash(arguments)
        result = build_app()(arguments, standalone_mode=False, prog_name="gi-bench")
        if result == 130:  # typer turns Ctrl-C into this code
            typer.echo(_INTERRUPTED, err=True)
        return result if isinstance(result, int) else 0
    except GiBenchError as error:
        typer.echo(f"error: {error.line()}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, EOFError):
        typer.echo(_INTERRUPTED, err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]
        return 141
    except Exception as error:
        return _usage_error(error)


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
    given = zip(arguments, [*arguments[1:], ""], strict=True)
    if any(
        (name in _WRITTEN and value == "-") or name in ("-o-", "--output=-", "--disjoint=-") for name, value in given
    ):
        raise GiBenchError(
            "this command does not write to standard output",
            where="--output -",
            do="give a path (a file called - is ./-)",
        )


def _usage_error(error: Exception) -> int:
    """One line for a wrong flag or value; anything else is ours and keeps its traceback."""
    name = type(error).__name__
    if name == "Abort":
        typer.echo(_INTERRUPTED, err=True)
        return 130
    message = getattr(error, "format_message", None)
    if message is None:
        raise error
    if name == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help())  # type: ignore[attr-defined]
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "gi-bench"
    text = " ".join(str(message()).split()).rstrip(".")
    typer.echo(f"error: {text}; see {command} --help", err=True)
    return 2


if __name__ == "__main__":
    main()
