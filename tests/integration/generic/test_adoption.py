"""Hosts are adopted as they are: what runs on them runs on, and nobody is locked out unasked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integration.generic.conftest import Host
from support.busybox import rootfs_tar
from support.machines import Machine
from support.program import Program

pytestmark = pytest.mark.root

INSPECT = ("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", "web", "db")


def adopt(program: Program, name: str, host: Host, *flags: str) -> Machine:
    """Create the machine."""
    program.ok("create", *host.flags, *flags, name)
    return Machine(program, name)


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image's archive."""
    path = tmp_path_factory.mktemp("busybox") / "busybox.tar"
    path.write_bytes(rootfs_tar())
    return path


@pytest.fixture
def host(trixie: Host) -> Iterator[Host]:
    """Debian 13, with no engine on it before and after."""
    yield trixie
    trixie.run(
        "systemctl disable --now pyengine; systemctl kill -s KILL pyengine; systemctl reset-failed;"
        "rm -rf /etc/pymachine /etc/systemd/system/pyengine.service; systemctl daemon-reload",
        check=False,
    )


def test_the_whole_life_of_an_adopted_host(host: Host, program: Program, busybox: Path) -> None:
    """Two people, one host: containers keep their ids and start times whatever is done about its engine."""
    mine = adopt(program, "mine", host)
    mine.docker("import", str(busybox), "busybox")
    for name in ("web", "db"):
        mine.docker("run", "-d", "--name", name, "busybox", "sleep", "100000")
    before = mine.docker(*INSPECT)
    assert before.count("true") == 2
    directory = program.store / "machines/mine"
    assert (directory / host.key.name).stat().st_mode & 0o777 == 0o600
    assert host.host_key() in (directory / "known_hosts").read_text()

    again = program.ok("provision", "mine")
    assert "Copying" not in again
    assert "Configuring" not in again
    program.ok("regenerate-certs", "-f", "mine")
    assert mine.docker(*INSPECT) == before

    colleague = replace(program, store=program.store.with_name("colleague"))
    done = colleague.run("create", *host.flags, "theirs")
    assert done.returncode == 1
    assert 'the host is machine "mine" of ' in done.stderr
    assert "--generic-takeover" in done.stderr
    assert mine.docker(*INSPECT) == before
    assert "is left as it is" in colleague.ok("rm", "-y", "theirs")

    theirs = adopt(colleague, "theirs", host, "--generic-takeover", "--generic-keep-hostname")
    assert theirs.docker(*INSPECT) == before
    assert host.run("hostname") == "mine"
    for command in (("provision", "mine"), ("regenerate-certs", "-f", "mine")):
        assert 'the host is machine "theirs" of ' in program.run(*command).stderr
    assert colleague.run("stop", "theirs").stderr.startswith("generic driver does not support stop")
    colleague.ok("rm", "-y", "theirs")
    assert host.run("pgrep -fc 'sleep 100000'") == "2"


HOLD_LOCK = """nohup python3 -c "
import fcntl, time
file = open('/var/lib/dpkg/lock-frontend', 'w')
fcntl.lockf(file, fcntl.LOCK_EX)
open('/run/held', 'w')
time.sleep(%d)
" >/dev/null 2>&1 & until [ -e /run/held ]; do sleep 0.1; done; rm /run/held
"""
"""What unattended upgrades do to others."""


def test_missing_packages_are_installed_once_the_lock_is_free(host: Host, program: Program) -> None:
    host.run("dpkg --purge --force-depends iptables")
    host.run(HOLD_LOCK % 30)
    done = program.run("create", *host.flags, "--timeout", "8", "p")
    assert done.returncode == 1
    assert "while installing packages: E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by" in done.stderr
    host.run("kill $(fuser /var/lib/dpkg/lock-frontend 2>/dev/null) || pkill -f lock-frontend", check=False)

    host.run(HOLD_LOCK % 4)
    assert "Installing packages..." in program.ok("create", *host.flags, "--timeout", "300", "p")
    assert host.run("command -v iptables-restore").endswith("/iptables-restore")


def test_restart_reboots(host: Host, program: Program) -> None:
    adopt(program, "r", host)
    before = host.run("cat /proc/sys/kernel/random/boot_id")
    program.ok("restart", "r")

    assert host.run("cat /proc/sys/kernel/random/boot_id") != before
    assert program.ok("version", "r")


def test_too_old_a_python_is_refused_before_anything_is_changed(bullseye: Host, program: Program) -> None:
    listing = "ls -A /etc /opt; hostname; dpkg -l | md5sum"
    before = bullseye.run(listing)
    done = program.run("create", *bullseye.flags, "old")

    assert done.returncode == 1
    assert "needs Python 3.11 or newer on the host; Debian GNU/Linux 11 (bullseye) has 3.9" in done.stderr
    assert "Install a Python 3.11 on the host" in done.stderr
    assert bullseye.run(listing) == before


