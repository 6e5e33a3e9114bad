"""What blocks for ever, blocked: every command ends at its ``--timeout`` and names the stage, the last error, and where
to look."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local import bridge
from pymachine.drivers.local.locks import locked
from support.localprogram import image_root, local_program
from support.program import Program

pytestmark = pytest.mark.root

LOCKS = "/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock"


@pytest.fixture(scope="module")
def m() -> Iterator[Program]:
    """A program with machine ``m``; each test leaves it as it was."""
    with local_program(image_root()) as program:
        program.ok("create", "m")
        yield program


def timed_out(program: Program, seconds: int, *args: str) -> tuple[str, str]:
    """Run a command that must end at its ``--timeout`` of *seconds*: its message, and the lines after it."""
    began = time.monotonic()
    done = program.run(args[0], "--timeout", str(seconds), *args[1:], timeout=seconds + 60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert time.monotonic() - began >= seconds / 2
    message, _, rest = done.stderr.partition("\n")
    assert message.startswith("timed out after "), done.stderr
    assert "Traceback" not in rest
    return message, rest


def on_host(program: Program, command: str) -> str:
    return program.ok("ssh", "m", command)


def test_a_host_that_drops_ssh(m: Program) -> None:
    address = m.ok("ip", "m").strip()
    on_host(m, "iptables -I INPUT -p tcp --dport 22 -j DROP")
    try:
        message, rest = timed_out(m, 4, "provision", "m")
    finally:
        m.ok("kill", "m")  # the rule goes with the host's network
        m.ok("start", "m")

    assert message == f"timed out after 4 s while connecting to {address} port 22: no answer"
    assert rest == 'See "pymachine status m" and "pymachine logs m".\n'


@contextlib.contextmanager
def ssh_cut_off(program: Program) -> Iterator[None]:
    """Drop all SSH to the machines of the program's local root, on their own bridge."""
    root = program.env["PYMACHINE_LOCAL_ROOT"]
    bridges = [path for path in Path("/sys/class/net").glob("pym*") if root in (path / "ifalias").read_text()]
    assert len(bridges) == 1
    rule = ["OUTPUT", "-o", bridges[0].name, "-p", "tcp", "--dport", "22", "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_a_new_host_that_is_cut_off_and_can_be_finished_later(m: Program) -> None:
    """Its removal is held up, too: by somebody who has the network's lock."""
    with ssh_cut_off(m):
        message, rest = timed_out(m, 5, "create", "late")
    assert "while waiting for SSH on 10." in message
    assert message.endswith("timed out")
    assert "console.log" in rest or "login:" in rest or "systemd" in rest, rest
    assert 'Run the same create again to go on from there, or "pymachine rm late" to clean up.' in rest
    m.ok("create", "late")

    with locked(bridge.LOCK, "having the lock"):
        done = m.run("rm", "-y", "--timeout", "3", "late")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            'Error removing host "late": timed out after 3 s while waiting for the network lock: '
            f"{bridge.LOCK} is held by another process",
            f"fuser -v {bridge.LOCK} shows by which",
        ],
    )
    m.ok("rm", "-y", "late")


def test_a_package_lock_that_is_never_let_go(m: Program) -> None:
    """The host lacks a package; another process there holds the package manager's locks."""
    hold = f"import fcntl,time; f=[open(p,'w') for p in {LOCKS}]; [fcntl.lockf(x,2) for x in f]; time.sleep(600)"
    on_host(m, "mv /usr/sbin/iptables-restore /root/")
    on_host(m, f'nohup python3 -c "{hold}" </dev/null >/dev/null 2>&1 & echo $! >/root/holder')
    try:
        message, rest = timed_out(m, 8, "provision", "m")
    finally:
        on_host(m, "kill $(cat /root/holder); mv /root/iptables-restore /usr/sbin/")

    assert message.startswith("timed out after 8 s while installing packages: "), message
    assert "/lock" in message, message
    assert rest.strip()
    m.ok("provision", "m")


def test_an_engine_that_is_not_started(m: Program) -> None:
    on_host(m, "systemctl disable --now pyengine")
    address = m.ok("ip", "m").strip()
    try:
        message, rest = timed_out(m, 15, "restart", "m")
    finally:
        m.ok("provision", "m")

    assert message.startswith("timed out after 15 s while checking the connection to Docker: "), message
    assert message.endswith(f"the engine at {address}:2376 cannot be reached: Connection refused")
    assert "journalctl -u pyengine" in rest or "pymachine logs m" in rest


def test_an_engine_that_hangs(m: Program) -> None:
    on_host(m, "kill -STOP $(systemctl show -P MainPID pyengine)")
    try:
        message, rest = timed_out(m, 15, "regenerate-certs", "-f", "m")
    finally:
        on_host(m, "kill -CONT $(systemctl show -P MainPID pyengine)")

    assert message.startswith("timed out after 15 s while checking the connection to Docker: "), message
    assert "does not answer" in message
    assert "journalctl -u pyengine" in rest or "pymachine logs m" in rest
    m.ok("provision", "m")


def test_a_host_that_does_not_go_down(m: Program) -> None:
    """Its processes are frozen, process 1 among them: it hears no request to power off."""
    pid = int((next(machines(m)) / "pid.json.number").read_text())
    frozen = processes_below(pid)
    for process in frozen:
        subprocess.run(["kill", "-STOP", str(process)], check=False)
    message, rest = timed_out(m, 4, "stop", "m")

    assert message.startswith("timed out after 4 s while waiting for the machine to power off"), message
    assert "pymachine kill m" in rest
    m.ok("kill", "m")
    m.ok("start", "m")


def machines(program: Program) -> Iterator[Path]:
    """The folders of the machines of the program's local root."""
    return (Path(program.env["PYMACHINE_LOCAL_ROOT"]) / "machines").iterdir()


def processes_below(pid: int) -> list[int]:
    """All descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *processes_below(child)]
    return found
