"""Capabilities and ``SecurityOpt``: from the request's words to what the runtime enforces.

Capability names and the default set: capabilities(7) and Docker's documented default.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument

_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
ALL = tuple(f"CAP_{name}" for name in _NAMES.split())
"""Every capability, at the index that is its number."""
_DEFAULT_NAMES = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE"
)
DEFAULT = tuple(f"CAP_{name}" for name in _DEFAULT_NAMES.split())
MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@functools.cache
def possible() -> tuple[str, ...]:
    """The capabilities that this daemon can hand on: its own bounding set."""
    with open("/proc/self/status") as status:
        bounding = next((int(line.split()[1], 16) for line in status if line.startswith("CapBnd:")), 0)
    return tuple(name for number, name in enumerate(ALL) if bounding >> number & 1)


def _known(name: str) -> str:
    full = name.upper()
    full = full if full in ("ALL", *ALL) else f"CAP_{full}"
    if full != "ALL" and full not in ALL:
        raise InvalidArgument(f'invalid capability: "{name}"')
    return full


def capabilities(add: Iterable[str], drop: Iterable[str], *, privileged: bool) -> tuple[str, ...]:
    """The bounding set; raises `InvalidArgument` for an unknown name."""
    added, dropped = {_known(name) for name in add}, {_known(name) for name in drop}
    if privileged:
        return possible()
    base = set(ALL) if "ALL" in added else set() if "ALL" in dropped else set(DEFAULT)
    wanted = (base | added) - dropped if "ALL" not in dropped else base | added if "ALL" in added else added
    return tuple(name for name in possible() if name in wanted - (dropped - {"ALL"}))


@dataclass(frozen=True, slots=True)
class Security:
    """What ``SecurityOpt`` asks for."""

    seccomp: str = "default"
    no_new_privileges: bool = False
    unmask: bool = False
    """``systempaths=unconfined``."""


def options(given: Iterable[str], *, privileged: bool) -> Security:
    """Read ``SecurityOpt``; raises `InvalidArgument` for what is unknown or not to be had here."""
    seccomp, no_new, unmask = "unconfined" if privileged else "default", False, False
    for entry in given:
        name, _, value = entry.replace(":", "=", 1).partition("=") if "=" not in entry else entry.partition("=")
        if name == "seccomp":
            seccomp = value if value in ("unconfined", "default") else _profile(value)
            seccomp = "default" if value == "builtin" else seccomp
        elif name == "no-new-privileges":
            no_new = _boolean(value, entry)
        elif (name, value) == ("systempaths", "unconfined"):
            unmask = True
        elif name == "label" or (name == "apparmor" and value in ("unconfined", "")):
            continue  # neither SELinux nor AppArmor confines containers of this engine
        else:
            raise InvalidArgument(f"invalid --security-opt 2: {entry!r} is not supported by this engine")
    return Security(seccomp, no_new, unmask)


def _boolean(value: str, entry: str) -> bool:
    if value not in ("", "true", "false", "1", "0"):
        raise InvalidArgument(f"invalid --security-opt: {entry!r}: {value!r} is neither true nor false")
    return value not in ("false", "0")


def _profile(text: str) -> str:
    if text == "builtin":
        return "default"
    try:
        if not isinstance(json.loads(text), dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from None
    return text


def paths(host_config: Mapping[str, Any], security: Security) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The masked and the read-only paths."""
    if host_config.get("Privileged") or security.unmask:
        return (), ()
    masked, readonly = host_config.get("MaskedPaths"), host_config.get("ReadonlyPaths")
    return (
        MASKED_PATHS if masked is None else tuple(masked),
        READONLY_PATHS if readonly is None else tuple(readonly),
    )
