"""``start``, ``stop``, ``kill``, ``restart``."""

from __future__ import annotations

from collections.abc import Callable

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.invocation import current
from pymachine.machine.machine import Machine
from pymachine.machine.operations.changing import TIMEOUT, each
from pymachine.machine.operations.report import Report

TIMEOUT_FLAG = timeout_option("--timeout", default=TIMEOUT, text="The most that one machine may take.")


def on_each(names: tuple[str, ...], operation: Callable[[Machine, Report], None], *, after: str = "") -> None:
    """Run *operation* on all machines meant, in parallel; then say *after*."""
    machines = current().several(names)
    with current().progress(live=len(machines) == 1) as report:
        each(lambda machine: operation(machine, report), machines)
        if after:
            report.say(after)


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def start(names: tuple[str, ...], timeout: float) -> None:
    """Start machines."""
    from pymachine.machine.operations.start import start as operation

    on_each(
        names,
        lambda machine, report: operation(machine, report, timeout=timeout),
        after="Started machines may have new IP addresses. You may need to re-run the `pymachine env` command.",
    )


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def restart(names: tuple[str, ...], timeout: float) -> None:
    """Restart machines; those that are stopped are started."""
    from pymachine.machine.operations.restart import restart as operation

    on_each(
        names,
        lambda machine, report: operation(machine, report, timeout=timeout),
        after="Restarted machines may have new IP addresses. You may need to re-run the `pymachine env` command.",
    )


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def stop(names: tuple[str, ...], timeout: float) -> None:
    """Stop machines gracefully; their data stays."""
    from pymachine.machine.operations.stop import stop as operation

    on_each(names, lambda machine, report: operation(machine, report, timeout=timeout))


@click.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@click.argument("names", nargs=-1, metavar="[NAME...]")
def kill(names: tuple[str, ...], timeout: float) -> None:
    """Stop machines at once."""
    from pymachine.machine.operations.stop import kill as operation

    on_each(names, lambda machine, report: operation(machine, report, timeout=timeout))
