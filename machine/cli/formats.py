"""``--format json``: every command that tells something can tell it to a program."""

from __future__ import annotations

import sys
from typing import Any

import click

from pymachine.machine.errors import UsageError

format_option = click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", help="How to print. [default: text]"
)


def only_with(flag: str, format_: str, *, given: bool) -> None:
    """Raise `UsageError` for JSON from a command that only tells something when *flag* was *given*."""
    if format_ == "json" and not given:
        raise UsageError(f"--format json goes with {flag} only")


def write_json(value: Any) -> None:
    """*value* on standard output."""
    from pymachine.machine.output.document import as_document

    sys.stdout.write(as_document(value))
