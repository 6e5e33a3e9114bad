"""A libvirt of the test's own: virtlogd and libvirtd whose configuration, state and sockets are in a folder of theirs.

They run in a mount namespace in which that folder's parts lie over /etc/libvirt, /var/lib/libvirt and so on, so that
a libvirt which this computer may have is not touched. Networks are this computer's, and are given names and
subnets of the test's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OVERLAID = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt")
QEMU_CONF = (
    'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = []\nnamespaces = []\n'
    "remember_owner = 0\nseccomp_sandbox = 0\n"
)
"""No QEMU user, no AppArmor and no systemd to give control groups: this is a computer for tests."""


@dataclass
class LibvirtHost:
    """A running libvirt."""

    folder: Path
    processes: list[subprocess.Popen[bytes]]

    @property
    def socket(self) -> Path:
        return self.folder / "sockets" / "libvirt-sock"

    @property
    def uri(self) -> str:
        """For this computer."""
        return f"qemu:///system?socket={self.socket}"

    @property
    def pool(self) -> Path:
        """Where storage pools may be."""
        return self.folder / "pool"


def available() -> bool:
    """Whether the programs are there."""
    return all(shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("libvirtd", "virtlogd", "qemu-system-x86_64"))


@contextlib.contextmanager
def libvirt_host() -> Iterator[LibvirtHost]:
    """Start it; at the end every domain and network of it is ended, and it too."""
    folder = Path(tempfile.mkdtemp(prefix="pymachine-libvirt-", dir="/var/tmp"))
    folder.chmod(0o755)
    host = LibvirtHost(folder, [])
    try:
        for name in (*OVERLAID, "sockets", "pool"):
            (folder / name.strip("/")).mkdir(parents=True)
        (folder / "etc/libvirt/qemu.conf").write_text(QEMU_CONF)
        (folder / "libvirtd.conf").write_text(
            f'unix_sock_dir = "{folder}/sockets"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\nlog_level = 3\n'
        )
        _write_accounts(folder)
        host.processes.append(_run(folder, "virtlogd", folder / "run/libvirt/virtlogd-sock"))
        host.processes.append(_run(folder, "libvirtd", host.socket, "-f", f"{folder}/libvirtd.conf"))
        yield host
    finally:
        _end(host)


def _write_accounts(folder: Path) -> None:
    """libvirtd will not start without the user that its package makes, even if it is told to use another."""
    for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/:/bin/false"), ("group", "libvirt-qemu:x:64055:")):
        text = Path("/etc", name).read_text()
        known = any(entry.startswith("libvirt-qemu:") for entry in text.splitlines())
        (folder / name).write_text(text if known else f"{text}{line}\n")


def _run(folder: Path, program: str, socket: Path, *flags: str) -> subprocess.Popen[bytes]:
    binds = " && ".join(f"mkdir -p {path} && mount --bind {folder}{path} {path}" for path in OVERLAID)
    binds += "".join(f" && mount --bind {folder}/{name} /etc/{name}" for name in ("passwd", "group"))
    path = shutil.which(program, path="/usr/sbin:/usr/bin")
    log = open(folder / f"{program}.log", "wb")  # noqa: SIM115
    with log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c", f'{binds} && exec "$@"', "sh", str(path)]
            + ["--pid-file", f"{folder}/{program}.pid", *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + 30
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{program} did not start: {(folder / f'{program}.log').read_text()}")
        time.sleep(0.05)
    return process


def _end(host: LibvirtHost) -> None:
    if len(host.processes) == 2:
        with contextlib.suppress(Exception):
            _empty(host)
    namespaces = {name for process in host.processes if (name := _namespace(process.pid))}
    for process in reversed(host.processes):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid in members(namespaces):
        os.kill(pid, signal.SIGKILL)
    forget(host.folder)


def _empty(host: LibvirtHost) -> None:
    import libvirt

    connection = libvirt.open(host.uri)
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
    for network in connection.listAllNetworks():
        if network.isActive():
            network.destroy()
    connection.close()


def _namespace(pid: int | str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/mnt")
    return ""


def members(namespaces: set[str]) -> list[int]:
    """Processes in the mount namespaces: QEMU and dnsmasq live in that of the libvirtd that started them."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if namespaces and _namespace(p.name) in namespaces]


def end_all(folder: Path) -> None:
    """Kill the daemons that were started in *folder* by a test that could not end them, and what they started."""
    ours = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if f"{folder}/{Path(os.fsdecode(words[0])).name}.pid".encode() in words:
                ours.add(_namespace(entry.name))
    for pid in members(ours - {"", _namespace("self")}):
        os.kill(pid, signal.SIGKILL)


def forget(folder: Path) -> None:
    """Remove the folder of a libvirt that has ended, however it ended, with the bridges of its networks."""
    for status in folder.glob("run/libvirt/network/*.xml"):
        for bridge in re.findall(r"<bridge name=['\"](virbr\d+)['\"]", status.read_text()):
            subprocess.run(["ip", "link", "delete", bridge], capture_output=True)
            _forget_rules(bridge)
    shutil.rmtree(folder, ignore_errors=True)


def _forget_rules(bridge: str) -> None:
    """libvirt's rules are in chains of its own, which other networks share."""
    for table in ("filter", "nat", "mangle"):
        saved = subprocess.run(["iptables-save", "-t", table], capture_output=True, text=True).stdout
        for line in saved.splitlines():
            words = line.split()
            if line.startswith("-A LIBVIRT_") and bridge in words:
                subprocess.run(["iptables", "-w", "-t", table, "-D", *words[1:]], capture_output=True)
