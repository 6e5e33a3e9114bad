"""What a local machine is to those inside: a host of its own, within its limits, with the user's folders in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.options import Options
from support.localmachine import LocalMachine, local_machine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def machine(empty_root: None) -> Iterator[LocalMachine]:
    """One by default options, for tests that only look, in their order."""
    with local_machine("real-host") as made:
        yield made.create()


def test_a_machine_is_a_real_host(machine: LocalMachine) -> None:
    """systemd runs with nothing failed, under the machine's name, id and resolvers; /tmp is on disk."""
    assert machine.ssh("hostname; cat /proc/1/comm") == "real-host\nsystemd"
    assert machine.ssh("systemctl --failed --no-legend --plain; systemctl is-system-running --wait") == "running"
    assert machine.ssh("cat /etc/machine-id") == machine.bench.machine_id.replace("-", "")
    assert "nameserver" in machine.ssh("cat /etc/resolv.conf")
    assert machine.ssh("stat -f -c %T /tmp") != "tmpfs"


def test_containers_can_be_made_in_a_machine(machine: LocalMachine) -> None:
    """What the engine needs works: controllers, overlay on its data folder, namespaces, bridge, veth, NAT, sysctl."""
    machine.ssh(
        "set -e; for c in memory cpu cpuset pids devices freezer; do"
        " [ ! -d /sys/fs/cgroup/$c ] || mkdir /sys/fs/cgroup/$c/inner; done;"
        "cd /var/lib/pyengine; mkdir l u w m; mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m;"
        "touch m/x; umount m; ip link add br9 type bridge; ip link add v1 type veth peer name v2;"
        "iptables -t nat -A POSTROUTING -s 10.1.0.0/24 -j MASQUERADE; sysctl -qw net.ipv4.ip_forward=1;"
        "unshare -mnpuif --mount-proc sh -c 'mount -t sysfs sysfs /sys; ip link set lo up; test $$ = 1';"
        "mknod /tmp/null c 1 3; test -c /dev/fuse; test -c /dev/net/tun"
    )


def test_descriptors_do_not_leak_into_a_machine(machine: LocalMachine) -> None:
    """Its init has only its own: none leads to this computer's files."""
    links = machine.ssh("ls -l /proc/1/fd | grep -o -- '-> .*'").splitlines()
    own = ("/dev/", "anon_inode:", "socket:", "/proc", "/sys/fs/cgroup", "/run", "pipe:")
    assert links
    assert [link for link in links if link != "-> /" and not link.removeprefix("-> ").startswith(own)] == []
    assert not [link for link in links if "pymachine" in link or "/var/tmp" in link]


def test_limits_are_seen_inside(empty_root: None) -> None:
    """A machine of 1 CPU and 256 MiB sees one CPU and its limit, and is kept to it."""
    with local_machine(options=Options(cpus=1, memory="256m")) as machine:
        machine.create()
        assert machine.ssh("nproc") == "1"
        limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
        assert machine.ssh(limit) == str(256 << 20)
        assert machine.ssh("python3 -c 'b=bytearray(400<<20)'; echo $?") != "0"


def test_mounted_directories_are_seen_and_never_removed(empty_root: None, tmp_path: Path) -> None:
    """A directory of the user's is in the machine, read-only if so asked, and whole after remove."""
    shared = tmp_path / "with: colon"
    shared.mkdir()
    (shared / "file").write_text("mine")
    plain = tmp_path / "plain"
    plain.mkdir()
    options = Options(mount=(f"{tmp_path}:/mnt/all:ro", f"{plain}:/mnt/plain"))
    with local_machine(options=options) as machine:
        machine.create()
        assert machine.ssh("cat '/mnt/all/with: colon/file'") == "mine"
        assert "Read-only" in machine.ssh("touch /mnt/all/x 2>&1", check=False)
        machine.ssh("echo out > /mnt/plain/out")
    assert (shared / "file").read_text() == "mine"
    assert (plain / "out").read_text() == "out\n"


def test_another_user_has_sudo(empty_root: None) -> None:
    """With another SSH user, the key lets that user in, who may do everything by sudo; root's door is shut."""
    with local_machine(options=Options(ssh_user="admin")) as machine:
        machine.create()
        assert (
            machine.ssh("id -un; sudo -n id -un; pwd; stat -c %U .ssh/authorized_keys")
            == "admin\nroot\n/home/admin\nadmin"
        )
        assert machine.ssh("sudo -n cat /root/.ssh/authorized_keys", check=False) == ""
