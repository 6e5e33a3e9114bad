"""Published ports: from where they are reached, when they are taken and free, by rules and without."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network.base import PortBinding
from support.network_lab import (
    Lab,
    Namespace,
    ask_tcp,
    ask_udp,
    footprint,
    outside_machine,
    tcp_server,
    udp_server,
)

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


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


def test_a_port_is_free_the_moment_its_container_is_released(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        first, _ = await lab.container(PortBinding(80, "tcp"), PortBinding(53, "udp"))
        ports = [replace(port, host_ip="") for port in first.ports if port.host_ip == "0.0.0.0"]
        for _ in range(5):
            await lab.controller.release(first)
            first, _ = await lab.container(*ports)

    in_lab(body)


def test_without_iptables_ports_go_by_the_forwarder(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp"), PortBinding(53, "udp"))
        with tcp_server(inside, 80), udp_server(inside, 53):
            for port in sandbox.ports:
                address = "::1" if ":" in port.host_ip else "127.0.0.1"
                ask = ask_tcp if port.protocol == "tcp" else ask_udp
                assert (await ask(address, port.host_port)).endswith("hello")
        assert "PYE" not in footprint(lab.bridge)

    in_lab(body, iptables=False)


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
