"""``[user@]machine:path``: where ``scp`` and ``mount`` copy from and to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.store.base import Store

_DRIVE = re.compile(r"[A-Za-z]:(?![^/\\])")
"""``C:``, ``C:/x``, ``C:\\x``; not ``C:x``, which nobody means."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path on a machine, or on this computer when *machine* is empty."""

    path: str
    machine: str = ""
    user: str = ""
    """Empty: the machine's own SSH user."""

    @property
    def word(self) -> str:
        """As OpenSSH's programs and rsync take it, when their configuration knows the machines by name.

        They see a host in any colon, and an option in a leading dash: paths of this computer are told apart by
        ``./``.
        """
        if not self.machine:
            plain = os.path.isabs(self.path) or not (":" in self.path or self.path.startswith("-"))
            return self.path if plain else f".{os.sep}{self.path}"
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.machine}:{self.path}"


def parse_place(text: str, is_machine: Callable[[str], bool]) -> Place:
    """What *text* names. As with docker-machine, ``localhost:`` is this computer; as with scp(1), so is what has a
    slash before its first colon. A drive's letter is none of a machine, unless *is_machine* knows one of that name.
    """
    host, colon, path = text.partition(":")
    if not colon or "/" in host or "\\" in host:
        return Place(text)
    if _DRIVE.match(text) and (os.name == "nt" or "\\" in path or not is_machine(host)):
        return Place(text)
    user, at, name = host.rpartition("@")
    if name == "localhost":
        return Place(path or ".")
    if not name or (at and not user):
        raise MachineError(f"Invalid path {text!r}: expected [user@]machine:path")
    if user.startswith("-"):
        raise MachineError(f"{user!r} is no SSH user")
    return Place(path, name, user)


def load_machine(store: Store, place: Place) -> Machine:
    """The machine of a *place*; raises `MachineError` in docker-machine's words when there is none."""
    try:
        return Machine.load(store, place.machine)
    except MachineError as error:
        raise MachineError(f"Error loading host: {error}", hint=error.hint) from error
