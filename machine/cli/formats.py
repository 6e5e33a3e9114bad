"""``--format json``: every command that tells something can tell it to a program."""

from __future__ import annotations

import sys
from typing import Any

import click

format_option = click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", help="How to print. [default: text]"
)


def write_json(value: Any) -> None:
    """*value* on standard output."""
    from pymachine.machine.output.document import as_document

    sys.stdout.write(as_document(value))
