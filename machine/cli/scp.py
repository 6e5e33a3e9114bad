"""``scp``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError


@click.command(cls=Command, context_settings=SETTINGS)
@click.option("-r", "--recursive", is_flag=True, help="Copy directories with all that is in them.")
@click.option("-d", "--delta", is_flag=True, help="Copy by rsync, which sends only what differs.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.argument("places", nargs=-1, metavar="[[USER@]NAME:]PATH [[USER@]NAME:]PATH")
@click.pass_context
def scp(ctx: click.Context, places: tuple[str, ...], recursive: bool, delta: bool, quiet: bool) -> None:
    """Copy files between this computer and machines, or from machine to machine.

    The exit status is that of scp(1) or rsync(1).
    """
    if len(places) != 2:
        click.echo(ctx.get_help())
        raise MachineError("Error: Improper number of arguments")
    status = current().client.copy(*places, recursive=recursive, delta=delta, quiet=quiet)
    if status:
        raise SystemExit(status)
