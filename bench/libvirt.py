"""``pymachine create -d libvirt`` from a cached image by stage, beside ``virt-install --import``; ``ls`` of many.

Software emulation is used, as in the tests: compare the two columns, not the seconds with those of real hosts.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.report import header
from support.libvirthost import LibvirtHost, available, libvirt_host
from support.program import Program

DOMAINS = 100
BOOT = 900.0


def main() -> None:
    """Print seconds from the start at which each stage came."""
    if not available():
        print("\nlibvirt: left out, for libvirtd or QEMU is missing (scripts/setup --tests)")
        return
    from pymachine.drivers.libvirt.images.build import build

    image = build("debian-12", report=lambda line: None)
    with libvirt_host() as host, tempfile.TemporaryDirectory(prefix="pymachine-bench-") as place:
        program = _program(host, Path(place), image.name)
        header("pymachine create -d libvirt (one sample, software emulation, seconds since the start)")
        for stage, seconds in _create(program, "bench"):
            print(f"  {seconds:7.2f}  {stage}", flush=True)
        program.ok("rm", "-f", "-y", "bench")
        if shutil.which("virt-install"):
            print(f"  {_virt_install(host, image.path):7.2f}  virt-install --import: SSH answers", flush=True)
        header(f"pymachine ls of {DOMAINS} domains that are defined")
        print(f"  {_ls(program, host):7.2f}  s")


def _program(host: LibvirtHost, place: Path, image: str) -> Program:
    env = {
        "MACHINE_DRIVER": "libvirt",
        "LIBVIRT_DEFAULT_URI": host.uri,
        "LIBVIRT_IMAGE": image,
        "LIBVIRT_DOMAIN_TYPE": "qemu",
        "LIBVIRT_MEMORY": "768m",
        "LIBVIRT_DISK": "4g",
        "LIBVIRT_POOL": "bench",
        "LIBVIRT_POOL_PATH": str(host.pool / "bench"),
    }
    return Program(place / "store", env)


def _create(program: Program, name: str) -> list[tuple[str, float]]:
    start, seen = perf_counter(), []
    with program.start("create", "--timeout", str(BOOT), name) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen.append((re.sub(rf"\b{name}\b", "NAME", line.strip()), perf_counter() - start))
    if process.returncode:
        raise SystemExit(f"bench: create failed: {seen[-1][0] if seen else ''}")
    return seen


def _virt_install(host: LibvirtHost, image: Path) -> float:
    """The same disk, size and network, by virt-install(1) with a seed of its own; until SSH answers."""
    name = f"peer-{uuid.uuid4().hex[:8]}"
    disk = host.pool / f"{name}.qcow2"
    start = perf_counter()
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(disk), "4G"]
    subprocess.run(create, check=True)
    flags = [
        "--import",
        "--memory",
        "768",
        "--vcpus",
        "2",
        "--virt-type",
        "qemu",
        "--machine",
        "q35",
        "--noautoconsole",
    ]
    flags += ["--graphics", "none", "--osinfo", "detect=on,require=off", "--cloud-init", "disable=on"]
    where = ["--network", "network=default", "--disk", f"path={disk}"]
    command = ["virt-install", "--connect", host.uri, "--name", name, "--cpu", "maximum", *flags, *where]
    subprocess.run(command, check=True, capture_output=True)
    try:
        _wait_for_ssh(host, name)
        return perf_counter() - start
    finally:
        domain = _connection(host).lookupByName(name)
        domain.destroy()
        domain.undefine()
        disk.unlink()


def _wait_for_ssh(host: LibvirtHost, name: str) -> None:
    domain, end = _connection(host).lookupByName(name), time.monotonic() + BOOT
    while time.monotonic() < end:
        for interface in domain.interfaceAddresses(0).values():
            for address in interface["addrs"] or ():
                with contextlib.suppress(OSError), socket.create_connection((address["addr"], 22), 3) as connection:
                    connection.settimeout(10)
                    if connection.recv(4) == b"SSH-":
                        return
        time.sleep(0.5)
    raise SystemExit("bench: the peer's machine never answered")


def _ls(program: Program, host: LibvirtHost) -> float:
    """Domains that are defined and off, with a record each."""

    from pymachine.drivers.libvirt.options import Options
    from pymachine.drivers.options import to_json
    from pymachine.store.base import Record
    from pymachine.store.file import FileStore

    connection, store = _connection(host), FileStore(program.store)
    for number in range(DOMAINS):
        machine_id = str(uuid.uuid4())
        text = f"<domain type='qemu'><name>d{number}</name><uuid>{machine_id}</uuid><memory>1024</memory>"
        connection.defineXML(f"{text}<os><type>hvm</type></os></domain>")
        options = to_json(Options(uri=host.uri))
        record = Record(f"d{number}", machine_id, "libvirt", "2026-01-01T00:00:00Z", "ready", options)
        record.resources = {"address": "192.0.2.1", "domain": f"d{number}"}
        store.create(record)
    start = perf_counter()
    program.ok("ls")
    seconds = perf_counter() - start
    for domain in connection.listAllDomains():
        domain.undefine()
    return seconds


def _connection(host: LibvirtHost) -> Any:
    from pymachine.drivers.libvirt.connection import connect

    return connect(host.uri)
