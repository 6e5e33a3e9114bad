"""A libvirt of the test's own: virtlogd and libvirtd whose configuration, state and sockets are in a folder of theirs.

They run in a mount namespace in which that folder's parts lie over /etc/libvirt, /var/lib/libvirt and so on, and in a
network namespace, so that a libvirt which this computer may have is not touched. Whoever wants to reach a machine
must be in the network namespace (`LibvirtHost.entered`).

Nothing of it outlives a run that is killed: the folder is a file system in memory, mounted where the tests' sandbox
alone sees it; bridges and firewall rules are in the network namespace; processes are in that of the sandbox. The
kernel ends all of them with their last process. An empty folder stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.ec2.netns import Namespace

CAPABILITIES = "var/cache/libvirt/qemu/capabilities"
KNOWN = Path(__file__).resolve().parents[2] / ".cache" / "libvirt-capabilities"
"""What libvirt has found out of QEMU, which takes it long; it looks itself whether that still holds."""
OVERLAID = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt")
QEMU_CONF = (
    'security_driver = "none"\ncgroup_controllers = []\nnamespaces = []\nremember_owner = 0\nseccomp_sandbox = 0\n'
)
"""No QEMU user, no AppArmor and no systemd to give control groups: this is a computer for tests."""


@dataclass
class LibvirtHost:
    """A running libvirt."""

    folder: Path
    namespace: Namespace
    processes: list[subprocess.Popen[bytes]]
    known: Path
    """Where `KNOWN` is kept for its user of QEMU, whose rights are a part of it."""

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

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """While the block runs this thread, and what it starts, can reach the machines, and nothing else."""
        return self.namespace.entered()


def available() -> bool:
    """Whether the programs are there."""
    return all(shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("libvirtd", "virtlogd", "qemu-system-x86_64"))


@contextlib.contextmanager
def libvirt_host(user: str = "root") -> Iterator[LibvirtHost]:
    """Start it, with QEMU as *user*; it ends with all that it started."""
    folder = Path(tempfile.mkdtemp(prefix="pymachine-libvirt-", dir="/var/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "pymachine-test", folder], check=True)
    subprocess.run(["mount", "--make-shared", folder], check=True)  # the daemons see what tests mount below it
    host = LibvirtHost(folder, Namespace(), [], KNOWN / user)
    try:
        for name in (*OVERLAID, "cgroup", "sockets", "pool"):
            (folder / name.strip("/")).mkdir(parents=True)
        if host.known.is_dir():
            shutil.copytree(host.known, folder / CAPABILITIES)
        (folder / "etc/libvirt/qemu.conf").write_text(f'user = "{user}"\ngroup = "{user}"\n{QEMU_CONF}')
        (folder / "libvirtd.conf").write_text(
            f'unix_sock_dir = "{folder}/sockets"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\nlog_level = 3\n'
        )
        _write_accounts(folder)
        with host.entered():
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
    # The links in /sys are those of the network namespace of whoever mounted it.
    binds += f" && mount --rbind /sys/fs/cgroup {folder}/cgroup && mount -t sysfs sysfs /sys"
    binds += f" && mount --rbind {folder}/cgroup /sys/fs/cgroup"
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
    namespaces = {name for process in host.processes if (name := mount_namespace(process.pid))}
    for process in reversed(host.processes):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid in members(namespaces):
        os.kill(pid, signal.SIGKILL)
    host.namespace.close()
    if not host.known.is_dir() and (host.folder / CAPABILITIES).is_dir():
        half = host.known.with_name(f"{host.known.name}.{os.getpid()}")
        shutil.copytree(host.folder / CAPABILITIES, half)
        with contextlib.suppress(OSError):  # another process of tests was quicker
            half.rename(host.known)
        shutil.rmtree(half, ignore_errors=True)
    forget(host.folder)


def mount_namespace(pid: int | str) -> str:
    """Which one a process is in; empty when it has gone."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/mnt")
    return ""


def members(namespaces: set[str]) -> list[int]:
    """Processes in the mount namespaces: QEMU and dnsmasq live in that of the libvirtd that started them."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if namespaces and mount_namespace(p.name) in namespaces]


def end_all(folder: Path) -> None:
    """Kill the daemons that were started in *folder* by a test that could not end them, and what they started."""
    ours = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if f"{folder}/{Path(os.fsdecode(words[0])).name}.pid".encode() in words:
                ours.add(mount_namespace(entry.name))
    for pid in members(ours - {"", mount_namespace("self")}):
        os.kill(pid, signal.SIGKILL)


def forget(folder: Path) -> None:
    """Remove the folder of a libvirt that has ended, however it ended."""
    subprocess.run(["umount", "--lazy", folder], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
