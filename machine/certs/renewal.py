"""Whether a machine's certificates need work: found out by looking at files, quick enough for every `env`."""

from __future__ import annotations

import os
from pathlib import Path

from pymachine.machine.certs.expiry import expiry, unnamed
from pymachine.machine.certs.glance import Glance, glance
from pymachine.machine.errors import MachineError


def renewal_reason(store_certs: Path, directory: Path, host: str, delivered: list[str]) -> str:
    """Why the certificates in a machine's *directory* must be renewed or brought to its host; empty when all is well.

    *store_certs* holds the store's CA and client certificate, *host* is the machine's address (empty when it is not to
    be named by a certificate), *delivered* what the host was given last (`edition`; empty when that is not known). A
    machine that trusts another CA than the store's is left alone.
    """
    ours, own = _seen(store_certs / "ca.pem"), _seen(directory / "ca.pem")
    if ours is None or own is None or ours.public_key != own.public_key:
        return ""
    for place in (directory, store_certs):
        first = expiry(place)
        if first is not None and first.due():
            return first.describe()
    if _cut_off(store_certs, directory):
        return "an earlier renewal was cut off"
    if unnamed(directory, host):
        return f"the address has changed to {host}"
    if ours.serial != own.serial:
        return "the CA was renewed"
    if delivered and delivered != edition(directory):
        return "the host does not have the newest certificate"
    return ""


def _cut_off(store_certs: Path, directory: Path) -> bool:
    """Whether a pair is half replaced, or the machine's client certificate is not the store's: its key is copied first,
    so that it may be another's by now."""
    pending = (store_certs / ".ca.pem", store_certs / ".cert.pem", directory / ".server.pem")
    if any(os.path.lexists(f"{path}.pending") for path in pending):
        return True
    ours, own = _seen(store_certs / "cert.pem"), _seen(directory / "cert.pem")
    return ours is not None and own is not None and ours.serial != own.serial


def edition(directory: Path) -> list[str]:
    """Serial numbers of the CA and server certificates in a machine's *directory*: what its host is to have."""
    seen = (_seen(directory / name) for name in ("ca.pem", "server.pem"))
    return [item.serial if item else "" for item in seen]


def _seen(path: Path) -> Glance | None:
    """A damaged file is as good as none here: whoever uses it says so."""
    try:
        return glance(path)
    except MachineError:
        return None
