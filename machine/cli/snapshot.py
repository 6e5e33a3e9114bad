"""``snapshot create``, ``ls``, ``restore`` and ``rm``."""

from __future__ import annotations

import dataclasses
import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.lifecycle import TIMEOUT_FLAG
from pymachine.machine.events import relay


@click.group(context_settings=SETTINGS)
def snapshot() -> None:
    """Keep a machine's state, and bring it back."""


MACHINE = click.argument("machine")
NAME = click.argument("name", metavar="SNAPSHOT")


@snapshot.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@MACHINE
@NAME
def create(machine: str, name: str, timeout: float) -> None:
    """Keep the state of MACHINE as SNAPSHOT; of a running one with its memory."""
    with current().progress() as report:
        current().client.create_snapshot(machine, name, timeout=timeout, on_event=relay(report))


@snapshot.command(cls=Command, context_settings=SETTINGS)
@format_option
@MACHINE
def ls(machine: str, format_: str) -> None:
    """List the snapshots of MACHINE."""
    from pymachine.machine.output.table import table

    found = current().client.snapshots(machine)
    if format_ == "json":
        return write_json([{key.capitalize(): value for key, value in dataclasses.asdict(s).items()} for s in found])
    rows = [(s.name, s.created, "yes" if s.running else "no") for s in found]
    sys.stdout.write(table(("NAME", "CREATED", "RUNNING"), rows))


@snapshot.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@MACHINE
@NAME
def restore(machine: str, name: str, timeout: float) -> None:
    """Bring back the state that was kept as SNAPSHOT; what came after it is lost."""
    with current().progress() as report:
        current().client.restore_snapshot(machine, name, timeout=timeout, on_event=relay(report))


@snapshot.command(cls=Command, context_settings=SETTINGS)
@TIMEOUT_FLAG
@MACHINE
@NAME
def rm(machine: str, name: str, timeout: float) -> None:
    """Forget SNAPSHOT; the machine stays as it is."""
    with current().progress() as report:
        current().client.remove_snapshot(machine, name, timeout=timeout, on_event=relay(report))
