"""``set``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.events import relay


@click.command("set", cls=Command, context_settings=SETTINGS)
@click.option("--cpus", type=click.IntRange(min=1), metavar="NUMBER", help="Number of CPUs.")
@click.option("--memory", default="", metavar="SIZE", help="Memory such as 2g.")
@click.option("--disk", default="", metavar="SIZE", help="Size of the disk, which can only grow.")
@click.option("--instance-type", default="", metavar="TYPE", help="Type, of drivers that have types; while stopped.")
@click.argument("name")
def set_(name: str, cpus: int | None, memory: str, disk: str, instance_type: str) -> None:
    """Give machine NAME another size; CPUs and memory change when it starts next."""
    with current().progress() as report:
        current().client.resize(
            name, cpus=cpus or 0, memory=memory, disk=disk, instance_type=instance_type, on_event=relay(report)
        )
