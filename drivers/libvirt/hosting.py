"""What a libvirt host offers to guests: CPUs, KVM, firmware, memory, folders; each lack with its remedy.

Source: libvirt.org/formatdomaincaps.html and libvirt-host.html.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.libvirt import kvm
from pymachine.drivers.libvirt.connection import libvirt, shown
from pymachine.drivers.libvirt.domains import Host
from pymachine.drivers.libvirt.options import MIB, Options
from pymachine.machine.errors import InvalidOption, MachineError, MissingRequirement

EMULATE = "--libvirt-domain-type qemu   emulates, some ten times slower"
KIB = 1 << 10
HUGE_PAGE_KIB = 2048
NESTED = {"Intel": "kvm_intel", "AMD": "kvm_amd"}
"""The modules that let guests have guests."""


def resolve(connection: Any, options: Options, host: Host, report: Callable[[str], None]) -> str:
    """``kvm`` or ``qemu``; for ``auto`` it is told loudly when KVM does not work."""
    if options.domain_type != "auto":
        return options.domain_type
    why = kvm_problem(connection, options, host)
    if not why:
        return "kvm"
    report(f"NOTE: KVM does not run guests there: {why}")
    report("NOTE: the machine is emulated in software, some ten times slower")
    return "qemu"


def kvm_problem(connection: Any, options: Options, host: Host, *, again: bool = False) -> str:
    """Why guests cannot have KVM; empty when one ran."""
    arch = options.arch or host.architecture
    if arch != host.architecture:
        return f"the host is {host.architecture}, not {arch}"
    machine = options.machine_of(host.architecture)
    try:
        connection.getDomainCapabilities(None, arch, machine, "kvm", 0)
    except libvirt().libvirtError as error:
        return " ".join(str(error).split())
    guest = kvm.Guest(arch, machine, options.cpu_mode or "host-passthrough")
    return kvm.problem(connection, options.uri, guest, again=again)


def domain_type(connection: Any, options: Options, host: Host, *, again: bool = False) -> Iterator[MachineError]:
    """Whether the kind of guests that is asked for can be had."""
    arch, machine = options.arch or host.architecture, options.machine_of(host.architecture)
    try:
        connection.getDomainCapabilities(None, arch, machine, "qemu", 0)
    except libvirt().libvirtError as error:
        reason = " ".join(str(error).split())
        yield MissingRequirement(
            f"{shown(options.uri)} cannot run {arch} guests of machine type {machine}: {reason}",
            hint=_offered(connection),
        )
        return
    if options.domain_type == "qemu":
        return
    why = kvm_problem(connection, options, host, again=again)
    if why and options.domain_type == "kvm":
        yield MissingRequirement(
            f"{shown(options.uri)} cannot run {arch} guests by KVM: {why}",
            hint=f"is /dev/kvm there, and may QEMU use it? Without: {EMULATE}",
        )
    elif why and options.cpu_mode.startswith("host-"):
        yield InvalidOption(f"--libvirt-cpu-mode: {options.cpu_mode} needs KVM, which does not work: {why}")


def _offered(connection: Any) -> str:
    found = ElementTree.fromstring(connection.getCapabilities()).findall("guest/arch")
    names = sorted(arch.get("name", "") for arch in found)
    return f"the libvirt host has QEMU for: {', '.join(names) or 'nothing'}"


def capabilities(connection: Any, options: Options, host: Host) -> Iterator[MachineError]:
    """Whether QEMU offers what the options ask for."""
    arch, machine = options.arch or host.architecture, options.machine_of(host.architecture)
    kind = "kvm" if options.domain_type == "kvm" else "qemu"
    try:
        text = connection.getDomainCapabilities(None, arch, machine, kind, 0)
    except libvirt().libvirtError:
        return  # told by `domain_type`
    yield from _offers(ElementTree.fromstring(text), options)
    if options.hugepages:
        yield from _huge_pages(connection, options)
    if options.nested and options.local and kind == "kvm":
        yield from _nested(host)


def _offers(found: ElementTree.Element, options: Options) -> Iterator[MachineError]:
    most = found.find("vcpu")
    if most is not None and int(most.get("max", "0")) < options.cpus:
        yield InvalidOption(f"--libvirt-cpus: {options.cpus} is more than the {most.get('max')} that QEMU takes")
    mode = found.find(f"cpu/mode[@name='{options.cpu_mode}']") if options.cpu_mode else None
    if mode is not None and mode.get("supported") == "no":
        yield InvalidOption(f"--libvirt-cpu-mode: the libvirt host has no {options.cpu_mode} for such guests")
    firmwares = {value.text for value in found.findall("os/enum[@name='firmware']/value")}
    if options.firmware == "uefi" and "efi" not in firmwares:
        yield MissingRequirement("the libvirt host has no UEFI firmware for guests", hint="sudo apt-get install ovmf")
    if options.share and options.share_type == "virtiofs":
        kinds = {v.text for v in found.findall("devices/filesystem/enum[@name='driverType']/value")}
        if kinds and "virtiofs" not in kinds:
            yield MissingRequirement("the libvirt host has no virtiofs", hint="use --libvirt-share-type 9p")


def _huge_pages(connection: Any, options: Options) -> Iterator[MachineError]:
    wanted = -(-options.memory_bytes() // (HUGE_PAGE_KIB * KIB))
    cells = connection.getFreePages([HUGE_PAGE_KIB], 0, 1)
    free = sum(pages.get(HUGE_PAGE_KIB, 0) for pages in cells.values())
    if free < wanted:
        yield MissingRequirement(
            f"--libvirt-hugepages: {free} huge pages of 2 MiB are free, {wanted} are needed",
            hint=f"sudo sysctl vm.nr_hugepages={wanted}   on the libvirt host",
        )


def _nested(host: Host, modules: Path = Path("/sys/module")) -> Iterator[MachineError]:
    module = NESTED.get(host.cpu_vendor)
    switch = modules / str(module) / "parameters/nested"
    if module and switch.exists() and switch.read_text().strip() not in ("1", "Y"):
        yield MissingRequirement(
            "--libvirt-nested: this computer's KVM gives guests no virtual machines of their own",
            hint=f"echo options {module} nested=1 | sudo tee /etc/modprobe.d/nested.conf   and reboot",
        )


def free_memory(connection: Any) -> int:
    """Bytes that are free, or would be if the host's caches were dropped (libvirt, ``virNodeGetMemoryStats``)."""
    stats = connection.getMemoryStats(libvirt().VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    return int(sum(stats.get(name, 0) for name in ("free", "buffers", "cached"))) * KIB


def memory(connection: Any, options: Options) -> Iterator[MachineError]:
    """Whether the machine's memory can be had, now and at all."""
    wanted, total, free = options.memory_bytes(), connection.getInfo()[1] * MIB, free_memory(connection)
    if wanted > total:
        yield InvalidOption(f"--libvirt-memory: {options.memory} is more than the host's {total // MIB} MiB")
    elif wanted > free and not options.hugepages:
        yield MissingRequirement(
            f"--libvirt-memory: {options.memory} is more than the {free // MIB} MiB that are free on the host",
            hint="ask for less, or stop other machines",
        )


def shares(options: Options) -> Iterator[MachineError]:
    """Whether shared folders are there, where that can be seen."""
    for share in options.shares() if options.local else ():
        if not os.path.isdir(share.source):
            yield InvalidOption(f"--libvirt-share: there is no folder {share.source}")


def disk_here(place: str, options: Options, least: int) -> Iterator[MachineError]:
    """Whether there is room for a pool that will be made on this computer."""
    if not options.local:
        return
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    found = os.statvfs(place)
    if (free := found.f_bavail * found.f_frsize) < least:
        yield MissingRequirement(
            f"only {free // MIB} MiB are free in {place}; {least // MIB} MiB are needed",
            hint="free some, or name a pool elsewhere: --libvirt-pool NAME --libvirt-pool-path FOLDER",
        )
