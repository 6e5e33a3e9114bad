"""``provision``, ``regenerate-certs``, ``upgrade``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.lifecycle import on_each
from pymachine.machine.cli.prompt import confirmed
from pymachine.machine.errors import MachineError

TIMEOUT = 600.0

_TIMEOUT_FLAG = timeout_option("--timeout", default=TIMEOUT, text="The most that one machine may take.")


@click.command(cls=Command, context_settings=SETTINGS)
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def provision(names: tuple[str, ...], timeout: float) -> None:
    """Provision machines again; nothing changes on one that is as wanted."""
    from pymachine.machine.operations.provision import provision as operation

    on_each(names, lambda machine, report: operation(machine, report, timeout=timeout))


@click.command("regenerate-certs", cls=Command, context_settings=SETTINGS)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--client-certs", is_flag=True, help="Also make a new client certificate, and renew an old CA.")
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def regenerate_certs(names: tuple[str, ...], force: bool, client_certs: bool, timeout: float) -> None:
    """Renew the TLS certificates of machines; their containers keep running."""
    from pymachine.machine.operations.provision import regenerate_certificates as operation

    if not force and not _sure():
        return
    click.echo("Regenerating TLS certificates")
    if client_certs:
        from pymachine.machine.certs.authority import bootstrap

        with current().progress() as report:
            bootstrap(current().store, report.say, renew=True)
    on_each(names, lambda machine, report: operation(machine, report, timeout=timeout))


@click.command(cls=Command, context_settings=SETTINGS)
@_TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def upgrade(names: tuple[str, ...], timeout: float) -> None:
    """Upgrade machines to the engine that comes with this program."""
    from pymachine.machine.operations.provision import upgrade as operation

    on_each(names, lambda machine, report: operation(machine, report, timeout=timeout))


def _sure() -> bool:
    answer = confirmed("Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): ")
    if answer is None:
        raise MachineError("EOF", hint="Use -f to answer the question beforehand.")
    return answer
