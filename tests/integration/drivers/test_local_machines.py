"""Local machines as their users have them: many at once, limited, kept, crashed and removed without a trace."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.drivers.local import bridge, cgroups, process
from pymachine.drivers.local.layout import Layout, veth_name
from pymachine.drivers.local.options import Options
from pymachine.drivers.local.subnets import Leases
from pymachine.machine.errors import DeadlineExceeded, DriverError, InvalidOption, PreCreateCheckFailed
from support import localroot
from support.localmachine import LocalMachine, local_machine, traces

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def nothing_is_left(local_root: Path) -> Iterator[None]:
    """After each test there is no trace of a machine, inside the local root or out of it."""
    rules_before = rules()
    yield
    assert traces(local_root) == []
    assert not (local_root / "machines").exists()
    assert rules() == rules_before


def rules() -> list[str]:
    """Our own rules and chains, of bridges of this test's local root."""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout.splitlines()
    state = Leases(Layout.from_environment())._load()
    return [line for line in saved if any(bridge.chain(name) in line for name in state["subnets"])]


def supervisor_of(machine: LocalMachine) -> process.Process:
    noted = process.read(machine.driver._paths.pid)
    assert noted is not None
    return noted


def test_several_machines_reach_each_other_and_the_outside() -> None:
    """Three are made at once; each has its own address and reaches its neighbour, and the outside by NAT only."""
    with contextlib.ExitStack() as stack, outside() as (address, port, seen):
        machines = [stack.enter_context(local_machine(f"m{number}")) for number in range(3)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(LocalMachine.create, machines))
        addresses = [machine.driver.address() for machine in machines]
        assert len(set(addresses)) == 3
        for machine, neighbour in zip(machines, [*addresses[1:], addresses[0]], strict=True):
            assert machine.ssh(f"exec 3<>/dev/tcp/{neighbour}/22; head -c 4 <&3") == "SSH-"
            assert machine.ssh(f"exec 3<>/dev/tcp/{address}/{port}; head -c 5 <&3") == "hello"
        assert set(seen) == {"198.18.77.1"}


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


@contextlib.contextmanager
def outside() -> Iterator[tuple[str, int, list[str]]]:
    """A server in a network namespace that has no route to any machine; and whom it has seen."""
    name, near = f"pym-out-{os.getpid()}", f"pymo{os.getpid() % 100000}"
    serve = (
        "import socket\ns=socket.create_server(('198.18.77.2', 0))\nprint(s.getsockname()[1], flush=True)\n"
        "while True:\n c,a=s.accept()\n c.sendall(b'hello')\n c.close()\n print(a[0], flush=True)\n"
    )
    run("ip", "netns", "add", name)
    server = None
    try:
        run("ip", "link", "add", near, "type", "veth", "peer", "name", "far", "netns", name)
        run("ip", "address", "add", "198.18.77.1/30", "dev", near)
        run("ip", "link", "set", near, "up")
        run("ip", "-n", name, "address", "add", "198.18.77.2/30", "dev", "far")
        run("ip", "-n", name, "link", "set", "far", "up")
        command = ["ip", "netns", "exec", name, sys.executable, "-c", serve]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        port = int(server.stdout.readline())
        seen: list[str] = []
        reader = threading.Thread(target=lambda: seen.extend(line.strip() for line in server.stdout or []))
        reader.start()
        yield "198.18.77.2", port, seen
    finally:
        if server is not None:
            server.kill()
            server.wait()
        subprocess.run(["ip", "link", "delete", near], check=False)
        run("ip", "netns", "delete", name)


def test_a_machine_is_a_real_host() -> None:
    """systemd runs with nothing failed, under the machine's name, id and resolvers; /tmp is on disk."""
    with local_machine("real-host") as machine:
        machine.create()
        assert machine.ssh("hostname; cat /proc/1/comm") == "real-host\nsystemd"
        assert machine.ssh("systemctl --failed --no-legend --plain; systemctl is-system-running --wait") == "running"
        assert machine.ssh("cat /etc/machine-id") == machine.bench.machine_id.replace("-", "")
        assert "nameserver" in machine.ssh("cat /etc/resolv.conf")
        assert machine.ssh("stat -f -c %T /tmp") != "tmpfs"


