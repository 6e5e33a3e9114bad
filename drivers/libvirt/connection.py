"""Connections to libvirt, and libvirt's errors told as ours.

libvirt's Python module is imported here, when it is first needed. Sources: libvirt.org/uri.html,
libvirt.org/html/libvirt-virterror.html.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pymachine.machine.errors import DeadlineExceeded, DriverError, MachineError, MissingRequirement

OPEN_SECONDS = 30.0
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 5, 6
"""A daemon that says nothing for half a minute is taken to be dead, so that no call waits for ever."""
_LOADING = threading.Lock()
"""Machines are made in several threads, and there must be one event loop."""
EXTRA = "pip install 'pymachine[libvirt]'"


def libvirt() -> Any:
    """libvirt's module, quiet and with its event loop running (which keepalive needs)."""
    with _LOADING:
        return _load()


@functools.cache
def _load() -> Any:
    try:
        import libvirt as module
    except ImportError as error:
        raise MissingRequirement(
            f"the libvirt driver needs libvirt's Python library: {error}",
            hint=f"{EXTRA}   (or, from Debian: apt-get install python3-libvirt)",
        ) from error
    module.registerErrorHandler(lambda _, error: None, None)  # else it writes each error to standard error
    module.virEventRegisterDefaultImpl()
    threading.Thread(target=_serve_events, args=(module,), daemon=True, name="libvirt events").start()
    return module


def _serve_events(module: Any) -> None:
    while True:
        with contextlib.suppress(module.libvirtError):
            module.virEventRunDefaultImpl()


def connect(uri: str) -> Any:
    """An open connection. Raises `MissingRequirement` with the remedy, or `DriverError`."""
    module = libvirt()
    opened: list[Any] = []
    thread = threading.Thread(target=_open, args=(module, for_scripts(uri), opened), daemon=True)
    thread.start()
    thread.join(OPEN_SECONDS)
    if not opened:
        raise DeadlineExceeded(f"connecting to {shown(uri)}", OPEN_SECONDS)
    if isinstance(opened[0], Exception):
        raise refused(uri, str(opened[0])) from opened[0]
    return opened[0]


def _open(module: Any, uri: str, opened: list[Any]) -> None:
    try:
        connection = module.open(uri)
        connection.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
        opened.append(connection)
    except module.libvirtError as error:
        opened.append(error)


def for_scripts(uri: str) -> str:
    """With ``no_tty=1`` for ssh, which would else ask for a password in the middle of everything."""
    parts = urlsplit(uri)
    if not parts.scheme.endswith("+ssh") or "no_tty" in parse_qs(parts.query):
        return uri
    return f"{uri}{'&' if parts.query else '?'}no_tty=1"


def shown(uri: str) -> str:
    """The URI without parameters, for messages."""
    return uri.partition("?")[0]


def refused(uri: str, reason: str) -> MachineError:
    """Why there is no connection, and what to do."""
    reason = " ".join(reason.split())
    where, remote = shown(uri), bool(urlsplit(uri).netloc)
    if remote:
        return DriverError(
            f"cannot connect to {where}: {reason}",
            hint=f"try: virsh -c '{for_scripts(uri)}' version   (a key for ssh, no password; libvirt on the far side)",
        )
    if re.search(r"permission denied|authentication (unavailable|failed)|access denied", reason, re.IGNORECASE):
        return MissingRequirement(
            f"no permission to use libvirt at {where}: {reason}",
            hint=f"sudo usermod -aG {_group(reason)} $USER   and log in again",
        )
    if re.search(r"no such file|connection refused|cannot find|failed to connect socket", reason, re.IGNORECASE):
        return MissingRequirement(
            f"libvirt does not run here: {reason}",
            hint="sudo apt-get install libvirt-daemon-system   or: sudo systemctl start libvirtd",
        )
    return DriverError(f"cannot connect to {where}: {reason}")


def _group(reason: str) -> str:
    """The group of the socket that refused us."""
    found = re.search(r"'(/[^']+sock[^']*)'", reason)
    with contextlib.suppress(OSError, KeyError, ImportError):
        import grp  # not on Windows

        if found and (name := grp.getgrgid(os.stat(found[1]).st_gid).gr_name) != "root":
            return name
    return "libvirt"


@contextlib.contextmanager
def told(stage: str) -> Iterator[None]:
    """Turn libvirt's errors in the block into a `DriverError` that says in which *stage* they came."""
    module = libvirt()
    try:
        yield
    except module.libvirtError as error:
        raise DriverError(f"{stage} failed: {' '.join(str(error).split())}", hint=hint(str(error))) from error


def hint(reason: str) -> str:
    """What to do about well-known reasons; empty for the others."""
    if "kvm" in reason.lower() and ("not available" in reason or "No such file" in reason or "denied" in reason):
        return "without KVM a machine can be emulated, slowly: --libvirt-domain-type qemu"
    if "virtiofsd" in reason and ("find" in reason or "satisfying" in reason):
        return "sudo apt-get install virtiofsd   on the libvirt host, or share by --libvirt-share-type 9p"
    if "Permission denied" in reason:
        return "QEMU's user must be able to read the storage pool: every folder above it needs o+x"
    if "Cannot allocate memory" in reason:
        return "the host is short of memory: use less with --libvirt-memory, or stop other machines"
    if "No space left" in reason:
        return "free some space in the storage pool, then run the command again"
    return ""


def missing(error: Any, code: str) -> bool:
    """Whether libvirt says that a thing is not there: *code* is such as ``VIR_ERR_NO_DOMAIN``."""
    return bool(error.get_error_code() == getattr(libvirt(), code))
