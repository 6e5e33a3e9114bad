"""When a machine's certificates expire and whether they still name its address: quick enough for every row of `ls`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pymachine.machine.certs.glance import Glance, glance, host_name
from pymachine.machine.errors import MachineError

SOON = timedelta(days=30)
"""What expires within this time is renewed."""

_SERVER = ("server certificate", "server.pem")
_FILES = (_SERVER, ("client certificate", "cert.pem"), ("CA", "ca.pem"))


@dataclass(frozen=True, slots=True)
class Expiry:
    """The certificate of a machine that expires first."""

    what: str
    """``server certificate``, ``client certificate`` or ``CA``."""
    at: datetime

    def due(self, now: datetime | None = None) -> bool:
        """Whether it is time to renew it."""
        return self.at <= (now or datetime.now(UTC)) + SOON

    def describe(self, now: datetime | None = None) -> str:
        """``the server certificate expires on 2027-01-01``, or ``expired``."""
        verb = "expired" if self.at <= (now or datetime.now(UTC)) else "expires"
        return f"the {self.what} {verb} on {self.at:%Y-%m-%d}"


def expiry(directory: Path) -> Expiry | None:
    """What expires first of the certificates in *directory*, a machine's or the store's; ``None`` when there are none.

    A file that cannot be read or is damaged is passed over: whoever uses it says so.
    """
    found = [Expiry(what, seen.end) for what, seen in _certificates(directory)]
    return min(found, key=lambda item: item.at, default=None)


def warning(directory: Path, host: str = "", *, now: datetime | None = None) -> str:
    """What the user should know of the certificates in a machine's *directory*: that one has expired or will within
    30 days, or that the server certificate does not name *host*, the address that the machine has now. Else empty."""
    first = expiry(directory)
    if first is not None and first.due(now):
        return first.describe(now)
    return f"the address has changed: the server certificate does not name {host}" if unnamed(directory, host) else ""


def unnamed(directory: Path, host: str) -> bool:
    """Whether there is a server certificate in *directory* which does not name *host*."""
    if not host:
        return False
    seen = next((seen for what, seen in _certificates(directory) if what == _SERVER[0]), None)
    return seen is not None and host_name(host) not in seen.names


def _certificates(directory: Path) -> Iterator[tuple[str, Glance]]:
    for what, name in _FILES:
        try:
            seen = glance(directory / name)
        except MachineError:
            continue
        if seen is not None:
            yield what, seen