def test_containers_can_be_made_in_a_machine() -> None:
    """What the engine needs works: controllers, overlay on its data folder, namespaces, bridge, veth, NAT, sysctl."""
    with local_machine() as machine:
        machine.create()
        machine.ssh(
            "set -e; for c in memory cpu cpuset pids devices freezer; do"
            " [ ! -d /sys/fs/cgroup/$c ] || mkdir /sys/fs/cgroup/$c/inner; done;"
            "cd /var/lib/pyengine; mkdir l u w m; mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m;"
            "touch m/x; umount m; ip link add br9 type bridge; ip link add v1 type veth peer name v2;"
            "iptables -t nat -A POSTROUTING -s 10.1.0.0/24 -j MASQUERADE; sysctl -qw net.ipv4.ip_forward=1;"
            "unshare -mnpuif --mount-proc sh -c 'mount -t sysfs sysfs /sys; ip link set lo up; test $$ = 1';"
            "mknod /tmp/null c 1 3; test -c /dev/fuse; test -c /dev/net/tun"
        )


def test_limits_are_seen_inside() -> None:
    """A machine of 1 CPU and 256 MiB sees one CPU and its limit, and is kept to it."""
    with local_machine(options=Options(cpus=1, memory="256m")) as machine:
        machine.create()
        assert machine.ssh("nproc") == "1"
        limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
        assert machine.ssh(limit) == str(256 << 20)
        assert machine.ssh("python3 -c 'b=bytearray(400<<20)'; echo $?") != "0"


def test_v2_controllers_reach_the_machine() -> None:
    """Whatever controllers this computer's v2 tree has, the machine has too, also after it rebooted itself."""
    tree = next((tree for tree in cgroups.hierarchies() if tree.version == 2), None)
    with local_machine() as machine:
        machine.create()
        offered = set() if tree is None else set(tree.controllers) & set(cgroups.WANTED_V2)
        for _ in range(2):
            seen = "cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers 2>&-; :"
            assert offered <= set(machine.ssh(seen).split())
            paths = machine.ssh("cut -d: -f3 /proc/1/cgroup").splitlines()
            assert set(paths) <= {"/", "/init.scope"}
            before = machine.ssh("cat /proc/sys/kernel/random/boot_id")
            machine.ssh("systemctl reboot", check=False)
            came = "cat /proc/sys/kernel/random/boot_id"
            assert wait_until(lambda came=came, before=before: machine.ssh(came, check=False) not in ("", before), 30)


def test_data_and_address_stay_over_stop_start_and_kill() -> None:
    """Files in the machine's own layer and in the engine's data folder stay; stop is graceful, services hear of it."""
    with local_machine() as machine:
        machine.create()
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


def test_a_killed_supervisor_takes_everything_with_it() -> None:
    """After kill -9 no process of the machine is left, it counts as stopped, and it starts again."""
    with local_machine() as machine:
        machine.create()
        supervisor = supervisor_of(machine)
        members = cgroups.members(f"pymachine-local-{machine.bench.machine_id}")
        assert len(members) > 5
        os.kill(supervisor.pid, signal.SIGKILL)
        assert supervisor.wait(10)
        assert machine.driver.state() is State.STOPPED
        assert wait_until(lambda: not cgroups.members(f"pymachine-local-{machine.bench.machine_id}"))
        machine.driver.start()
        assert machine.ssh("echo back") == "back"


def test_a_machine_whose_note_is_lost_is_not_started_twice() -> None:
    """Somebody removed the pid file of a running machine: start refuses, kill finds it all the same."""
    with local_machine() as machine:
        machine.create()
        first = supervisor_of(machine)
        machine.driver._paths.pid.unlink()
        machine.bench.timeout = 1
        with pytest.raises(DeadlineExceeded, match="another start"):
            machine.driver.start()
        assert machine.driver.state() is State.STARTING
        machine.driver.kill()
        assert first.wait(10)
        machine.bench.timeout = 60
        machine.driver.start()
        assert machine.ssh("echo back") == "back"


def test_descriptors_do_not_leak_into_a_machine() -> None:
    """Its init has only its own: none leads to this computer's files."""
    with local_machine() as machine:
        machine.create()
        links = machine.ssh("ls -l /proc/1/fd | grep -o -- '-> .*'").splitlines()
        own = ("/dev/", "anon_inode:", "socket:", "/proc", "/sys/fs/cgroup", "/run", "pipe:", "/")
        assert all(link.removeprefix("-> ").startswith(own) for link in links)
        assert not [link for link in links if "pymachine" in link or "/var/tmp" in link]


def wait_until(condition: object, seconds: float = 10) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_a_process_id_used_again_is_not_taken_for_the_machine() -> None:
    """A note of an earlier boot, or of a process that had the same id, means that the machine is stopped."""
    with local_machine() as machine:
        machine.create()
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


