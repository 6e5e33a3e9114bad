"""``logs``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError, UsageError
from pymachine.machine.hostclient import LINES
from pymachine.machine.machine import Machine


@click.command(cls=Command, context_settings=SETTINGS)
@click.option("-f", "--follow", is_flag=True, help="Go on with the engine's journal as it grows; Ctrl-C ends it.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=LINES,
    metavar="NUMBER",
    help=f"Lines to show of each log. [default: {LINES}]",
)
@click.option("--provision", is_flag=True, help="Only what was done to the host; it is not asked.")
@click.option("--engine", is_flag=True, help="Only the engine's journal, read by SSH.")
@format_option
@click.argument("names", nargs=-1, metavar="[NAME]")
def logs(names: tuple[str, ...], follow: bool, lines: int, provision: bool, engine: bool, format_: str) -> None:
    """Print what provisioning did to a machine's host, and its engine's journal.

    Both can be read while the engine does not answer.
    """
    if provision and (engine or follow):
        raise UsageError("--provision goes with neither --engine nor --follow")
    if follow and format_ == "json":
        raise UsageError("--format json is one document, which has no end with --follow")
    machine = current().one(names)
    if format_ == "json":
        return _write(machine, lines, provision=provision, engine=engine)
    if not engine:
        _show_work(machine, lines, title=not provision)
    if not provision:
        _show_engine(machine, lines, follow=follow, title=not engine)


def _write(machine: Machine, lines: int, *, provision: bool, engine: bool) -> None:
    """A log that was not asked for is null."""
    client = current().client
    work = None if engine else client.work_log(machine, lines=lines)
    said = None if provision else list(_journal(machine, lines, follow=False))
    write_json({"Name": machine.name, "Provisioning": work, "Engine": said})


def _show_work(machine: Machine, lines: int, *, title: bool) -> None:
    if title:
        click.echo("==> provisioning <==")
    for line in current().client.work_log(machine, lines=lines):
        click.echo(line)


def _show_engine(machine: Machine, lines: int, *, follow: bool, title: bool) -> None:
    journal = _journal(machine, lines, follow=follow)
    if title:
        click.echo("\n==> engine <==")
    try:
        for line in journal:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        if not follow:
            raise


def _journal(machine: Machine, lines: int, *, follow: bool) -> Iterator[str]:
    if not machine.driver().features.provisions:
        raise MachineError(f'Machine "{machine.name}" has no host whose journal could be read')
    return current().client.engine_log(machine, lines=lines, follow=follow)
