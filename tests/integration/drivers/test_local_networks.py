"""Networks of local machines: neighbours, the outside, and subnets that are taken."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options
from pymachine.drivers.local.subnets import Leases
from pymachine.machine.errors import InvalidOption, PreCreateCheckFailed
from support import localroot
from support.localmachine import LocalMachine, local_machine

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("nothing_is_left")]


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


def test_an_address_that_was_given_back_is_reached_at_once() -> None:
    """The next machine that gets it has the same hardware address, which its neighbours still know."""
    found = []
    with local_machine("neighbour") as neighbour:
        neighbour.create()
        for name in ("first", "second"):
            with local_machine(name) as machine:
                machine.create()
                found.append((machine.driver.address(), machine.ssh("cat /sys/class/net/host0/address")))
                assert neighbour.ssh(f"exec 3<>/dev/tcp/{found[-1][0]}/22; head -c 4 <&3") == "SSH-"
    assert found[0] == found[1]


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