def test_reboot_inside_comes_back() -> None:
    """A machine that reboots itself is the same machine, up again at the same address."""
    with local_machine() as machine:
        machine.create()
        before = machine.ssh("cat /proc/sys/kernel/random/boot_id")
        machine.ssh("systemctl reboot", check=False)
        boot_id = "cat /proc/sys/kernel/random/boot_id"
        assert wait_until(lambda: machine.ssh(boot_id, check=False) not in ("", before), 30)
        assert machine.driver.state() is State.RUNNING


def test_power_off_inside_is_seen() -> None:
    """A machine that powers itself off counts as stopped."""
    with local_machine() as machine:
        machine.create()
        machine.ssh("systemctl poweroff", check=False)
        assert wait_until(lambda: machine.driver.state() is State.STOPPED)
        machine.driver.start()


def test_stop_that_does_not_come_ends_at_its_deadline() -> None:
    """A service that will not end makes stop fail with the stage and what to do, and kill still works."""
    with local_machine() as machine:
        machine.create()
        machine.ssh(
            "systemd-run --quiet --unit=stubborn -p TimeoutStopSec=600 -p KillMode=none -p"
            " ExecStop='/bin/sleep 500' sleep 1000"
        )
        machine.bench.timeout = 2
        with pytest.raises(DeadlineExceeded, match="power off") as caught:
            machine.driver.stop()
        assert "pymachine kill m1" in caught.value.hint
        machine.driver.kill()
        assert machine.driver.state() is State.STOPPED


def test_mounted_directories_are_seen_and_never_removed(tmp_path: Path) -> None:
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


def test_remove_detaches_what_somebody_mounted_there(local_root: Path, tmp_path: Path) -> None:
    """A mount made by hand in the machine's folder is detached, and what it shows is not touched."""
    (tmp_path / "precious").write_text("keep")
    with local_machine() as machine:
        machine.create()
        data = machine.driver._paths.data
        subprocess.run(["mount", "--bind", tmp_path, data / "pyengine"], check=True)
        machine.driver.remove()
        assert machine.driver.leftovers() == []
    assert (tmp_path / "precious").read_text() == "keep"


def test_remove_of_immutable_files() -> None:
    """Files that the machine's root made immutable go too."""
    with local_machine() as machine:
        machine.create()
        machine.ssh("mkdir /root/d; touch /root/d/f /var/lib/pyengine/g; ln -s / /root/d/out")
        machine.driver.stop()
        for path in ("upper/root/d/f", "upper/root/d", "data/pyengine/g"):
            subprocess.run(["chattr", "+i", machine.driver._paths.directory / path], check=True)
        machine.driver.remove()
        assert machine.driver.leftovers() == []


@pytest.mark.parametrize("gone", ["directory", "upper", "pid.json", "interface", "bridge", "state", "cgroup"])
def test_remove_after_parts_were_removed_by_hand(gone: str, local_root: Path) -> None:
    """Whatever somebody took away, remove takes the rest."""
    with local_machine() as machine:
        machine.create()
        driver = machine.driver
        if gone == "interface":
            subprocess.run(["ip", "link", "delete", veth_name(machine.bench.machine_id)], check=True)
        elif gone == "bridge":
            lease = Leases(Layout.from_environment()).find(machine.bench.machine_id)
            assert lease is not None
            subprocess.run(["ip", "link", "delete", lease.bridge], check=True)
        else:
            machine.driver.kill()
            path = driver._paths.directory
            if gone == "state":
                bridge_name = Leases(Layout.from_environment()).find(machine.bench.machine_id)
                assert bridge_name is not None
                bridge.remove(bridge_name.bridge, str(local_root))
                shutil.rmtree(local_root / "network")
            elif gone == "directory":
                shutil.rmtree(path)
            elif gone != "cgroup":
                target = path / gone
                shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        machine.driver.remove()
        assert machine.driver.leftovers() == []


def test_create_killed_at_any_time_can_be_resumed_and_removed() -> None:
    """Not only between steps: kill -9 in the midst of whatever create does."""
    chance = random.Random(7)
    for number in range(8):
        with local_machine(f"crash{number}") as machine:
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    machine.driver.create()
                os._exit(0)
            time.sleep(chance.uniform(0.0, 0.5))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if number % 2:
                machine.create()
                assert machine.ssh("echo up") == "up"
            machine.driver.remove()
            assert machine.driver.leftovers() == []


def test_another_user_has_sudo() -> None:
    """With another SSH user, the key lets that user in, who may do everything by sudo; root's door is shut."""
    with local_machine(options=Options(ssh_user="admin")) as machine:
        machine.create()
        assert (
            machine.ssh("id -un; sudo -n id -un; pwd; stat -c %U .ssh/authorized_keys")
            == "admin\nroot\n/home/admin\nadmin"
        )
        assert machine.ssh("sudo -n cat /root/.ssh/authorized_keys", check=False) == ""


