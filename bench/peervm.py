"""The peer of the libvirt driver: virt-install(1) and virsh(1), as one would use them by hand."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from support.libvirthost import LibvirtHost


@dataclass(frozen=True)
class Sizes:
    """Of every machine in the benchmark."""

    cpus: str = "2"
    memory: int = 768
    """MiB."""
    disk: int = 4
    """GiB."""


SIZES = Sizes()


def connection(host: LibvirtHost) -> Any:
    """An open one."""
    from pymachine.drivers.libvirt.connection import connect

    return connect(host.uri)


def virt_install(host: LibvirtHost, image: Path, patience: float) -> float:
    """Seconds from nothing to a machine over *image*, with an identity by cloud-init, whose SSH server answers."""
    name = f"peer-{uuid.uuid4().hex[:8]}"
    disk, seed = host.pool / f"{name}.qcow2", host.pool / f"{name}.iso"
    start = perf_counter()
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(disk), f"{SIZES.disk}G"]
    _run(create)
    _write_seed(seed, name)
    _run(_command(host, name, disk, seed))
    try:
        _wait_for_ssh(host, name, patience)
        return perf_counter() - start
    finally:
        domain = connection(host).lookupByName(name)
        domain.destroy()
        domain.undefine()
        disk.unlink()
        seed.unlink()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {command[0]}: {done.stderr.strip()}")


def _command(host: LibvirtHost, name: str, disk: Path, seed: Path) -> list[str]:
    """All is virtio, the seed too, for the image's kernel has no other drivers; virt-install, which does not know the
    image's system, would take others."""
    return [
        "virt-install",
        *("--connect", host.uri, "--name", name, "--import", "--noautoconsole", "--graphics", "none"),
        *("--memory", str(SIZES.memory), "--vcpus", SIZES.cpus, "--virt-type", "qemu", "--machine", "q35"),
        *("--cpu", "mode=maximum", "--osinfo", "detect=on,require=off", "--network", "network=default,model=virtio"),
        *("--disk", f"path={disk},bus=virtio", "--disk", f"path={seed},device=disk,bus=virtio,format=raw,readonly=on"),
        *("--sysinfo", "system.serial=ds=nocloud"),
    ]


def _write_seed(path: Path, name: str) -> None:
    from pymachine.drivers.libvirt.seed import iso

    user = '#cloud-config\nssh_genkeytypes: [ed25519]\nlocale: "false"\n'
    path.write_bytes(iso({"meta-data": f"instance-id: {name}\nlocal-hostname: {name}\n", "user-data": user}))


def _wait_for_ssh(host: LibvirtHost, name: str, patience: float) -> None:
    domain, end = connection(host).lookupByName(name), time.monotonic() + patience
    while time.monotonic() < end:
        for address in _addresses(domain):
            with contextlib.suppress(OSError), socket.create_connection((address, 22), 3) as ours:
                ours.settimeout(10)
                if ours.recv(4) == b"SSH-":
                    return
        time.sleep(0.5)
    raise SystemExit("bench: the peer's machine never answered")


def _addresses(domain: Any) -> Iterator[str]:
    for interface in domain.interfaceAddresses(0).values():
        for address in interface["addrs"] or ():
            yield address["addr"]


def list_domains(host: LibvirtHost) -> float:
    """Seconds of ``virsh list --all``."""
    start = perf_counter()
    _run(["virsh", "--connect", host.uri, "list", "--all"])
    return perf_counter() - start
