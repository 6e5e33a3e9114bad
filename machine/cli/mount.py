"""``mount``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError
from pymachine.machine.names import DEFAULT


@click.command(cls=Command, context_settings=SETTINGS)
@click.option("-u", "--unmount", is_flag=True, help="Unmount instead.")
@click.argument("places", nargs=-1, metavar="[[USER@]NAME:]PATH [MOUNTPOINT]")
@click.pass_context
def mount(ctx: click.Context, places: tuple[str, ...], unmount: bool) -> None:
    """Mount a directory of a machine on one of this computer, by sshfs(1).

    MOUNTPOINT is PATH when it is not given, and NAME is "default".
    """
    from pymachine.machine.operations import mount as operation
    from pymachine.machine.operations.places import Place, parse_place

    if not 1 <= len(places) <= 2:
        click.echo(ctx.get_help())
        raise MachineError("Error: Improper number of arguments")
    store = current().store
    source = parse_place(places[0], store.names().__contains__)
    if not source.machine:
        source = Place(source.path, DEFAULT)
    mountpoint = places[1] if len(places) == 2 else source.path
    status = operation.unmount(mountpoint) if unmount else operation.mount(store, source, mountpoint)
    if status:
        raise SystemExit(status)