def test_own_subnet_is_used_and_a_taken_one_refused() -> None:
    """The wanted subnet is used by the machine; one that overlaps with a route of this computer is refused."""
    with local_machine(options=Options(subnet="10.95.8.0/28")) as machine, local_machine("m2") as other:
        machine.driver.pre_create_check()
        machine.create()
        assert machine.driver.address() == "10.95.8.2"
        other.create()
        assert machine.ssh(f"exec 3<>/dev/tcp/{other.driver.address()}/22; head -c 4 <&3") == "SSH-"
        with local_machine("m3", Options(subnet="10.95.0.0/16")) as third:
            with pytest.raises(PreCreateCheckFailed, match=r"overlaps with 10\.95\.8\.0/28"):
                third.driver.pre_create_check()
            with pytest.raises(InvalidOption, match="overlaps"):
                third.create()


def test_a_subnet_is_another_roots_also_without_its_address_which_comes_back() -> None:
    """Some network managers take addresses away that they did not give."""
    with local_machine() as machine:
        machine.create()
        lease = Leases(Layout.from_environment()).find(machine.bench.machine_id)
        assert lease is not None
        run("ip", "address", "flush", "dev", lease.bridge)
        with localroot.local_root(), local_machine("m2") as other:
            other.create()
            theirs = Leases(Layout.from_environment()).find(other.bench.machine_id)
            assert theirs is not None
            assert not theirs.subnet.overlaps(lease.subnet)
        machine.driver.stop()
        machine.driver.start()
        assert machine.ssh("hostname") == "m1"


def test_a_machine_that_cannot_boot_says_why() -> None:
    """The end of the console log is in the error, and the machine can be removed."""
    with local_machine() as machine:
        machine.create()
        machine.driver.stop()
        (machine.driver._paths.upper / "sbin").unlink(missing_ok=True)
        (machine.driver._paths.upper / "usr").mkdir(exist_ok=True)
        os.setxattr(machine.driver._paths.upper / "usr", "trusted.overlay.opaque", b"y")
        with pytest.raises(DriverError, match="Console|console|init|exec|directory|OS tree"):
            machine.driver.start()
        assert machine.driver.state() is State.STOPPED


@pytest.mark.slow
def test_stop_does_not_wait_long_for_who_ignores_it() -> None:
    """A process that ignores SIGTERM, as many a container's first one does, is killed long before the usual 90 s."""
    with local_machine() as machine:
        machine.create()
        machine.ssh(
            "systemd-run --quiet -p KillMode=process -p Delegate=yes sh -c"
            " 'setsid sh -c \"trap : TERM; while :; do sleep 1; done\" & exec sleep 1000'"
        )
        machine.bench.timeout = 45
        machine.driver.stop()
        assert machine.driver.state() is State.STOPPED


def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before, by the check; and by create itself, whose remains can be removed."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", small], check=True)
    try:
        monkeypatch.setenv("PYMACHINE_LOCAL_ROOT", str(small))
        with local_machine() as machine:
            with pytest.raises(PreCreateCheckFailed, match="only 0 MiB are free"):
                machine.driver.pre_create_check()
            with pytest.raises(DriverError, match="No space left on device") as caught:
                machine.driver.create()
            assert "\n" not in str(caught.value)
            machine.driver.remove()
            assert machine.driver.leftovers() == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_machine_of_another_local_root_is_not_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the variable not set as it was, start and remove say so instead of finding nothing."""
    with local_machine() as machine:
        machine.create()
        with monkeypatch.context() as other:
            other.setenv("PYMACHINE_LOCAL_ROOT", str(tmp_path))
            Layout.from_environment().identity(make=True)
            for operation in (machine.driver.remove, machine.driver.start):
                with pytest.raises(DriverError, match="another local root"):
                    operation()
        assert machine.ssh("echo unharmed") == "unharmed"


def test_a_local_root_with_an_odd_name(local_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks, colons, commas and quotes in paths are no syntax for anybody on the way."""
    odd = local_root / "a: b,c='d'\\e"
    odd.mkdir()
    monkeypatch.setenv("PYMACHINE_LOCAL_ROOT", str(odd))
    with local_machine() as machine:
        machine.create()
        assert machine.ssh("touch /var/lib/pyengine/here && echo up") == "up"
        assert (machine.driver._paths.data / "pyengine/here").exists()
        machine.driver.stop()
        machine.driver.start()
    assert not (odd / "machines").exists()
    assert traces(odd) == []
