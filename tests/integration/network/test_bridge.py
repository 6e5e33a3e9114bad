"""Containers on a bridge: they reach each other, the host and the outside, and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network.base import PortBinding
from pymachine.engine.network.catalog import NetworkRequest
from pymachine.engine.network.firewall import Firewall, find_tool
from pymachine.engine.network.rules import Published
from support import network_lab
from support.network_lab import Lab, Namespace, ask_tcp, ask_udp, ping, tcp_server, udp_server

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


@asynccontextmanager
async def outside_machine(lab: Lab) -> AsyncIterator[tuple[Namespace, str]]:
    """A machine on a link of its own to the host; yields it and the host's address there."""
    outside = lab.namespace()
    network = next(n for n in lab.subnet.supernet(new_prefix=16).subnets(new_prefix=30) if not n.overlaps(lab.subnet))
    host, other = str(network.network_address + 1), str(network.network_address + 2)
    link = f"{lab.bridge}o"
    run = subprocess.check_call
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(outside.pid)])
    try:
        run(["ip", "address", "add", f"{host}/30", "dev", link])
        run(["ip", "link", "set", link, "up"])
        inside = ["nsenter", f"--net={outside.path}", "ip"]
        run([*inside, "address", "add", f"{other}/30", "dev", "eth0"])
        run([*inside, "link", "set", "eth0", "up"])
        run([*inside, "route", "add", "default", "via", host])
        yield outside, host
    finally:
        subprocess.call(["ip", "link", "delete", link])


