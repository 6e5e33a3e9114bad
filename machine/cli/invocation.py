"""One run of the program: its global flags, the store, the progress display."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property

import click

from pymachine.machine.client import Client
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.names import DEFAULT
from pymachine.machine.output.progress import Live, Plain, progress
from pymachine.store.base import Store


class Invocation:
    """What commands get as ``@click.pass_obj``."""

    def __init__(self, *, storage_path: str | None, debug: bool) -> None:
        self.storage_path = storage_path
        self.debug = debug
        self.environ = os.environ
        self.tls_flags: dict[str, str | None] = {}
        """The global ``--tls-*`` flags that were given."""

    @cached_property
    def client(self) -> Client:
        """The machines of the store that the user means."""
        return Client(self.storage_path, environ=self.environ)

    @property
    def store(self) -> Store:
        """The store the user means; opening makes nothing."""
        return self.client.store

    def names(self, names: tuple[str, ...]) -> list[str]:
        """The names given, else ``default`` when there is such a machine."""
        if names:
            return list(names)
        if DEFAULT in self.store.names():
            return [DEFAULT]
        raise MachineError('Error: No machine name(s) specified and no "default" machine exists')

    def one(self, names: tuple[str, ...]) -> Machine:
        """The one machine meant by a command that takes at most one name."""
        if len(names) > 1:
            raise MachineError("Error: Expected one machine name as an argument")
        return self.client.get(self.names(names)[0])

    def several(self, names: tuple[str, ...]) -> list[Machine]:
        """All machines meant; if one cannot be loaded, none is."""
        return self.client.several(self.names(names))

    @contextlib.contextmanager
    def progress(self, *, live: bool = True) -> Iterator[Plain | Live]:
        """The progress display; *live* only where one thing happens at a time."""
        shown = progress(live=live and not self.debug)
        try:
            yield shown
        except BaseException:
            shown.close(failed=True)
            raise
        shown.close()


def current() -> Invocation:
    """The invocation of the command that is running."""
    invocation = click.get_current_context().obj
    assert isinstance(invocation, Invocation)
    return invocation
