"""``env`` and ``config``: how a Docker client reaches a machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from pymachine.machine.bundle import environment
from pymachine.machine.bundle.shells import DIALECTS, detect, dialect
from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import Invocation, current
from pymachine.machine.errors import MachineError
from pymachine.machine.events import OnEvent, relay
from pymachine.machine.output.progress import Plain

if TYPE_CHECKING:
    from pymachine.machine.bundle.connection import Connection

_SWARM = click.option("--swarm", is_flag=True, help="Connect to the cluster manager on the machine.")


@click.command(cls=Command, context_settings=SETTINGS)
@_SWARM
@click.option(
    "--shell",
    default="",
    metavar="SHELL",
    help=f"{', '.join(DIALECTS)}; else as $SHELL says, or the shell that it is run from.",
)
@click.option("-u", "--unset", is_flag=True, help="Print what undoes the set-up.")
@click.option("--no-proxy", is_flag=True, help="Let the machine's address bypass the HTTP proxy.")
@format_option
@click.argument("names", nargs=-1, metavar="[NAME]")
def env(swarm: bool, shell: str, unset: bool, no_proxy: bool, format_: str, names: tuple[str, ...]) -> None:
    """Print the commands that set up a shell for a machine's engine."""
    invocation = current()
    if unset and names:
        raise MachineError("Error: Expected no machine name when the -u flag is present")
    if len(names) > 1:
        raise MachineError("Error: Expected one machine name as an argument")
    spoken = dialect(shell or detect(invocation.environ)) if format_ == "text" else None
    values = _unset(invocation, no_proxy=no_proxy) if unset else _set(invocation, names, swarm=swarm, no_proxy=no_proxy)
    if spoken is None:
        return write_json({"Variables": values})
    sys.stdout.write("".join(f"{line}\n" for line in [*spoken.lines(values), spoken.usage(_typed())]))


@click.command(cls=Command, context_settings=SETTINGS)
@_SWARM
@format_option
@click.argument("names", nargs=-1, metavar="[NAME]")
def config(swarm: bool, format_: str, names: tuple[str, ...]) -> None:
    """Print the docker command line's flags for a machine's engine."""
    from pymachine.machine.bundle.flags import document, flags

    machine = current().one(names)
    try:
        connection = current().client.connection(machine, swarm=swarm, on_event=_aside())
    except MachineError as error:
        raise MachineError(f"Error running connection boilerplate: {error}", hint=error.hint) from error
    _warn(connection)
    if format_ == "json":
        return write_json({"Name": machine.name, **document(connection)})
    click.echo(flags(connection))


def _aside() -> OnEvent:
    """Progress on standard error, since shells evaluate the output."""
    return relay(Plain(sys.stderr))


def _warn(connection: Connection) -> None:
    """Certificates that will soon expire; on standard error, since shells evaluate the output."""
    from pymachine.machine.certs.expiry import warning

    text = warning(connection.cert_path)
    if text:
        print(f'Warning: {text}. Renew it with "pymachine regenerate-certs --client-certs".', file=sys.stderr)


def _set(invocation: Invocation, names: tuple[str, ...], *, swarm: bool, no_proxy: bool) -> Mapping[str, str | None]:
    machine = invocation.one(names)
    try:
        connection = invocation.client.connection(machine, swarm=swarm, on_event=_aside())
    except MachineError as error:
        raise MachineError(f"Error checking TLS connection: {error}", hint=error.hint) from error
    _warn(connection)
    values = environment.variables(connection, machine.name)
    if no_proxy:
        name, value = environment.with_host(invocation.environ, connection.host)
        values[name] = value
    return values


def _unset(invocation: Invocation, *, no_proxy: bool) -> Mapping[str, str | None]:
    """``None`` for a variable that is to go."""
    values: dict[str, str | None] = dict.fromkeys(environment.NAMES)
    if no_proxy:
        name, value = environment.without_host(invocation.environ)
        values[name] = value or None
    return values


def _typed() -> list[str]:
    """The command line as typed: the program by its name when that finds it."""
    program = sys.argv[0]
    name = os.path.basename(program)
    found = shutil.which(name)
    same = found is not None and os.path.realpath(found) == os.path.realpath(program)
    return [name if same else program, *sys.argv[1:]]
