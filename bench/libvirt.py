"""``pymachine create -d libvirt`` from a cached image to SSH and to ``docker ps``, by stage, beside plain
``virt-install --import`` of the same image with the same seed; ten clones; ``ls`` of a hundred domains.

Software emulation is used, as in the tests: compare the columns, not the seconds with those of real hosts.
``BENCH_LIBVIRT=create,clones,ls`` runs some parts only.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from bench.peervm import SIZES, connection, list_domains, virt_install
from bench.report import alternate, columns, header, row
from pymachine.drivers.libvirt import networks
from pymachine.drivers.libvirt.images.library import VMImage
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.storage import Storage
from pymachine.drivers.options import to_json
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.baredriver import install_bare_driver
from support.libvirthost import LibvirtHost, available, libvirt_host
from support.program import Program, environment

DOMAINS, CLONES, AT_ONCE = 100, 10, 2
BOOT = 1800.0


def main(samples: int = 2) -> None:
    """Print the tables."""
    if not available():
        print("\nlibvirt: left out, for libvirtd or QEMU is missing (scripts/setup --bench)")
        return
    from pymachine.drivers.libvirt.images.build import build

    image = build("debian-12", report=lambda line: None)
    parts = os.environ.get("BENCH_LIBVIRT", "create,clones,ls").split(",")
    with libvirt_host() as host, host.entered(), tempfile.TemporaryDirectory(prefix="pymachine-bench-") as place:
        program = _program(host, Path(place), image.name)
        if "create" in parts:
            _compare(program, host, image, samples)
        if "clones" in parts:
            _clones(Program(program.store, {**program.env, **install_bare_driver(Path(place))}))
        if "ls" in parts:
            _many(program, host)


def _program(host: LibvirtHost, place: Path, image: str) -> Program:
    env = {
        "MACHINE_DRIVER": "libvirt",
        "LIBVIRT_DEFAULT_URI": host.uri,
        "LIBVIRT_IMAGE": image,
        "LIBVIRT_DOMAIN_TYPE": "qemu",
        "LIBVIRT_CPUS": SIZES.cpus,
        "LIBVIRT_MEMORY": f"{SIZES.memory}m",
        "LIBVIRT_DISK": f"{SIZES.disk}g",
        "LIBVIRT_POOL": _options(host).pool,
        "LIBVIRT_POOL_PATH": _options(host).pool_path,
    }
    return Program(place / "store", env)


def _compare(program: Program, host: LibvirtHost, image: VMImage, samples: int) -> None:
    """In turn; the image is in the pool before, as the peer has it for its disk's backing file."""
    _fill_pool(host, image)
    stages: list[list[tuple[str, float]]] = []

    def ours(name: str) -> float:
        seen = list(_create(program, "create", "--timeout", str(BOOT), name))
        seen.append(("docker ps answers", seen[-1][1] + _docker_ps(program, name)))
        program.ok("rm", "-f", "-y", name)
        stages.append(seen)
        return next(at for text, at in seen if text == "SSH answers")

    header(f"create from a cached image, software emulation (medians of {samples})")
    columns("pymachine", "virt-install")
    mine, other = [], []
    for number in range(samples):
        mine.append(ours(f"bench-{number}"))
        other.append(virt_install(host, image.path, BOOT))
    row("create -> SSH answers", (mine, other), "s", 1)
    header("pymachine create, its stages (medians, seconds since the start; in brackets since the stage before)")
    _print_stages(stages)


def _fill_pool(host: LibvirtHost, image: VMImage) -> None:
    """The network too is there before."""
    networks.ensure(connection(host), "default", local=True)
    storage = Storage(connection(host), _options(host))
    storage.ensure()
    storage.base(image, lambda line: None, time.monotonic() + BOOT)


def _options(host: LibvirtHost) -> Options:
    return Options(uri=host.uri, pool="bench", pool_path=str(host.pool / "bench"))