def test_containers_ping_each_other_and_the_host(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        _, first = await lab.container()
        second, _ = await lab.container()
        with first.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            assert await asyncio.to_thread(ping, raw, second.endpoints[0].ip_address)
            assert await asyncio.to_thread(ping, raw, second.endpoints[0].gateway)

    in_lab(body)


def test_a_container_reaches_the_outside_as_the_host(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        _, inside = await lab.container()
        async with outside_machine(lab) as (outside, host):
            address = host.rsplit(".", 1)[0] + "." + str(int(host.rsplit(".", 1)[1]) + 1)
            with tcp_server(outside, 80):
                assert await ask_tcp(address, 80, inside) == f"{host} hello"

    in_lab(body)


def test_published_ports_are_reached_from_everywhere(in_lab: InLab) -> None:
    """By loopback, by the bridge's address, from a sibling, from the container itself, and from outside."""

    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp"), PortBinding(53, "udp"))
        _, sibling = await lab.container()
        tcp = next(port.host_port for port in sandbox.ports if port.protocol == "tcp")
        udp = next(port.host_port for port in sandbox.ports if port.protocol == "udp")
        gateway = sandbox.endpoints[0].gateway
        async with outside_machine(lab) as (outside, host):
            with tcp_server(inside, 80), udp_server(inside, 53):
                callers: list[tuple[str, Namespace | None]] = [
                    ("127.0.0.1", None),
                    (gateway, None),
                    (host, None),
                    ("::1", None),
                    (host, sibling),
                    (gateway, inside),
                    (host, outside),
                ]
                for address, namespace in callers:
                    assert (await ask_tcp(address, tcp, namespace)).endswith("hello"), address
                    assert (await ask_udp(address, udp, namespace)).endswith("hello"), address

    in_lab(body)


def test_the_outside_sees_its_own_address_arrive(in_lab: InLab) -> None:
    """Published connections from outside keep the client's address."""

    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        async with outside_machine(lab) as (outside, host):
            with tcp_server(inside, 80):
                answer = await ask_tcp(host, sandbox.ports[0].host_port, outside)
                assert not answer.startswith(lab.config.bip.split("/")[0])

    in_lab(body)


def test_loopback_ports_are_local_and_containers_cannot_be_reached_directly(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "127.0.0.1"))
        port = sandbox.ports[0].host_port
        async with outside_machine(lab) as (outside, host):
            with tcp_server(inside, 80):
                assert (await ask_tcp("127.0.0.1", port)).endswith("hello")
                for address, number in ((host, port), (sandbox.endpoints[0].ip_address, 80)):
                    with pytest.raises(OSError):
                        await ask_tcp(address, number, outside)

    in_lab(body)


def test_a_container_cannot_reach_the_hosts_loopback(in_lab: InLab) -> None:
    """``route_localnet`` is on for the bridge; the raw table closes what it would open, even to a container that
    sends its own loopback addresses out (it does reach the host when the rule is taken away)."""

    async def body(lab: Lab) -> None:
        _, inside = await lab.container()
        gateway = lab.config.bip.split("/")[0]
        commands = f"""
            ip link set lo down
            ip route flush table local
            ip route add local "$(ip -4 -o address show eth0 | awk '{{print $4}}' | cut -d/ -f1)" dev eth0 table local
            ip route add 127.0.0.0/8 via {gateway}
            echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet
        """
        subprocess.check_call(["nsenter", f"--net={inside.path}", "sh", "-ec", commands])
        with socket.create_server(("127.0.0.1", 0)) as server:
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(_knock, inside, server.getsockname()[1])
            subprocess.check_call(["iptables", "--wait", "-t", "raw", "-F", f"PYE-RAW-{lab.bridge}"])
            await asyncio.to_thread(_knock, inside, server.getsockname()[1])

    def _knock(inside: Namespace, port: int) -> None:
        with inside.socket(socket.SOCK_STREAM) as client:
            client.settimeout(1)
            client.connect(("127.0.0.1", port))

    in_lab(body)


def test_release_leaves_nothing(in_lab: InLab) -> None:
    """Rules and links are the same before and after, and the ports are free again."""

    async def body(lab: Lab) -> None:
        await lab.container()
        before = _footprint(lab.bridge)
        sandbox, namespace = await lab.container(PortBinding(80, "tcp"), PortBinding(81, "udp"))
        assert _footprint(lab.bridge) != before
        await lab.controller.release(sandbox)
        await lab.controller.release(sandbox)
        namespace.end()
        lab.namespaces.remove(namespace)
        await lab.controller.settle()
        assert _footprint(lab.bridge) == before
        for port in sandbox.ports:
            kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
            with socket.socket(socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET, kind) as probe:
                probe.bind((port.host_ip, port.host_port))

    in_lab(body)


def test_removing_everything_leaves_the_host_as_it_was(in_lab: InLab) -> None:
    async def body(lab: Lab) -> str:
        await lab.controller.create_network(NetworkRequest("extra"))
        return lab.bridge

    before = len(_footprint("pyt").splitlines())
    bridge = in_lab(body)
    assert _footprint(bridge) == ""
    assert before >= 0


def test_fifty_at_once(in_lab: InLab) -> None:
    """Fifty containers are allocated, attached and released in parallel: all work, none shares an address."""

    async def body(lab: Lab) -> None:
        namespaces = [lab.namespace() for _ in range(50)]
        before = _footprint(lab.bridge)
        started = time.perf_counter()
        made = await asyncio.gather(*(_one(lab, number, namespace.pid) for number, namespace in enumerate(namespaces)))
        print(f"50 allocate+attach, 25 with a port: {(time.perf_counter() - started) * 1000:.0f} ms")
        assert len({sandbox.endpoints[0].ip_address for sandbox in made}) == 50
        assert len({port.host_port for sandbox in made for port in sandbox.ports}) == 25
        await asyncio.gather(*(lab.controller.release(sandbox) for sandbox in made))
        for namespace in namespaces:
            namespace.end()
        lab.namespaces.clear()
        await lab.controller.settle()
        assert _footprint(lab.bridge) == before

    async def _one(lab: Lab, number: int, pid: int) -> Any:
        ports = [PortBinding(80, "tcp", "0.0.0.0")] if number % 2 else []
        sandbox = await lab.controller.allocate(f"{number:064x}", "bridge", ports=ports, hostname="h")
        await lab.controller.attach(sandbox, pid)
        return sandbox

    in_lab(body)


def test_ports_that_are_taken_are_refused_as_docker_words_it(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, _ = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        port = sandbox.ports[0].host_port
        with pytest.raises(EngineError, match=f"Bind for 0.0.0.0:{port} failed: port is already allocated"):
            await lab.container(PortBinding(80, "tcp", host_port=port))
        with socket.create_server(("0.0.0.0", 0)) as other:
            taken = other.getsockname()[1]
            message = f"listen tcp4 0.0.0.0:{taken}: bind: address already in use"
            with pytest.raises(EngineError, match=message):
                await lab.container(PortBinding(80, "tcp", host_port=taken))
        await lab.container(PortBinding(80, "tcp", "0.0.0.0", taken))

    in_lab(body)


def test_another_program_cannot_take_a_published_port(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, _ = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("0.0.0.0", sandbox.ports[0].host_port), reuse_port=False)

    in_lab(body)


def test_a_failed_attach_takes_nothing(in_lab: InLab) -> None:
    """A process that is gone: the error is one line, and after release all is as before."""

    async def body(lab: Lab) -> None:
        before = _footprint(lab.bridge)
        gone = Namespace()
        gone.end()
        sandbox = await lab.controller.allocate("a" * 64, "bridge", ports=[PortBinding(80, "tcp")], hostname="h")
        with pytest.raises(EngineError, match="failed to set up the container's network"):
            await lab.controller.attach(sandbox, gone.pid)
        await lab.controller.release(sandbox)
        await lab.controller.settle()
        assert _footprint(lab.bridge) == before

    in_lab(body)


def test_without_iptables_ports_go_by_the_forwarder(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp"), PortBinding(53, "udp"))
        with tcp_server(inside, 80), udp_server(inside, 53):
            for port in sandbox.ports:
                address = "::1" if ":" in port.host_ip else "127.0.0.1"
                ask = ask_tcp if port.protocol == "tcp" else ask_udp
                assert (await ask(address, port.host_port)).endswith("hello")
        assert "PYE" not in _footprint(lab.bridge)

    in_lab(body, iptables=False)


def test_the_administrators_rules_come_first(in_lab: InLab) -> None:
    """What DOCKER-USER drops is dropped, though the port is published."""

    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        rule = ["DOCKER-USER", "-d", sandbox.endpoints[0].ip_address, "-o", lab.bridge, "-j", "REJECT"]
        async with outside_machine(lab) as (outside, host):
            with tcp_server(inside, 80):
                port = sandbox.ports[0].host_port
                assert (await ask_tcp(host, port, outside)).endswith("hello")
                subprocess.check_call(["iptables", "--wait", "-I", *rule])
                try:
                    with pytest.raises(OSError):
                        await ask_tcp(host, port, outside)
                finally:
                    subprocess.check_call(["iptables", "--wait", "-D", *rule])

    in_lab(body)


def test_udp_clients_of_old_reach_the_new_container(in_lab: InLab) -> None:
    """One client socket that never stops sending: before the port is published, and across a replacement."""

    async def body(lab: Lab) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("0.0.0.0", 0))
            port = probe.getsockname()[1]
        async with outside_machine(lab) as (outside, host):
            client = outside.socket(socket.SOCK_DGRAM)
            with client:
                client.settimeout(2)
                client.sendto(b"anyone?", (host, port))
                for _ in range(2):
                    sandbox, inside = await lab.container(PortBinding(53, "udp", "0.0.0.0", port))
                    with udp_server(inside, 53):
                        client.sendto(b"hello", (host, port))
                        assert (await asyncio.to_thread(client.recv, 100)).endswith(b"hello")
                    await lab.controller.release(sandbox)

    in_lab(body)


def test_a_refused_rule_spoils_no_other(in_lab: InLab) -> None:
    """Ports published at the same moment share one write; the one at fault gets the error, alone."""

    async def body(lab: Lab) -> None:
        firewall = Firewall(lab.bridge)
        await firewall.start(lab.controller.catalog.bridges(), [])
        ports = [Published("tcp", "127.0.0.1", 1 + n, "10.0.0.2", 80, lab.bridge) for n in range(3)]
        ports[1] = Published("tcp", "127.0.0.1", 2, "nonsense", 80, lab.bridge)
        results = await asyncio.gather(*(firewall.publish([port]) for port in ports), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), EngineError, type(None)]
        with pytest.raises(EngineError, match="iptables-restore"):
            await firewall.publish([ports[1]])
        rules = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
        ours = [line for line in rules.splitlines() if f"-A PYE-NAT-{lab.bridge} " in line]
        found = [line.split("--dport ")[1].split()[0] for line in ours]
        assert found == ["1", "3"]
        await firewall.unpublish(ports)
        await lab.controller.start([])

    in_lab(body)


def test_the_daemon_stays_in_its_own_namespace_and_keeps_no_descriptors(in_lab: InLab) -> None:
    before = set(os.listdir("/proc/self/task")) - {str(os.getpid())}

    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        await _visit_once(lab)  # what is made once (thread pools, caches) is there from now on
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await _visit_once(lab)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        own = os.readlink("/proc/self/ns/net")
        started = set(os.listdir("/proc/self/task")) - before
        assert {os.readlink(f"/proc/self/task/{task}/ns/net") for task in started} <= {own}

    async def _visit_once(lab: Lab) -> None:
        namespace = Namespace()
        ports = [PortBinding(80, "tcp"), PortBinding(53, "udp")]
        sandbox = await lab.controller.allocate("c" * 64, "one", ports=ports, hostname="h", aliases=("web",))
        await lab.controller.attach(sandbox, namespace.pid)
        await lab.controller.release(sandbox)
        namespace.end()
        await lab.controller.settle()
        await asyncio.sleep(0)  # closed transports drop their sockets in the loop's next turn

    in_lab(body)


def test_published_ports_outlive_flushed_rules(in_lab: InLab) -> None:
    """The forwarder takes over; the next start writes the rules anew."""

    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"), PortBinding(53, "udp", "0.0.0.0"))
        subprocess.check_call(["iptables", "--wait", "-t", "nat", "-F", f"PYE-NAT-{lab.bridge}"])
        async with outside_machine(lab) as (outside, host):
            with tcp_server(inside, 80), udp_server(inside, 53):
                assert (await ask_tcp(host, sandbox.ports[0].host_port, outside)).endswith("hello")
                assert (await ask_udp(host, sandbox.ports[1].host_port, outside)).endswith("hello")

    in_lab(body)


def test_a_port_is_free_the_moment_its_container_is_released(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        first, _ = await lab.container(PortBinding(80, "tcp"), PortBinding(53, "udp"))
        ports = [replace(port, host_ip="") for port in first.ports if port.host_ip == "0.0.0.0"]
        for _ in range(5):
            await lab.controller.release(first)
            first, _ = await lab.container(*ports)

    in_lab(body)


LEGACY = """
import asyncio, pathlib, subprocess, sys
from support import network_lab
from support.network_lab import PortBinding, ask_tcp, opened_lab, tcp_server

async def main():
    async with opened_lab(pathlib.Path(sys.argv[1])) as lab:
        sandbox, inside = await lab.container(PortBinding(80, "tcp"))
        with tcp_server(inside, 80):
            assert (await ask_tcp("127.0.0.1", sandbox.ports[0].host_port)).endswith("hello")
        saved = subprocess.run(["iptables-legacy-save"], capture_output=True, text=True, check=True).stdout
        assert f"-A PYE-NAT-{lab.bridge}" in saved
    saved = subprocess.run(["iptables-legacy-save"], capture_output=True, text=True, check=True).stdout
    assert "PYE-" not in saved

asyncio.run(main())
"""


def test_the_legacy_tools_do_as_well(tmp_path: Path) -> None:
    """In a network namespace that plays the host: the tables of the legacy variant can't be removed again."""
    for name in ("iptables", "iptables-restore"):
        (tmp_path / name).symlink_to(find_tool(name.replace("iptables", "iptables-legacy", 1)))
    tests = str(Path(network_lab.__file__).parents[1])
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": tests}
    command = 'ip link set lo up && exec "$0" -c "$1" "$2"'
    script = ["unshare", "--net", "sh", "-c", command, sys.executable, LEGACY, str(tmp_path / "lab")]
    subprocess.run(script, env=environment, check=True, timeout=60)


def test_missing_iptables_is_one_clear_error(in_lab: InLab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(lab: Lab) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("pymachine.engine.network.firewall.which", lambda *_, **__: None)
            with pytest.raises(EngineError, match="iptables-restore was not found: install iptables"):
                await lab.restarted().start([])
        await lab.restarted().start([])

    in_lab(body)


def _footprint(bridge: str) -> str:
    """Everything in the rules and among the links that names *bridge*, in a fixed form, and its ports."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-o", "link", "show"], capture_output=True, text=True, check=True).stdout
    names = [line.split(": ")[1] for line in links.splitlines() if bridge in line]
    return "\n".join([line.split("[")[0] for line in rules.splitlines() if bridge in line] + sorted(names))
