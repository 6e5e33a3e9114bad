"""Containers on a bridge: they reach each other, the host and the outside, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from pymachine.engine.network.base import PortBinding
from support.network_lab import Lab, Namespace, ask_tcp, outside_machine, ping, tcp_server

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


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
