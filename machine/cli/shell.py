"""``ssh``."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import RawCommand
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError


@click.command(cls=RawCommand, add_help_option=False, options_metavar="")
@click.argument("arguments", nargs=-1, metavar="[NAME] [SSH OPTION...] [COMMAND...]")
def ssh(arguments: tuple[str, ...]) -> None:
    """Log into a machine, or run a command on it.

    Everything after NAME goes to ssh(1), whose exit status is this command's.
    """
    from pymachine.machine.ssh.openssh import run_interactive

    invocation = current()
    machine = invocation.one(arguments[:1])
    driver = machine.driver()
    if driver.state().value != "Running":
        raise MachineError(f'Error: Cannot run SSH command: Host "{machine.name}" is not running')
    sys.stdout.flush()
    raise SystemExit(run_interactive(driver.ssh_endpoint(), list(arguments[1:])))
