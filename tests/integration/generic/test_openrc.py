"""A host without systemd: OpenRC starts, supervises, restarts and reloads the engine, by what busybox has of tools."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.generic.conftest import Host, image_or_skip
from pymachine.drivers.local.options import Options
from support.busybox import rootfs_tar
from support.localmachine import local_machine
from support.machines import Machine
from support.openrchost import become_openrc
from support.program import Program

pytestmark = pytest.mark.root

INSPECT = ("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", "web")
CHILD = "cat /run/openrc/options/pyengine/child_pid"


@pytest.fixture(scope="module")
def host(root: Path) -> Iterator[Host]:
    with local_machine("openrc", Options(image=image_or_skip("debian-13"))) as machine:
        become_openrc(machine.create())
        yield Host(machine)


def engine_other_than(host: Host, pid: str) -> str:
    """The engine's process, once its supervisor has started another than *pid*."""
    end = time.monotonic() + 60
    while (now := host.run(CHILD)) == pid:
        assert time.monotonic() < end, "the supervisor starts none"
        time.sleep(0.1)
    return now


def test_the_engine_is_a_service_of_openrc(host: Host, program: Program, tmp_path: Path) -> None:
    """Whatever is done to it, by us, by its supervisor and by the owner, a container does not notice; both come back
    after a reboot."""
    assert host.run("cat /proc/1/comm; readlink /proc/$$/exe") == "init\n/usr/bin/busybox"
    program.ok("create", *host.flags, "alpine")
    assert "pyengine | default" in host.run("rc-update show default")
    limits = [line.split() for line in host.run(f"cat /proc/$({CHILD})/limits").splitlines()]
    raised = [words for words in limits if words[1] in ("core", "processes", "open")]
    assert len(raised) == 3
    assert [words for words in raised if words[-3] != words[-2]] == []

    machine = Machine(program, "alpine")
    (archive := tmp_path / "busybox.tar").write_bytes(rootfs_tar())
    machine.docker("import", str(archive), "busybox")
    machine.docker("run", "-d", "--restart", "always", "--name", "web", "busybox", "sleep", "100000")
    before, engine = machine.docker(*INSPECT), host.run(CHILD)
    again = program.ok("provision", "alpine")
    assert not [words for words in ("Copying", "Configuring", "Starting") if words in again]
    program.ok("regenerate-certs", "-f", "alpine")
    assert (machine.docker(*INSPECT), host.run(CHILD)) == (before, engine)
    assert "reloaded" in program.ok("logs", "alpine")

    host.run(f"kill -9 {engine}")
    engine = engine_other_than(host, engine)
    assert host.run("rc-service pyengine status").endswith("started")
    host.run("echo >>/etc/pymachine/engine.json")
    assert "Configuring the engine..." in program.ok("provision", "alpine")
    assert machine.docker(*INSPECT) == before
    engine = engine_other_than(host, engine)
    host.run("rc-service pyengine stop")
    assert host.run(f"ps -o args | grep -cx 'sleep 100000'; ! test -e /proc/{engine}") == "1"
    host.run("rc-service pyengine start")
    program.ok("provision", "alpine")
    assert machine.docker(*INSPECT) == before

    host.run("touch /run/before")  # which is in memory
    assert "Docker is up and running!" in program.ok("restart", "alpine")
    assert host.run("test -e /run/before || echo gone") == "gone"
    assert machine.docker(*INSPECT).endswith("true"), "the engine comes with the runlevel, and the container with it"
    assert "Configuring" not in program.ok("provision", "alpine")


def test_an_engine_that_does_not_start_says_why(host: Host, program: Program) -> None:
    """Its own last words, at once, where OpenRC itself calls it started."""
    flags = (*host.flags, "--generic-takeover", "--engine-storage-driver", "nonsense")
    done = program.run("create", *flags, "broken")

    assert done.returncode == 1
    assert "Starting the engine failed: " in done.stderr
    assert "nonsense" in done.stderr.splitlines()[0]
    assert "tail /var/log/pyengine.log" in done.stderr
