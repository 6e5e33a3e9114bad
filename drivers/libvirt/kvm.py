"""Whether KVM really runs guests on a libvirt host: by a trial, since where the host is itself a virtual machine the
device may be there, and libvirt offer it, while guests crawl or crash.

The trial is a transient domain without disks. SeaBIOS says on its serial console that there is nothing to boot from
(libvirt.org/formatdomain.html, ``bios useserial``); firmware of other architectures may be missing, so there it counts
that the guest's CPU gets on. It ends with its connection, whatever becomes of us. What was found is kept for as long
as the host is not booted anew.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pymachine.drivers.libvirt.connection import libvirt, shown
from pymachine.drivers.libvirt.templating import xml
from pymachine.drivers.local import jsonfile
from pymachine.drivers.local.locks import locked

TRIAL_SECONDS = 20.0
"""SeaBIOS takes a third of a second under KVM, and one or two where it is emulated."""
PAUSE = 0.05
BLOCK = 4096
SPOKEN = b"No bootable device"
"""SeaBIOS's last words (src/boot.c)."""
LEAST_CPU_NS = 100_000_000


class Guest(NamedTuple):
    """What the trial is to be, as machines are."""

    arch: str
    machine: str
    cpu_mode: str


def problem(connection: Any, uri: str, guest: Guest, *, again: bool = False) -> str:
    """Why KVM is of no use there, in a few words; empty when a guest ran. With *again* a trial is made in any case.

    Raises ``libvirtError`` when the connection breaks.
    """
    path, key = _cache(), f"{shown(uri)} {connection.getHostname()} {' '.join(guest)}"
    with locked(path.with_name(f".{path.name}.lock"), "waiting for another trial of KVM"):
        known = jsonfile.read(path)
        cpu_time, now = _cpu_time(connection), time.time()
        entry = known.get(key)
        if not again and isinstance(entry, dict) and same_boot(entry, cpu_time, now):
            return str(entry.get("problem", ""))
        found = _try(connection, guest)
        kept = {name: value for name, value in known.items() if name != key}
        jsonfile.write(path, {**kept, key: {"problem": found, "cpu_time": cpu_time, "at": now}})
        return found


def same_boot(entry: Mapping[str, Any], cpu_time: float, now: float) -> bool:
    """Whether the host has run on since *entry* was made: libvirt tells no boot time, even of other computers, but
    the seconds that the CPUs have spent since their boot, idle ones too. A boot loses at least those from before the
    entry; some are always lost, to other guests of a host that is one itself."""
    try:
        before, then = float(entry["cpu_time"]), float(entry["at"])
    except (KeyError, TypeError, ValueError):
        return False
    lost = (now - then) - (cpu_time - before)
    return now >= then and lost < before / 2


def _cpu_time(connection: Any) -> float:
    """Seconds since the host's boot, by the accounts of an average CPU (libvirt, ``virNodeGetCPUStats``)."""
    stats = connection.getCPUStats(libvirt().VIR_NODE_CPU_STATS_ALL_CPUS, 0)
    spent = sum(stats.get(name, 0) for name in ("kernel", "user", "idle", "iowait"))
    return float(spent / 1e9 / max(1, connection.getInfo()[2]))


def _cache(env: Mapping[str, str] = os.environ) -> Path:
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pymachine" / "kvm.json"


def _try(connection: Any, guest: Guest) -> str:
    module = libvirt()
    name = f"pymachine-trial-{uuid.uuid4().hex[:12]}"
    flags = module.VIR_DOMAIN_START_PAUSED | module.VIR_DOMAIN_START_AUTODESTROY
    try:
        domain = connection.createXML(xml("trial", name=name, guest=guest), flags)
    except module.libvirtError as error:
        return f"a trial guest does not start: {_cause(error)}"
    try:
        return _watch(connection, domain, spoken=_spoken if guest.arch == "x86_64" else _has_run)
    except module.libvirtError as error:
        return f"a trial guest ended: {_cause(error)}"
    finally:
        with contextlib.suppress(module.libvirtError):
            domain.destroy()


def _cause(error: Exception) -> str:
    """In QEMU's own words where there are some: libvirt puts its own, and a time, before them."""
    return re.sub(r"^.*\d{4}-\d\d-\d\dT[\d:.]+Z ", "", " ".join(str(error).split()))


def _watch(connection: Any, domain: Any, spoken: Callable[[Any, bytes], bool]) -> str:
    """Let the guest go, once its console is ours: nobody keeps what it says before."""
    module = libvirt()
    stream = connection.newStream(module.VIR_STREAM_NONBLOCK)
    domain.openConsole(None, stream, module.VIR_DOMAIN_CONSOLE_FORCE)
    try:
        domain.resume()
        end, said = time.monotonic() + TRIAL_SECONDS, b""
        while time.monotonic() < end:
            data = stream.recv(BLOCK)
            if isinstance(data, bytes):
                said += data
            if spoken(domain, said):
                return ""
            if domain.state()[0] not in (module.VIR_DOMAIN_RUNNING, module.VIR_DOMAIN_BLOCKED):
                return "a trial guest crashed"
            if not isinstance(data, bytes):
                time.sleep(PAUSE)
        return f"a trial guest did not get through its firmware in {TRIAL_SECONDS:.0f} s"
    finally:
        with contextlib.suppress(module.libvirtError):
            stream.abort()


def _spoken(domain: Any, said: bytes) -> bool:
    return SPOKEN in said


def _has_run(domain: Any, said: bytes) -> bool:
    return bool(domain.info()[4] >= LEAST_CPU_NS)
