"""Whether a libvirt host can run a machine: every problem at once, each with its remedy; nothing is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.libvirt import networks
from pymachine.drivers.libvirt.connection import connect, libvirt, shown, told
from pymachine.drivers.libvirt.domains import MACHINES, Host
from pymachine.drivers.libvirt.images import catalogue, fetch
from pymachine.drivers.libvirt.images.library import Library
from pymachine.drivers.libvirt.options import GIB, MIB, Options
from pymachine.drivers.libvirt.seed import iso
from pymachine.drivers.libvirt.storage import FOLDER_KINDS, Storage, pool_kind
from pymachine.drivers.userdata import read_extra
from pymachine.machine.errors import InvalidOption, MachineError, MissingRequirement, PreCreateCheckFailed

LEAST_FREE = 2 * GIB
"""Bytes that a pool needs for an image and a machine's first hours."""


def check(options: Options) -> None:
    """Raise `InvalidOption` for values that are wrong in themselves, else `PreCreateCheckFailed` with all that the
    libvirt host lacks."""
    if problems := options.problems():
        raise InvalidOption("; ".join(problems))
    read_extra(options.cloud_init, "--libvirt-cloud-init")
    try:
        iso({"meta-data": ""})
        connection = connect(options.uri)
        with told("checking the libvirt host"):
            found = list(_problems(connection, options))
    except MissingRequirement as error:
        raise PreCreateCheckFailed(str(error), hint=error.hint) from error
    if found:
        hints = list(dict.fromkeys(problem.hint for problem in found if problem.hint))
        raise PreCreateCheckFailed("; ".join(map(str, found)), hint="; ".join(hints))


def _problems(connection: Any, options: Options) -> Iterator[MachineError]:
    host = Host.ask(connection)
    yield from _domain_type(connection, options, host)
    yield from _pool(connection, options)
    for nic in options.networks():
        if nic.kind == "network" and (lacking := networks.problem(connection, nic.source)):
            yield lacking
    if not fetch.known(options.image, Library(), options.arch or host.architecture):
        yield InvalidOption(
            f'--libvirt-image: there is no image "{options.image}"',
            hint=f"known: {', '.join(catalogue.names())}; or give a URL or a file",
        )
    if fetch.is_url(options.image) and not options.image_checksum:
        yield InvalidOption("--libvirt-image-checksum must be given for an image given by its URL")
    yield from _memory(connection, options)


def _domain_type(connection: Any, options: Options, host: Host) -> Iterator[MachineError]:
    """What the connection says it can run (formatdomaincaps)."""
    arch = options.arch or host.architecture
    machine = options.machine or MACHINES.get(arch, "virt")
    try:
        text = connection.getDomainCapabilities(None, arch, machine, options.domain_type, 0)
    except libvirt().libvirtError as error:
        reason = " ".join(str(error).split())
        hint = ""
        if options.domain_type == "kvm":
            hint = "is /dev/kvm there, and may QEMU use it? Without: --libvirt-domain-type qemu, which is slow"
        yield MissingRequirement(
            f"{shown(options.uri)} cannot run {arch} {options.domain_type} guests: {reason}", hint=hint
        )
        return
    yield from _offers(ElementTree.fromstring(text), options)


def _offers(capabilities: ElementTree.Element, options: Options) -> Iterator[MachineError]:
    most = capabilities.find("vcpu")
    if most is not None and int(most.get("max", "0")) < options.cpus:
        yield InvalidOption(f"--libvirt-cpus: {options.cpus} is more than the {most.get('max')} that QEMU takes")
    firmwares = {value.text for value in capabilities.findall("os/enum[@name='firmware']/value")}
    if options.firmware == "uefi" and "efi" not in firmwares:
        yield MissingRequirement("the libvirt host has no UEFI firmware for guests", hint="sudo apt-get install ovmf")
    if options.share and options.share_type == "virtiofs":
        kinds = {v.text for v in capabilities.findall("devices/filesystem/enum[@name='driverType']/value")}
        if kinds and "virtiofs" not in kinds:
            yield MissingRequirement("the libvirt host has no virtiofs", hint="use --libvirt-share-type 9p")


def _pool(connection: Any, options: Options) -> Iterator[MachineError]:
    pool = Storage(connection, options).find()
    if pool is None:
        yield from _disk_here(connection, options)
        return
    kind = pool_kind(pool.XMLDesc())
    if kind not in FOLDER_KINDS:
        yield MissingRequirement(
            f'the storage pool "{options.pool}" is of type {kind}; machines need one that is a folder',
            hint="name another one with --libvirt-pool; it is made if missing",
        )
    elif pool.isActive() and (free := pool.info()[3]) < LEAST_FREE:
        yield MissingRequirement(
            f'only {free // MIB} MiB are free in the storage pool "{options.pool}"; {LEAST_FREE // MIB} MiB are needed'
        )


def _disk_here(connection: Any, options: Options) -> Iterator[MachineError]:
    """For a pool that will be made on this computer."""
    if not options.local:
        return
    place = Storage(connection, options).folder()
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    found = os.statvfs(place)
    if (free := found.f_bavail * found.f_frsize) < LEAST_FREE:
        yield MissingRequirement(f"only {free // MIB} MiB are free in {place}; {LEAST_FREE // MIB} MiB are needed")


def _memory(connection: Any, options: Options) -> Iterator[MachineError]:
    total = connection.getInfo()[1] * MIB
    if options.memory_bytes() > total:
        yield InvalidOption(f"--libvirt-memory: {options.memory} is more than the host's {total // MIB} MiB")
