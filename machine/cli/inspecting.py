"""``inspect``, ``ip``, ``status``, ``url``: facts of machines."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Several
from pymachine.machine.operations.together import together


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("names", nargs=-1, metavar="[NAME]")
def inspect(names: tuple[str, ...]) -> None:
    """Print a machine's configuration as JSON, in docker-machine's shape."""
    import json

    from pymachine.machine.output.inspect import document

    click.echo(json.dumps(document(current().one(names)), indent=4))


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("names", nargs=-1, metavar="[NAME...]")
def ip(names: tuple[str, ...]) -> None:
    """Print the addresses of machines, one a line."""
    outcomes = together(lambda machine: machine.address(), current().several(names))
    for outcome in outcomes:
        if outcome.error is None:
            click.echo(outcome.value)
    raise_all([outcome.error for outcome in outcomes if outcome.error], "Error getting IP address: ")


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("names", nargs=-1, metavar="[NAME]")
def status(names: tuple[str, ...]) -> None:
    """Print the state of a machine."""
    machine = current().one(names)
    try:
        click.echo(machine.state())
    except MachineError as error:
        raise MachineError(f"error getting state for host {machine.name}: {error}", hint=error.hint) from error


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("names", nargs=-1, metavar="[NAME]")
def url(names: tuple[str, ...]) -> None:
    """Print the URL of a machine's engine."""
    click.echo(current().one(names).url())


def raise_all(errors: list[Exception], prefix: str) -> None:
    """Raise the machines' errors as one; anything that is no `MachineError` is a defect, and goes first."""
    for error in errors:
        if not isinstance(error, MachineError):
            raise error
    if errors:
        raise Several([MachineError(f"{prefix}{error}", hint=getattr(error, "hint", "")) for error in errors])
