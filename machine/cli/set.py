"""``set``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current


@click.command("set", cls=Command, context_settings=SETTINGS)
@click.option("--cpus", type=click.IntRange(min=1), metavar="NUMBER", help="Number of CPUs.")
@click.option("--memory", default="", metavar="SIZE", help="Memory such as 2g.")
@click.option("--disk", default="", metavar="SIZE", help="Size of the disk, which can only grow.")
@click.option("--instance-type", default="", metavar="TYPE", help="Type, of drivers that have types; while stopped.")
@click.argument("name")
def set_(name: str, cpus: int | None, memory: str, disk: str, instance_type: str) -> None:
    """Give machine NAME another size; CPUs and memory change when it starts next."""
    from pymachine.machine.operations.powers import change_type, resize

    with current().progress() as report:
        if instance_type:
            change_type(current().one((name,)), instance_type, report)
            if not (cpus or memory or disk):
                return
        resize(current().one((name,)), report, cpus=cpus or 0, memory=memory, disk=disk)