UNIT = """[Unit]
Description=Docker
[Service]
Environment=PATH=/opt/tools/docker.io/usr/sbin:/opt/tools/containerd/usr/bin:/opt/tools/runc/usr/sbin:/usr/sbin:/usr/bin
ExecStart=/opt/tools/docker.io/usr/sbin/dockerd {flags}
Delegate=yes
KillMode=process
Restart=no
[Install]
WantedBy=multi-user.target
"""
"""As Debian's package has it."""
THEIRS = "/opt/tools/docker.io/usr/bin/docker"


@pytest.fixture
def docker_host(bookworm: Host) -> Iterator[Host]:
    """A host where a real dockerd runs two containers."""
    if bookworm.run(f"test -x {THEIRS} && test -x /opt/tools/runc/usr/sbin/runc && echo there", check=False) == "":
        pytest.skip("there is no dockerd: scripts/setup --tests fetches it")
    # Docker's overlays cannot lie on the machine's own overlay.
    bookworm.run(
        "mkdir -p /var/lib/pyengine/.docker /var/lib/docker; mount --bind /var/lib/pyengine/.docker /var/lib/docker"
    )
    bookworm.run("cat > /etc/systemd/system/docker.service", stdin=UNIT.format(flags=""))
    bookworm.run(f"systemctl daemon-reload; systemctl enable --now docker; until {THEIRS} info; do sleep .1; done")
    bookworm.run(f"base64 -d | {THEIRS} import - busybox", stdin=base64.b64encode(rootfs_tar()).decode())
    for name in ("web", "db"):
        bookworm.run(f"{THEIRS} run -d --stop-timeout 1 --name {name} busybox sleep 200000")
    yield bookworm
    bookworm.run(f"{THEIRS} rm -f web db; systemctl disable --now docker pyengine; umount /var/lib/docker", check=False)
    bookworm.run("rm -rf /etc/pymachine /etc/systemd/system/docker.service; systemctl daemon-reload", check=False)


def test_a_docker_that_is_there_keeps_its_containers(docker_host: Host, program: Program, busybox: Path) -> None:
    """Our engine comes beside it: socket, bridge and data of its own; Docker's containers never notice."""
    command = f"{THEIRS} inspect --format '{{{{.Id}}}} {{{{.State.StartedAt}}}} {{{{.State.Pid}}}}' web db"
    before = docker_host.run(command)
    daemon = docker_host.run("systemctl show -p MainPID docker; dpkg -l | md5sum")
    beside = adopt(program, "beside", docker_host)

    beside.docker("import", str(busybox), "busybox")
    ours = beside.docker("run", "--rm", "busybox", "ip", "route")
    assert "default via 172." in ours
    assert beside.docker("ps", "-aq") == ""
    assert docker_host.run(command) == before
    assert docker_host.run("systemctl show -p MainPID docker; dpkg -l | md5sum") == daemon
    assert docker_host.run(f"{THEIRS} version --format '{{{{.Server.Version}}}}'").startswith("20.")
    theirs = docker_host.run(f"{THEIRS} run --rm busybox ip route")
    assert ours.split()[2] != theirs.split()[2]
    config = json.loads(docker_host.run("cat /etc/pymachine/engine.json"))
    assert config["hosts"][0] == "unix:///run/pyengine.sock"
    docker_host.run("systemctl stop docker")
    assert "Configuring" not in program.ok("provision", "beside"), "what was decided stays"
    docker_host.run("systemctl start docker")


def test_a_port_that_docker_has_is_refused_with_the_flag_for_another(docker_host: Host, program: Program) -> None:
    # Unless it is told so, Docker waits 15 s before it listens without TLS.
    flags = "-H unix:///run/docker.sock -H tcp://0.0.0.0:2376 --tls=false"
    docker_host.run("systemctl stop docker pyengine", check=False)
    docker_host.run("rm -rf /etc/pymachine; cat > /etc/systemd/system/docker.service", stdin=UNIT.format(flags=flags))
    docker_host.run(f"systemctl daemon-reload; systemctl start docker; until {THEIRS} info; do sleep .1; done")
    done = program.run("create", *docker_host.flags, "taken")
    assert done.returncode == 1
    assert "port 2376 on the host is in use by another program (the host runs a Docker" in done.stderr
    assert "--generic-engine-port 2377" in done.stderr

    program.ok("rm", "-y", "taken")
    taken = adopt(program, "taken", docker_host, "--generic-engine-port", "2377")
    assert program.ok("url", "taken") == f"tcp://{docker_host.address}:2377\n"
    assert taken.docker("version", "--format", "{{.Server.Version}}")
