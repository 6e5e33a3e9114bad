"""``console``: a machine's serial console in this terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current

LEAVE = b"\x1d"
"""Ctrl-], as in telnet(1) and virsh(1)."""
BLOCK = 4096


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("name")
def console(name: str) -> None:
    """Attach to the serial console of machine NAME; Ctrl-] leaves it."""
    from pymachine.machine.operations.powers import attach_console

    machine = current().one((name,))
    if sys.stdin.isatty():
        click.echo(f'Connected to the console of "{machine.name}"; leave it by Ctrl-]', err=True)
    with _raw_terminal():
        attach_console(machine, _typed, _show)


def _typed() -> bytes:
    """What was typed; empty once the user leaves, or input ends."""
    data = os.read(sys.stdin.fileno(), BLOCK)
    return data.partition(LEAVE)[0] if LEAVE in data else data


def _show(data: bytes) -> None:
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Keys go through as they are typed, Ctrl-C too."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    tty.setraw(handle)
    try:
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
