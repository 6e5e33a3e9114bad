"""Real local machines for tests: made, spoken to over SSH, and removed whatever happens."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pymachine.drivers.local import bridge
from pymachine.drivers.local.driver import LocalDriver
from pymachine.drivers.local.options import Options
from pymachine.drivers.testing import Workbench
from support.waiting import eventually


class LocalMachine:
    """One machine; every operation is done by a new driver object, as by a new command."""

    def __init__(self, directory: Path, name: str, options: Options) -> None:
        self.bench = Workbench(directory, name=name, timeout=60)
        self.options = options

    @property
    def driver(self) -> LocalDriver:
        return LocalDriver(self.options, self.bench.context())

    def create(self) -> LocalMachine:
        self.driver.create()
        return self

    def ssh(self, command: str, *, check: bool = True, stdin: str = "") -> str:
        """Run a command by the real ssh client, which must find the host key pinned; its output."""
        end = self.driver.ssh_endpoint()
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "LogLevel=ERROR",
            f"UserKnownHostsFile={end.known_hosts}",
        ]
        flags = [word for option in options for word in ("-o", option)]
        done = subprocess.run(
            ["ssh", "-F", "none", "-i", str(end.key_path), *flags, f"{end.user}@{end.host}", command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def boot_id(self) -> str:
        """Which boot it is in; empty while it does not answer."""
        return self.ssh("cat /proc/sys/kernel/random/boot_id", check=False)


@contextlib.contextmanager
def local_machine(name: str = "m1", options: Options | None = None) -> Iterator[LocalMachine]:
    """A machine that is not created yet; removed when the block ends."""
    with tempfile.TemporaryDirectory(prefix="pymachine-record-") as directory:
        machine = LocalMachine(Path(directory), name, options or Options())
        try:
            yield machine
        finally:
            machine.driver.remove()


@contextlib.contextmanager
def nothing_left(root: Path) -> Iterator[None]:
    """After the block there is no trace of a machine, inside the local root or out of it."""
    before = orphans()
    yield
    assert traces(root) == []
    assert not (root / "machines").exists()
    eventually(lambda: orphans() <= before)  # tests beside this one kill others that are at work on theirs


def orphans() -> set[str]:
    """Chains of the firewall whose bridge there is no more."""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    bridges = set(re.findall(rf"^:{bridge.chain('(pym[0-9a-f]+)')} ", saved, re.MULTILINE))
    return {name for name in bridges if not bridge.exists(name)}


def nspawns(root: Path) -> list[Path]:
    """The systemd-nspawn processes of hosts under a local root, as folders of /proc. They are in another mount
    namespace: where tests run in a chroot, its path stands before that of their folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
            if command.endswith(b"systemd-nspawn") and str(root) in str((process / "cwd").readlink()):
                found.append(process)
    return found


def traces(root: Path) -> list[str]:
    """What of the machines under a local root is on the computer, outside that root."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]
    for interface in Path("/sys/class/net").iterdir():
        with contextlib.suppress(OSError):
            if str(root) in (interface / "ifalias").read_text():
                found.append(f"interface {interface.name}")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(root) in (process / "cmdline").read_text(errors="replace"):
                found.append(f"process {process.name}")
            if str(root) in str((process / "cwd").readlink()):
                found.append(f"process {process.name} works there")
    return found
