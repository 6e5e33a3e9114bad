"""``rename``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.lifecycle import TIMEOUT_FLAG
from pymachine.machine.errors import MachineError
from pymachine.machine.events import relay


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="OLD NEW")
def rename(names: tuple[str, ...], timeout: float) -> None:
    """Give a machine another name; its containers keep running.

    Its host's name, its certificate and its docker context follow: at once when it runs, else when it starts next.
    """
    if len(names) != 2:
        raise MachineError("Error: Expected the machine's name and its new name as arguments")
    with current().progress() as report:
        current().client.rename(*names, timeout=timeout, on_event=relay(report))
