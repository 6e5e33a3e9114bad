"""Change a domain's CPUs, memory and disk. CPUs and memory change at the next start, the disk grows at once."""

from __future__ import annotations

from typing import Any

from pymachine.drivers.libvirt.connection import libvirt, told
from pymachine.drivers.libvirt.options import LEAST_MEMORY, MIB, parse_size
from pymachine.machine.errors import DriverError, InvalidOption

KIB = 1 << 10


def resize(domain: Any, volume: Any | None, *, cpus: int, memory: str, disk: str) -> dict[str, Any]:
    """Change what is given, the disk in *volume*; returns the options that are different now."""
    changed: dict[str, Any] = {}
    if cpus:
        set_cpus(domain, cpus)
        changed["cpus"] = cpus
    if memory:
        set_memory(domain, memory)
        changed["memory"] = memory
    if disk:
        grow_disk(domain, volume, "vda", disk)
        changed["disk"] = disk
    return changed


def set_cpus(domain: Any, number: int) -> None:
    """Raises `InvalidOption` for less than one."""
    if number < 1:
        raise InvalidOption(f"--cpus: {number} is less than 1")
    config = libvirt().VIR_DOMAIN_AFFECT_CONFIG
    maximum = config | libvirt().VIR_DOMAIN_VCPU_MAXIMUM
    with told("setting the number of CPUs"):
        steps = [(number, maximum), (number, config)]
        if number < domain.vcpusFlags(config):
            steps.reverse()  # at no time more CPUs than the most
        for value, flags in steps:
            domain.setVcpusFlags(value, flags)


def set_memory(domain: Any, text: str) -> None:
    """Raises `InvalidOption`."""
    size = parse_size("--memory", text, LEAST_MEMORY) // KIB
    config = libvirt().VIR_DOMAIN_AFFECT_CONFIG
    with told("setting the memory"):
        domain.setMemoryFlags(size, config | libvirt().VIR_DOMAIN_MEM_MAXIMUM)
        domain.setMemoryFlags(size, config)


def grow_disk(domain: Any, volume: Any, device: str, text: str) -> None:
    """Raises `InvalidOption` for less than it has: a file system cannot be cut."""
    size, now = parse_size("--disk", text, MIB), volume.info()[1]
    if size < now:
        raise InvalidOption(f"--disk: {text} is less than the {now // MIB} MiB that the disk has; disks only grow")
    if size == now:
        return
    with told("growing the disk"):
        if domain.isActive():
            domain.blockResize(device, size, libvirt().VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        elif domain.snapshotNum():
            raise DriverError("the disk of a stopped machine with snapshots cannot grow; start it first")
        else:
            volume.resize(size)
