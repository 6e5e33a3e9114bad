"""``logs``."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command
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
@click.argument("names", nargs=-1, metavar="[NAME]")
def logs(names: tuple[str, ...], follow: bool, lines: int, provision: bool, engine: bool) -> None:
    """Print what provisioning did to a machine's host, and its engine's journal.

    Both can be read while the engine does not answer.
    """
    if provision and (engine or follow):
        raise UsageError("--provision goes with neither --engine nor --follow")
    machine = current().one(names)
    if not engine:
        _show_work(machine, lines, title=not provision)
    if not provision:
        _show_engine(machine, lines, follow=follow, title=not engine)


def _show_work(machine: Machine, lines: int, *, title: bool) -> None:
    if title:
        click.echo("==> provisioning <==")
    for line in current().client.work_log(machine, lines=lines):
        click.echo(line)


def _show_engine(machine: Machine, lines: int, *, follow: bool, title: bool) -> None:
    if not machine.driver().features.provisions:
        raise MachineError(f'Machine "{machine.name}" has no host whose journal could be read')
    if title:
        click.echo("\n==> engine <==")
    try:
        for line in current().client.engine_log(machine, lines=lines, follow=follow):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        if not follow:
            raise
