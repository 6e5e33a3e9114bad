"""The whole way of a virtual machine: create, containers under control groups v2, snapshots, resizing, cloning, rm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.libvirt.boot import speaks_ssh
from support.busybox import rootfs_tar
from support.libvirthost import LibvirtHost
from support.program import Program, environment

pytestmark = [pytest.mark.root, pytest.mark.slow]
BOOT = 1800.0
"""Seconds; emulated, on a computer that does other things too."""
BRIDGE, HERE, STATIC = "pymtestbr1", "203.0.113.1/24", "203.0.113.9/24"


@pytest.fixture(scope="module")
def vm(libvirt_system: LibvirtHost, debian_image: str) -> Iterator[Program]:
    """A program with machine ``vm``, created."""
    place = Path(tempfile.mkdtemp(prefix="pymachine-test-"))
    settings = {"URI": libvirt_system.uri, "POOL": "whole", "POOL_PATH": f"{libvirt_system.pool}/whole"}
    settings |= {"IMAGE": debian_image, "DOMAIN_TYPE": "qemu", "MEMORY": "768m", "DISK": "3g", "EXTRA_DISK": "64m"}
    (place / "extra.yaml").write_text("#cloud-config\nwrite_files: [{path: /etc/ours, content: merged}]\n")
    settings |= {"CLOUD_INIT": str(place / "extra.yaml")}
    env = {"MACHINE_DRIVER": "libvirt", **{f"LIBVIRT_{name}": value for name, value in settings.items()}}
    env["LIBVIRT_DEFAULT_URI"] = libvirt_system.uri
    program = Program(place / "store", env)
    try:
        for command in (f"link add {BRIDGE} type bridge", f"address add {HERE} dev {BRIDGE}", f"link set {BRIDGE} up"):
            subprocess.run(["ip", *command.split()], check=True)
        cards = ("network:default", f"bridge:{BRIDGE},address={STATIC}")
        flags = [word for card in cards for word in ("--libvirt-network", card)]
        program.ok("create", "--timeout", str(BOOT), *flags, "vm", timeout=BOOT)
        yield program
        program.ok("rm", "-y", *program.ok("ls", "-q").split())
        left = [path.name for path in (libvirt_system.pool / "whole").iterdir()]
        assert all(name.startswith("pymachine-") for name in left), left
        program.ok("image", "prune", "--uri", libvirt_system.uri, "--pool", "whole")
        assert list((libvirt_system.pool / "whole").iterdir()) == []
    finally:
        names = program.run("ls", "-q").stdout.split()
        if names:
            program.run("rm", "-f", "-y", *names)
        shutil.rmtree(place)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)


def docker(vm: Program, *words: str, stdin: bytes = b"") -> str:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker program")
    script = f"{vm.ok('env', '--shell', 'sh', 'vm')}\nprintenv DOCKER_HOST DOCKER_CERT_PATH DOCKER_TLS_VERIFY"
    values = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")
    env = environment(dict(zip(("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"), values, strict=False)))
    done = subprocess.run(["docker", *words], env=env, input=stdin, capture_output=True, timeout=BOOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_container_runs_under_control_groups_v2(vm: Program) -> None:
    docker(vm, "import", "-", "busybox:latest", stdin=rootfs_tar())
    said = docker(vm, "run", "--rm", "-m", "64m", "busybox", "cat", "/proc/self/cgroup", "/sys/fs/cgroup/memory.max")

    assert said.split() == ["0::/", str(64 << 20)]
    assert docker(vm, "info", "--format", "{{.CgroupVersion}}") == "2\n"


def test_the_users_own_cloud_init_and_disk_are_there(vm: Program) -> None:
    assert vm.ok("ssh", "vm", "cat /etc/ours; echo; lsblk -nbdo SIZE /dev/vdb").split() == ["merged", str(64 << 20)]


def test_its_data_are_what_cloud_init_takes(vm: Program) -> None:
    """By the schema that is in its own release."""
    assert vm.ok("ssh", "vm", "sudo grep -c 'Invalid cloud-config' /var/log/cloud-init.log || true") == "0\n"


def test_a_card_has_the_address_that_was_given_for_it(vm: Program) -> None:
    assert STATIC in vm.ok("ssh", "vm", "ip -br -4 address")
    assert speaks_ssh(STATIC.partition("/")[0], 22)


def test_the_list_shows_it(vm: Program) -> None:
    (row,) = json.loads(vm.ok("ls", "--format", "json"))

    assert (row["Name"], row["State"], row["DriverName"], row["Error"]) == ("vm", "Running", "libvirt", "")
    assert vm.ok("ssh", "vm", "hostname") == "vm\n"


def test_a_snapshot_brings_the_running_machine_back(vm: Program) -> None:
    vm.ok("snapshot", "create", "vm", "before")
    vm.ok("ssh", "vm", "touch later && sync")
    assert [s["Name"] for s in json.loads(vm.ok("snapshot", "ls", "--format", "json", "vm"))] == ["before"]
    assert "already" in vm.run("snapshot", "create", "vm", "before").stderr
    vm.ok("snapshot", "restore", "vm", "before")

    assert vm.run("ssh", "vm", "test -e later").returncode == 1
    vm.ok("snapshot", "rm", "vm", "before")
    assert "no snapshot" in vm.run("snapshot", "restore", "vm", "before").stderr


def test_the_console_shows_what_the_machine_says(vm: Program) -> None:
    with subprocess.Popen(vm.argv("console", "vm"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen, end = b"", time.monotonic() + 60
        while b"login:" not in seen and time.monotonic() < end:
            process.stdin.write(b"\n")
            process.stdin.flush()
            seen += os.read(process.stdout.fileno(), 4096)
        process.stdin.write(b"\x1d")
        process.stdin.close()
        process.wait(30)

    assert b"vm login:" in seen


def test_a_copy_of_a_resized_machine_is_one_of_its_own(vm: Program) -> None:
    assert "less than" in vm.run("set", "--disk", "1g", "vm").stderr
    vm.ok("set", "--cpus", "1", "--memory", "640m", "--disk", "4g", "vm")
    assert "stopped" in vm.run("clone", "vm", "copy").stderr
    first = vm.ok("ssh", "vm", "cat /etc/machine-id"), vm.ok("ip", "vm")
    vm.ok("stop", "vm")
    vm.ok("clone", "--timeout", str(BOOT), "vm", "copy", timeout=BOOT)

    machine_id, size = vm.ok("ssh", "copy", "cat /etc/machine-id; df -m --output=size / | tail -1").split()
    assert machine_id != first[0].strip()
    assert vm.ok("ip", "copy") != first[1]
    assert int(size) > 3200
    said = vm.ok("ssh", "copy", "nproc; hostname; grep -h MemTotal: /proc/meminfo; ip -br -4 address").split()
    assert said[:2] == ["1", "copy"]
    assert int(said[3]) < 640 << 10
    assert STATIC not in said
