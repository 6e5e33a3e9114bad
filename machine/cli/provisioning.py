"""``provision``, ``regenerate-certs``, ``upgrade``."""

from __future__ import annotations

import click

from pymachine.machine.certs.keytype import KEY_TYPES, key_type
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
@click.option(
    "--tls-key-type",
    default="",
    metavar="KIND",
    help=f"Give them another kind of key from now on: {', '.join(KEY_TYPES)}.",
)
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def regenerate_certs(
    names: tuple[str, ...], force: bool, client_certs: bool, tls_key_type: str, timeout: float
) -> None:
    """Renew the TLS certificates of machines; their containers keep running."""
    if tls_key_type:
        key_type(tls_key_type)  # what is wrong is told before anything is asked
    if not force and not _sure():
        return
    click.echo("Regenerating TLS certificates")
    if client_certs:
        current().several(names)  # nothing is renewed when one of them is not there
        with current().progress() as report:
            current().client.renew_client_certificate(key_type=tls_key_type, on_event=relay(report))
    on_each(
        names,
        lambda client, machine, on_event: client.regenerate_certs(
            machine, key_type=tls_key_type, timeout=timeout, on_event=on_event
        ),
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
