"""``clone``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.invocation import current

TIMEOUT = 600.0


@click.command(cls=Command, context_settings=SETTINGS)
@timeout_option("--timeout", default=TIMEOUT, text="The most that it may take in all.")
@click.argument("machine")
@click.argument("new")
def clone(machine: str, new: str, timeout: float) -> None:
    """Make machine NEW with the settings of MACHINE, which must be stopped, and a copy of its disk.

    Its name, keys, certificates and address are its own.
    """
    from pymachine.machine.operations.powers import clone as operation

    with current().progress() as report:
        operation(current().one((machine,)), new, report, timeout=timeout)
        report.say(f'Machine "{new}" is a copy of "{machine}" now.')
