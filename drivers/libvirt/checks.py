"""Whether a libvirt host can run a machine: every problem at once, each with its remedy; nothing is made.

`check` is asked before a create, `findings` by ``pymachine doctor libvirt``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.base import Finding
from pymachine.drivers.libvirt import hosting, networks
from pymachine.drivers.libvirt.connection import connect, libvirt, shown, told
from pymachine.drivers.libvirt.domains import Host
from pymachine.drivers.libvirt.images import catalogue, fetch
from pymachine.drivers.libvirt.images.library import Library
from pymachine.drivers.libvirt.options import GIB, MIB, Options
from pymachine.drivers.libvirt.seed import iso
from pymachine.drivers.libvirt.storage import FOLDER_KINDS, Storage, pool_kind
from pymachine.drivers.options import build
from pymachine.drivers.userdata import read_extra
from pymachine.machine.errors import InvalidOption, MachineError, MissingRequirement, PreCreateCheckFailed

LEAST_FREE = 2 * GIB
"""Bytes that a pool needs for an image and a machine's first hours."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that is looked at."""

    fine: str
    """What is said when there is no problem."""
    problems: Callable[[], Iterable[MachineError]]


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
            found = [problem for subject in _subjects(connection, options) for problem in subject.problems()]
    except MissingRequirement as error:
        raise PreCreateCheckFailed(str(error), hint=error.hint) from error
    if found:
        hints = list(dict.fromkeys(problem.hint for problem in found if problem.hint))
        raise PreCreateCheckFailed("; ".join(map(str, found)), hint="; ".join(hints))


def doctor() -> list[Finding]:
    """`findings` for the options that the environment gives."""
    try:
        options = build("libvirt", Options, {}, os.environ)
    except InvalidOption as error:
        return [Finding("problem", str(error))]
    return findings(options)


def findings(options: Options) -> list[Finding]:
    """All that a machine with *options* needs, whether it is there or not; KVM is tried again."""
    if problems := options.problems():
        return [Finding("problem", problem) for problem in problems]
    found = []
    try:
        iso({"meta-data": ""})
        found.append(
            Finding("ok", f"libvirt's Python library {_version(libvirt().getVersion())} and pycdlib are there")
        )
        connection = connect(options.uri)
        with told("asking libvirt about its host"):
            found.append(Finding("ok", _who(connection, options)))
            for subject in _subjects(connection, options, again=True):
                found += _told(subject)
    except MachineError as error:
        found.append(Finding("problem", str(error), error.hint))
    return found


def _told(subject: Subject) -> list[Finding]:
    problems = [Finding("problem", str(problem), problem.hint) for problem in subject.problems()]
    return problems or [Finding("ok", subject.fine)] * bool(subject.fine)


def _who(connection: Any, options: Options) -> str:
    daemon, emulator = _version(connection.getLibVersion()), _version(connection.getVersion())
    return f"{shown(options.uri)} answers: libvirt {daemon}, QEMU {emulator}"


def _version(number: int) -> str:
    """Of libvirt's 1,000,000 × major + 1,000 × minor + release."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def _subjects(connection: Any, options: Options, *, again: bool = False) -> Iterator[Subject]:
    host = Host.ask(connection)
    arch, machine = options.arch or host.architecture, options.machine_of(host.architecture)
    guests = {"kvm": "KVM runs guests", "qemu": "guests are emulated in software, slowly, as was asked for"}
    fine = guests.get(options.domain_type, "guests run by KVM where it works, else in software")
    yield Subject(f"{fine} ({arch}, {machine})", lambda: hosting.domain_type(connection, options, host, again=again))
    yield Subject("", lambda: hosting.capabilities(connection, options, host))
    yield Subject(_pool_as_it_is(connection, options), lambda: _pool(connection, options))
    for nic in options.networks():
        fine = networks.as_it_is(connection, nic) if nic.kind == "network" else f"network: {nic.kind} {nic.source}"
        yield Subject(fine.strip(), lambda nic=nic: networks.problems(connection, nic, local=options.local))  # type: ignore[misc]
    yield Subject(f"image {options.image} is known", lambda: _image(options, arch))
    free = hosting.free_memory(connection)
    yield Subject(f"{free // MIB} MiB of memory are free", lambda: hosting.memory(connection, options))
    yield Subject("", lambda: hosting.shares(options))


def _image(options: Options, arch: str) -> Iterator[MachineError]:
    try:
        known = fetch.known(options.image, Library(), arch)
    except MachineError as error:
        yield error
        return
    if not known:
        yield InvalidOption(
            f'--libvirt-image: there is no image "{options.image}"',
            hint=f"known: {', '.join(catalogue.names())}; or give a URL or a file",
        )
    if fetch.is_url(options.image) and not options.image_checksum:
        yield InvalidOption("--libvirt-image-checksum must be given for an image given by its URL")


def _pool_as_it_is(connection: Any, options: Options) -> str:
    pool = Storage(connection, options).find()
    if pool is None:
        place = Storage(connection, options).folder()
        return f'the storage pool "{options.pool}" is made in {place} when it is first needed'
    if not pool.isActive():
        return f'the storage pool "{options.pool}" is started when it is first needed'
    return f'the storage pool "{options.pool}" has {pool.info()[3] // MIB} MiB free'


def _pool(connection: Any, options: Options) -> Iterator[MachineError]:
    pool = Storage(connection, options).find()
    if pool is None:
        yield from hosting.disk_here(Storage(connection, options).folder(), options, LEAST_FREE)
        return
    kind = pool_kind(pool.XMLDesc())
    if kind not in FOLDER_KINDS:
        yield MissingRequirement(
            f'the storage pool "{options.pool}" is of type {kind}; machines need one that is a folder',
            hint="name another one with --libvirt-pool; it is made if missing",
        )
    elif pool.isActive() and (free := pool.info()[3]) < LEAST_FREE:
        yield MissingRequirement(
            f'only {free // MIB} MiB are free in the storage pool "{options.pool}"; {LEAST_FREE // MIB} MiB are needed',
            hint="pymachine image prune   removes images that no machine uses",
        )
