"""``use`` and ``context``: docker contexts of machines."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import write_json
from pymachine.machine.cli.invocation import Invocation, current
from pymachine.machine.errors import MachineError, UsageError
from pymachine.machine.events import OnEvent, relay
from pymachine.machine.hostclient import Way
from pymachine.machine.machine import Machine
from pymachine.machine.output.progress import Plain

_SSH = click.option(
    "--ssh", "ssh", is_flag=True, help="Through an SSH connection that stays open; no port but SSH's is needed."
)
_TLS = click.option("--tls", "tls", is_flag=True, help="Over TLS. [default, unless the machine's context is by SSH]")


@click.command(cls=Command, context_settings=SETTINGS)
@_SSH
@_TLS
@click.option("-u", "--unset", is_flag=True, help="Let docker talk to its default engine again.")
@click.argument("names", nargs=-1, metavar="[NAME]")
def use(names: tuple[str, ...], ssh: bool, tls: bool, unset: bool) -> None:
    """Make docker talk to a machine, in every shell, by its docker context."""
    invocation = current()
    if unset:
        if names:
            raise MachineError("Error: Expected no machine name when the -u flag is present")
        invocation.client.unuse()
        click.echo("docker talks to its default engine now.")
    else:
        way = _way(ssh=ssh, tls=tls)
        machine = invocation.one(names)
        context = invocation.client.use(machine, way=way, on_event=_progress())
        click.echo(f'docker talks to "{machine.name}" now, by its context "{context.name}" ({context.host}).')
        click.echo(f"For one shell alone: {_for_one_shell(machine, context.kind, context.name)}")
    _warn(invocation)


@click.group(context_settings=SETTINGS)
def context() -> None:
    """Make, list and remove docker contexts of machines.

    A machine's context follows its address, certificates and name, and goes with it. To have one for every machine
    from its creation on, set MACHINE_DOCKER_CONTEXT to tls or ssh.
    """


@context.command(cls=Command, context_settings=SETTINGS)
@_SSH
@_TLS
@click.option("--all", "everyone", is_flag=True, help="For all machines.")
@click.argument("names", nargs=-1, metavar="[NAME...]")
def create(names: tuple[str, ...], ssh: bool, tls: bool, everyone: bool) -> None:
    """Make docker contexts for machines, or bring them up to date."""
    from pymachine.machine.operations.changing import each

    client, way, on_event = current().client, _way(ssh=ssh, tls=tls), _progress()

    def make(machine: Machine) -> None:
        click.echo(client.create_context(machine, way=way, on_event=on_event).name)

    each(make, _meant(names, everyone=everyone))


@context.command(cls=Command, context_settings=SETTINGS)
@click.option("-f", "--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How to print.")
def ls(format_: str) -> None:
    """List machines with their docker contexts."""
    from pymachine.machine.operations.contexts import entries
    from pymachine.machine.output.table import table

    invocation = current()
    machines, _ = invocation.client.load_all()
    found = [entry.as_json() for entry in entries(machines, invocation.environ)]
    if format_ == "json":
        return write_json(found)
    rows = [
        (*(str(entry[key] or "-") for key in ("Machine", "Context")), "*" if entry["Current"] else "-")
        + tuple(str(entry[key] or "-") for key in ("Kind", "Host"))
        for entry in found
    ]
    sys.stdout.write(table(("NAME", "CONTEXT", "CURRENT", "KIND", "HOST"), rows))


@context.command(cls=Command, context_settings=SETTINGS)
@click.option("--all", "everyone", is_flag=True, help="Those of all machines.")
@click.argument("names", nargs=-1, metavar="[NAME...]")
def rm(names: tuple[str, ...], everyone: bool) -> None:
    """Remove docker contexts of machines; the machines stay."""
    from pymachine.machine.context.upkeep import forget

    client = current().client
    for machine in _meant(names, everyone=everyone):
        if everyone:
            forget(machine, client.environ)
        else:
            client.remove_context(machine)


def _meant(names: tuple[str, ...], *, everyone: bool) -> list[Machine]:
    if everyone and names:
        raise UsageError("--all goes with no names")
    invocation = current()
    if not everyone:
        return invocation.several(names)
    return [machine for machine in invocation.client.list() if machine.ready]


def _way(*, ssh: bool, tls: bool) -> Way:
    if ssh and tls:
        raise UsageError("--ssh and --tls exclude each other")
    return "ssh" if ssh else "tls" if tls else ""


def _for_one_shell(machine: Machine, kind: str, context_name: str) -> str:
    return f"export DOCKER_CONTEXT={context_name}" if kind == "ssh" else f"eval $(pymachine env {machine.name})"


def _warn(invocation: Invocation) -> None:
    from pymachine.machine.operations.contexts import overridden

    variable = overridden(invocation.environ)
    if variable:
        print(f"Warning: {variable} is set, and docker heeds it more than a context: unset it first.", file=sys.stderr)


def _progress() -> OnEvent:
    return relay(Plain(sys.stderr))
