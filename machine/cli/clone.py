"""``clone``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.invocation import current
from pymachine.machine.events import relay
from pymachine.machine.hostclient import CLONE_TIMEOUT


@click.command(cls=Command, context_settings=SETTINGS)
@timeout_option("--timeout", default=CLONE_TIMEOUT, text="The most that it may take in all.")
@click.argument("machine")
@click.argument("new")
def clone(machine: str, new: str, timeout: float) -> None:
    """Make machine NEW with the settings of MACHINE, which must be stopped, and a copy of its disk.

    Its name, keys, certificates and address are its own.
    """
    with current().progress() as report:
        current().client.clone(machine, new, timeout=timeout, on_event=relay(report))
        report.say(f'Machine "{new}" is a copy of "{machine}" now.')
