"""How errors look on the command line: the error itself on one line, then a hint; the exit code is the error's."""

from __future__ import annotations

import sys

import click

from pymachine.machine.errors import MachineError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class Interrupted(MachineError):
    """Ctrl-C, with what to do about it."""

    exit_code = INTERRUPTED


def show_error(error: MachineError, *, debug: bool) -> int:
    """Print *error* to standard error; returns the exit code."""
    if debug:
        _show_traceback(error)
    lines = [str(error), error.hint, *getattr(error, "__notes__", [])]
    print(*(line for line in lines if line), sep="\n", file=sys.stderr)
    return error.exit_code


def show_usage_error(error: click.ClickException) -> int:
    """A wrong command line: what is wrong, and where help is."""
    print(error.format_message(), file=sys.stderr)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print(f"See '{error.ctx.command_path} --help'.", file=sys.stderr)
    return 2


def show_defect(error: Exception, *, debug: bool) -> int:
    """An error that no code foresaw."""
    if debug:
        _show_traceback(error)
    reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    print(f"pymachine failed unexpectedly: {reason}", file=sys.stderr)
    if not debug:
        print("Run it with --debug to see where.", file=sys.stderr)
    return 1


def _show_traceback(error: Exception) -> None:
    import traceback  # a millisecond that others need not pay

    traceback.print_exception(error)
