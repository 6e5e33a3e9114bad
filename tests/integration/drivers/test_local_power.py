"""Local machines that are stopped, killed, restarted and crashed: they come back as they were, or say why not.

The tests share one machine, which each takes as the one before left it; and while they run, another one stops that
takes its time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pymachine.drivers.base import State
from pymachine.drivers.local import cgroups, process
from pymachine.machine.errors import DeadlineExceeded, DriverError
from support.localmachine import LocalMachine, local_machine
from support.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def stop_of_a_deaf_one(empty_root: None) -> Iterator[Future[State]]:
    """A machine with a process that ignores SIGTERM, being stopped from the first test on; its state then."""
    with local_machine("deaf") as machine, ThreadPoolExecutor(1) as beside:
        machine.create()
        machine.ssh(
            "systemd-run --quiet -p KillMode=process -p Delegate=yes sh -c"
            " 'setsid sh -c \"trap : TERM; while :; do sleep 1; done\" & exec sleep 1000'"
        )
        machine.bench.timeout = 45

        def stop() -> State:
            machine.driver.stop()
            return machine.driver.state()

        yield beside.submit(stop)


@pytest.fixture(scope="module")
def shared(empty_root: None) -> Iterator[LocalMachine]:
    """The machine of all tests."""
    with local_machine() as machine:
        yield machine.create()


@pytest.fixture
def machine(shared: LocalMachine) -> LocalMachine:
    """The same, running."""
    if shared.driver.state() is not State.RUNNING:
        shared.driver.kill()
        shared.driver.start()
    return shared


def supervisor_of(machine: LocalMachine) -> process.Process:
    noted = process.read(machine.driver._paths.pid)
    assert noted is not None
    return noted


def test_data_and_address_stay_over_stop_start_and_kill(machine: LocalMachine) -> None:
    """Files in the machine's own layer and in the engine's data folder stay; stop is graceful, services hear of it."""
    address = machine.driver.address()
    machine.ssh(
        "echo one > /root/one; echo two > /var/lib/pyengine/two;"
        "systemd-run --quiet --unit=witness -p ExecStop='/bin/sh -c \"date > /root/stopped\"' sleep 1000; sync"
    )
    machine.driver.stop()
    assert machine.driver.state() is State.STOPPED
    machine.driver.start()
    assert machine.driver.address() == address
    assert machine.ssh("cat /root/one /var/lib/pyengine/two") == "one\ntwo"
    assert machine.ssh("test -s /root/stopped && echo yes") == "yes"
    machine.ssh("echo three > /root/three; sync")
    machine.driver.kill()
    machine.driver.start()
    assert machine.ssh("cat /root/one /root/three") == "one\nthree"


def test_a_killed_supervisor_takes_everything_with_it(machine: LocalMachine) -> None:
    """After kill -9 no process of the machine is left, it counts as stopped, and it starts again."""
    supervisor = supervisor_of(machine)
    members = cgroups.members(f"pymachine-local-{machine.bench.machine_id}")
    assert len(members) > 5
    os.kill(supervisor.pid, signal.SIGKILL)
    assert supervisor.wait(60)
    assert machine.driver.state() is State.STOPPED
    eventually(lambda: not cgroups.members(f"pymachine-local-{machine.bench.machine_id}"))
    machine.driver.start()
    assert machine.ssh("echo back") == "back"


def test_a_machine_whose_note_is_lost_is_not_started_twice(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody removed the pid file of a running machine: start refuses, kill finds it all the same."""
    first = supervisor_of(machine)
    machine.driver._paths.pid.unlink()
    with monkeypatch.context() as soon:
        soon.setattr(machine.bench, "timeout", 1)
        with pytest.raises(DeadlineExceeded, match="another start"):
            machine.driver.start()
        assert machine.driver.state() is State.STARTING
        machine.driver.kill()
    assert first.wait(60)
    machine.driver.start()
    assert machine.ssh("echo back") == "back"


def test_a_process_id_used_again_is_not_taken_for_the_machine(machine: LocalMachine) -> None:
    """A note of an earlier boot, or of a process that had the same id, means that the machine is stopped."""
    noted = supervisor_of(machine)
    machine.driver.kill()
    paths = machine.driver._paths
    ourselves = process.of(os.getpid())
    assert ourselves is not None
    for stale in (
        process.Process(os.getpid(), ourselves.start_time - 1, noted.boot_id),
        process.Process(os.getpid(), ourselves.start_time, "0" * 36),
    ):
        process.write(paths.pid, stale)
        assert machine.driver.state() is State.STOPPED
    machine.driver.kill()


def test_a_machine_that_reboots_itself_is_the_same_and_has_the_same_controllers(machine: LocalMachine) -> None:
    """It is up again at the same address; whatever v2 controllers this computer has, it has before and after."""
    tree = next((tree for tree in cgroups.hierarchies() if tree.version == 2), None)
    offered = set() if tree is None else set(tree.controllers) & set(cgroups.WANTED_V2)
    address = machine.driver.address()

    def look_around() -> None:
        seen = "cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers 2>&-; :"
        assert offered <= set(machine.ssh(seen).split())
        assert set(machine.ssh("cut -d: -f3 /proc/1/cgroup").splitlines()) <= {"/", "/init.scope"}

    look_around()
    before = machine.boot_id()
    machine.ssh("systemctl reboot", check=False)
    eventually(lambda: machine.boot_id() not in ("", before))
    look_around()
    assert machine.driver.state() is State.RUNNING
    assert machine.driver.address() == address


def test_power_off_inside_is_seen(machine: LocalMachine) -> None:
    """A machine that powers itself off counts as stopped."""
    machine.ssh("systemctl poweroff", check=False)
    eventually(lambda: machine.driver.state() is State.STOPPED)
    machine.driver.start()


def test_stop_that_does_not_come_ends_at_its_deadline(machine: LocalMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that will not end makes stop fail with the stage and what to do, and kill still works."""
    machine.ssh(
        "systemd-run --quiet --unit=stubborn -p TimeoutStopSec=600 -p KillMode=none -p"
        " ExecStop='/bin/sleep 500' sleep 1000"
    )
    with monkeypatch.context() as soon:
        soon.setattr(machine.bench, "timeout", 2)
        with pytest.raises(DeadlineExceeded, match="power off") as caught:
            machine.driver.stop()
    assert "pymachine kill m1" in caught.value.hint
    machine.driver.kill()
    assert machine.driver.state() is State.STOPPED


def test_a_machine_that_cannot_boot_says_why(empty_root: None) -> None:
    """The end of the console log is in the error, and the machine can be removed."""
    with local_machine("broken") as machine:
        machine.create()
        machine.driver.stop()
        (machine.driver._paths.upper / "sbin").unlink(missing_ok=True)
        (machine.driver._paths.upper / "usr").mkdir(exist_ok=True)
        os.setxattr(machine.driver._paths.upper / "usr", "trusted.overlay.opaque", b"y")
        with pytest.raises(DriverError, match="Console|console|init|exec|directory|OS tree"):
            machine.driver.start()
        assert machine.driver.state() is State.STOPPED


def test_stop_does_not_wait_long_for_who_ignores_it(stop_of_a_deaf_one: Future[State]) -> None:
    """A process that ignores SIGTERM, as many a container's first one does, is killed long before the usual 90 s."""
    assert stop_of_a_deaf_one.result(60) is State.STOPPED
