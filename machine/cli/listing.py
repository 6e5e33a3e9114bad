"""``ls`` and ``active``."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError
from pymachine.machine.names import natural
from pymachine.machine.operations.observe import TIMEOUT, Row, from_records, row_of_damaged
from pymachine.machine.operations.select import filters_by_state, parse_filters

_SECONDS = timeout_option("-t", "--timeout", default=TIMEOUT, text="Seconds to wait for answers.")


@click.command(cls=Command, context_settings=SETTINGS)
@click.option("-q", "--quiet", is_flag=True, help="Print names only.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Show only machines whose driver, state, name, swarm or label is so; name is a regular expression.",
)
@_SECONDS
@click.option(
    "-f",
    "--format",
    "format_",
    default="table",
    metavar="FORMAT",
    help="table, json, or a Go template for each machine; 'table TEMPLATE' makes columns with headings of it.",
)
@click.argument("ignored", nargs=-1, metavar="")
def ls(quiet: bool, filters: tuple[str, ...], timeout: float, format_: str, ignored: tuple[str, ...]) -> None:
    """List machines."""
    from pymachine.machine.output.listing import form

    shown = form(format_.strip())  # a wrong template is told before anybody is asked
    rows = _rows(filters, timeout, ask=not quiet or filters_by_state(filters), engines=not quiet)
    if quiet:
        names = sorted(row.name for row in rows)
        sys.stdout.write("".join(f"{name}\n" for name in names))
        return
    rows.sort(key=lambda row: natural(row.name))
    sys.stdout.write(shown(rows))


@click.command(cls=Command, context_settings=SETTINGS)
@_SECONDS
@format_option
@click.argument("names", nargs=-1, metavar="")
def active(timeout: float, format_: str, names: tuple[str, ...]) -> None:
    """Print the machine that DOCKER_HOST points at."""
    from pymachine.machine.operations.active import active as find_active

    if names:
        raise MachineError("Error: Too many arguments given")
    machines, _ = current().client.load_all()
    name = find_active(machines, current().environ.get("DOCKER_HOST", ""), timeout=timeout)
    if format_ == "json":
        return write_json({"Name": name})
    click.echo(name)


def _rows(filters: tuple[str, ...], timeout: float, *, ask: bool, engines: bool) -> list[Row]:
    """The rows that pass; without *ask* from the records alone, and then without damaged ones."""
    test = parse_filters(filters)
    machines, damaged = current().client.load_all()
    if not ask:
        return [row for row in from_records(machines) if test(row)]
    rows = current().client.observe(machines, timeout=timeout, engines=engines)
    return [row for row in rows + [row_of_damaged(item) for item in damaged] if test(row)]
