"""``inspect``, ``ip``, ``status``, ``url``: facts of machines."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Several


@click.command(cls=Command, context_settings=SETTINGS)
@click.option(
    "-f", "--format", "format_", default="json", metavar="TEMPLATE", help="A Go template; or json, as without."
)
@click.argument("names", nargs=-1, metavar="[NAME]")
@click.pass_context
def inspect(ctx: click.Context, format_: str, names: tuple[str, ...]) -> None:
    """Print a machine's configuration as JSON, in docker-machine's shape, or through a template."""
    from pymachine.machine.output.inspect import document

    if len(names) > 1:
        click.echo(ctx.get_help())
    if format_ in ("json", ""):
        return write_json(document(current().one(names)))
    from pymachine.machine.gotemplate.template import Template

    template = Template(format_)
    sys.stdout.write(f"{template.render(document(current().one(names)))}\n")


@click.command(cls=Command, context_settings=SETTINGS)
@format_option
@click.argument("names", nargs=-1, metavar="[NAME...]")
def ip(format_: str, names: tuple[str, ...]) -> None:
    """Print the addresses of machines, one a line."""
    from pymachine.machine.operations.together import together

    outcomes = together(lambda machine: machine.address(), current().several(names))
    if format_ == "json":
        write_json(
            [
                {"Name": outcome.item.name, "Address": outcome.value, "Error": str(outcome.error or "")}
                for outcome in outcomes
            ]
        )
    else:
        sys.stdout.write("".join(f"{outcome.value}\n" for outcome in outcomes if outcome.error is None))
    raise_all([outcome.error for outcome in outcomes if outcome.error], "Error getting IP address: ")


@click.command(cls=Command, context_settings=SETTINGS)
@format_option
@click.argument("names", nargs=-1, metavar="[NAME]")
def status(format_: str, names: tuple[str, ...]) -> None:
    """Print the state of a machine."""
    machine = current().one(names)
    try:
        state = machine.state()
    except MachineError as error:
        raise MachineError(f"error getting state for host {machine.name}: {error}", hint=error.hint) from error
    if format_ == "json":
        return write_json({"Name": machine.name, "State": state})
    click.echo(state)


@click.command(cls=Command, context_settings=SETTINGS)
@format_option
@click.argument("names", nargs=-1, metavar="[NAME]")
def url(format_: str, names: tuple[str, ...]) -> None:
    """Print the URL of a machine's engine."""
    machine = current().one(names)
    address = machine.url()
    if format_ == "json":
        return write_json({"Name": machine.name, "URL": address})
    click.echo(address)


def raise_all(errors: list[Exception], prefix: str) -> None:
    """Raise the machines' errors as one; anything that is no `MachineError` is a defect, and goes first."""
    for error in errors:
        if not isinstance(error, MachineError):
            raise error
    if errors:
        raise Several([MachineError(f"{prefix}{error}", hint=getattr(error, "hint", "")) for error in errors])
