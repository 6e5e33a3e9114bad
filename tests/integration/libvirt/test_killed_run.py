"""A run of the tests that is killed in the middle of a boot leaves no domain, volume, process or bridge."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CASE = "tests/integration/libvirt/test_contract.py::TestLibvirt::test_create_makes_a_running_machine"
PATIENCE = 300.0

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_a_killed_run_leaves_nothing(tiny_image: str, tmp_path: Path) -> None:
    """The sandbox is ended by SIGKILL, so that nothing of the run can clean up; the kernel does."""
    del tiny_image  # but made, so that the run begins with the boot
    links = _links()
    with open(tmp_path / "log", "wb") as log:
        command = [
            str(ROOT / "scripts/sandbox"),
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--basetemp",
            str(tmp_path / "run"),
            CASE,
        ]
        run = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(lambda: _guest(run.pid) or run.poll() is not None, "a guest")
        folder, family = _guest(run.pid), _family(run.pid)
        assert folder, (tmp_path / "log").read_text()
        inside = f"/proc/{family[-1]}/root{folder}"
        namespaces = {_network(pid) for pid in family} - {_network(os.getpid()), ""}
        assert namespaces
        assert os.listdir(f"{inside}/pool/contract")
        assert "virbr0" in _links(family)
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()

    _wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "the end of all processes")
    assert not [pid for pid in _pids() if folder in _command_line(pid)]
    assert not namespaces & {_network(pid) for pid in _pids()}, "somebody holds the network namespace with its bridge"
    assert _links() == links
    assert folder not in Path("/proc/self/mounts").read_text()
    assert os.listdir(folder) == []
    shutil.rmtree(folder)


def _guest(pid: int) -> str:
    """The folder of the libvirt of a QEMU that descends from the process; empty when there is none yet."""
    for child in _family(pid):
        words = _command_line(child)
        if "qemu-system" in words.split(" ")[0] and (found := re.search(r"/var/tmp/pymachine-libvirt-\w+", words)):
            return found[0]
    return ""


def _family(pid: int) -> list[int]:
    """The process and all that descend from it; QEMU and dnsmasq are children of the sandbox's first process."""
    parents = {child: parent for child in _pids() if (parent := _parent(child))}
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _network(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def _links(family: list[int] | None = None) -> set[str]:
    """Bridges of libvirt: here, or in the namespaces of some processes."""
    texts = [f"/proc/{pid}/net/dev" for pid in family] if family else ["/proc/self/net/dev"]
    found: set[str] = set()
    for text in texts:
        try:
            found |= set(re.findall(r"virbr\d+", Path(text).read_text()))
        except OSError:
            continue
    return found


def _wait(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.1)