def _print_stages(runs: list[list[tuple[str, float]]]) -> None:
    before = 0.0
    for text, _ in runs[0]:
        times = [at for run in runs for told, at in run if told == text]
        if len(times) == len(runs):
            median = statistics.median(times)
            print(f"  {median:7.2f}  (+{median - before:6.2f})  {text}", flush=True)
            before = median


def _create(program: Program, *command: str) -> Iterator[tuple[str, float]]:
    """What is told, and when; and when the machine's SSH server, for which the driver waits last, answered."""
    start, name, text = perf_counter(), command[-1], ""
    booted = answered = False
    with program.start(*command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            text, at = re.sub(rf"\b{re.escape(name)}\b", "NAME", line.strip()), perf_counter() - start
            if booted and not answered:
                answered = True
                yield "SSH answers", at
            booted = booted or "Address" in text
            yield re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS", text), at
        error = process.stderr.read().strip() if process.stderr else ""
    if process.returncode:
        raise SystemExit(f"bench: {command[0]} failed: {error or text}")
    yield f"{command[0]} is done", perf_counter() - start


def _docker_ps(program: Program, name: str) -> float:
    start = perf_counter()
    exports = program.ok("env", "--shell", "bash", name)
    pairs = dict(re.findall(r'^export (\w+)="(.*)"$', exports, re.MULTILINE))
    subprocess.run(["docker", "ps"], env=environment(pairs), check=True, capture_output=True)
    return perf_counter() - start


def _clones(program: Program) -> None:
    """Ten copies of a stopped machine, to SSH; two at a time, for the first is stopped and copied too (each copy holds
    its original)."""
    program.ok("create", "--timeout", str(BOOT), "original", timeout=BOOT)
    program.ok("stop", "original", timeout=BOOT)
    header(f"{CLONES} clones, {AT_ONCE} at a time, software emulation")
    start = perf_counter()
    addresses: set[str] = set()

    def clone(original: str, number: int) -> float:
        name = f"clone-{number}"
        seen = dict(_create(program, "clone", "--timeout", str(BOOT), original, name))
        addresses.add(program.ok("ip", name).strip())
        program.ok("stop", name, timeout=BOOT)  # ten emulated machines would keep the processors busy
        return seen["SSH answers"]

    times = [clone("original", 0)]
    chains = [(original, range(1 + index, CLONES, AT_ONCE)) for index, original in enumerate(("original", "clone-0"))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for made in pool.map(lambda chain: [clone(chain[0], number) for number in chain[1]], chains):
            times += made
    print(f"  {perf_counter() - start:7.1f} s in all; addresses: {len(addresses)}")
    print(f"  {statistics.median(times):7.1f} s each to SSH (median; {min(times):.1f}-{max(times):.1f})")
    program.ok("rm", "-f", "-y", "original", *(f"clone-{number}" for number in range(CLONES)))


def _many(program: Program, host: LibvirtHost, samples: int = 7) -> None:
    """Domains that are defined and off, with a record each."""
    ours, store = connection(host), FileStore(program.store)
    for number in range(DOMAINS):
        machine_id = str(uuid.uuid4())
        text = f"<domain type='qemu'><name>d{number}</name><uuid>{machine_id}</uuid><memory>1024</memory>"
        ours.defineXML(f"{text}<os><type>hvm</type></os></domain>")
        options = to_json(_options(host))
        record = Record(f"d{number}", machine_id, "libvirt", "2026-01-01T00:00:00Z", "ready", options)
        record.resources = {"address": "192.0.2.1", "domain": f"d{number}"}
        store.create(record)
    header(f"{DOMAINS} domains that are defined and off (medians of {samples})")
    columns("pymachine", "virsh")
    row("ls / virsh list --all", alternate(samples, lambda: _ls(program), lambda: list_domains(host)))
    for domain in ours.listAllDomains():
        domain.undefine()


def _ls(program: Program) -> float:
    start = perf_counter()
    program.ok("ls")
    return perf_counter() - start
