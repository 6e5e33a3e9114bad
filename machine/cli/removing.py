"""``rm``."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.errors import Interrupted
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.prompt import confirmed
from pymachine.machine.client import Client
from pymachine.machine.errors import MachineError, MachineNotFound
from pymachine.machine.events import relay
from pymachine.machine.operations.changing import TIMEOUT
from pymachine.machine.operations.report import Report
from pymachine.machine.operations.together import together


@click.command(cls=Command, context_settings=SETTINGS)
@click.option("-f", "--force", is_flag=True, help="Forget the machine even if its host cannot be removed; do not ask.")
@click.option("-y", "yes", is_flag=True, help="Do not ask.")
@timeout_option("--timeout", default=TIMEOUT, text="The most that one machine may take.")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...], force: bool, yes: bool, timeout: float) -> None:
    """Remove machines, with all that is on them."""
    if not names:
        click.echo(ctx.get_help())
        raise MachineError("Error: Expected to get one or more machine names as arguments")
    names = tuple(dict.fromkeys(names))
    click.echo(f"About to remove {', '.join(names)}")
    click.echo("WARNING: This action will delete both local reference and remote instance.")
    if not (force or yes or confirmed("Are you sure? (y/n): ")):
        return
    try:
        _remove_all(names, force=force, timeout=timeout)
    except KeyboardInterrupt:
        raise Interrupted(f'Interrupted: run "pymachine rm {" ".join(names)}" again to finish') from None


def _remove_all(names: tuple[str, ...], *, force: bool, timeout: float) -> None:
    from pymachine.machine.cli.inspecting import raise_all

    with current().progress(live=len(names) == 1) as report:
        client = current().client
        outcomes = together(lambda name: _remove(client, name, report, force=force, timeout=timeout), names)
        raise_all([outcome.error for outcome in outcomes if outcome.error], "")


def _remove(client: Client, name: str, report: Report, *, force: bool, timeout: float) -> None:
    """One machine. With *force* its errors are shown, and are no failure."""
    try:
        client.remove(name, force=force, timeout=timeout, on_event=relay(report))
    except MachineError as error:
        failure = MachineError(f'Error removing host "{name}": {error}', hint=error.hint)
        if not force:
            raise failure from error
        print(failure, file=sys.stderr)
        if isinstance(error, MachineNotFound) or name in client.names():
            print(f'Can\'t remove "{name}"', file=sys.stderr)
            return
    report.say(f"Successfully removed {name}")
