"""``start``, ``stop``, ``kill``, ``restart``."""

from __future__ import annotations

from collections.abc import Callable

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.invocation import current
from pymachine.machine.client import Client
from pymachine.machine.events import OnEvent, relay
from pymachine.machine.machine import Machine
from pymachine.machine.operations.changing import TIMEOUT, each

TIMEOUT_FLAG = timeout_option("--timeout", default=TIMEOUT, text="The most that one machine may take.")
NEW_ADDRESSES = "{} machines may have new IP addresses. You may need to re-run the `pymachine env` command."

Operation = Callable[[Client, Machine, OnEvent], None]


def on_each(names: tuple[str, ...], operation: Operation, *, after: str = "") -> None:
    """Run *operation* on all machines meant, in parallel; then say *after*."""
    client, machines = current().client, current().several(names)
    with current().progress(live=len(machines) == 1) as report:
        on_event = relay(report)
        each(lambda machine: operation(client, machine, on_event), machines)
        if after:
            report.say(after)


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def start(names: tuple[str, ...], timeout: float) -> None:
    """Start machines."""
    on_each(
        names,
        lambda client, machine, on_event: client.start(machine, timeout=timeout, on_event=on_event),
        after=NEW_ADDRESSES.format("Started"),
    )


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def restart(names: tuple[str, ...], timeout: float) -> None:
    """Restart machines; those that are stopped are started."""
    on_each(
        names,
        lambda client, machine, on_event: client.restart(machine, timeout=timeout, on_event=on_event),
        after=NEW_ADDRESSES.format("Restarted"),
    )


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def stop(names: tuple[str, ...], timeout: float) -> None:
    """Stop machines gracefully; their data stays."""
    on_each(
        names,
        lambda client, machine, on_event: client.stop(machine, timeout=timeout, on_event=on_event),
    )


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def kill(names: tuple[str, ...], timeout: float) -> None:
    """Stop machines at once."""
    on_each(
        names,
        lambda client, machine, on_event: client.kill(machine, timeout=timeout, on_event=on_event),
    )
