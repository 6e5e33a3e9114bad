"""``provision``, ``regenerate-certs``, ``upgrade``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.lifecycle import on_each
from pymachine.machine.cli.prompt import confirmed
from pymachine.machine.errors import MachineError
from pymachine.machine.events import relay

TIMEOUT = 600.0

_TIMEOUT_FLAG = timeout_option("--timeout", default=TIMEOUT, text="The most that one machine may take.")


@click.command(cls=Command, context_settings=SETTINGS)
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def provision(names: tuple[str, ...], timeout: float) -> None:
    """Provision machines again; nothing changes on one that is as wanted."""
    on_each(
        names,
        lambda client, machine, on_event: client.provision(machine, timeout=timeout, on_event=on_event),
    )


@click.command("regenerate-certs", cls=Command, context_settings=SETTINGS)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--client-certs", is_flag=True, help="Also make a new client certificate, and renew an old CA.")
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def regenerate_certs(names: tuple[str, ...], force: bool, client_certs: bool, timeout: float) -> None:
    """Renew the TLS certificates of machines; their containers keep running."""
    if not force and not _sure():
        return
    click.echo("Regenerating TLS certificates")
    if client_certs:
        with current().progress() as report:
            current().client.renew_client_certificate(on_event=relay(report))
    on_each(
        names,
        lambda client, machine, on_event: client.regenerate_certs(machine, timeout=timeout, on_event=on_event),
    )


@click.command(cls=Command, context_settings=SETTINGS)
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def upgrade(names: tuple[str, ...], timeout: float) -> None:
    """Upgrade machines to the engine that comes with this program."""
    on_each(
        names,
        lambda client, machine, on_event: client.upgrade(machine, timeout=timeout, on_event=on_event),
    )


def _sure() -> bool:
    answer = confirmed("Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): ")
    if answer is None:
        raise MachineError("EOF", hint="Use -f to answer the question beforehand.")
    return answer
