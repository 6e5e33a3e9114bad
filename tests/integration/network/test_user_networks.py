"""User-defined networks: apart from each other, joined and left by running containers."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError, Forbidden, InvalidArgument, NotFound
from pymachine.engine.network.base import PortBinding
from pymachine.engine.network.catalog import NetworkRequest
from support.network_lab import Lab, Namespace, ask_tcp, ping, tcp_server

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


async def reaches(namespace: Namespace, address: str) -> bool:
    with namespace.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(1)
        try:
            return await asyncio.to_thread(ping, raw, address)
        except OSError:
            return False


def test_networks_are_apart(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        await lab.controller.create_network(NetworkRequest("two"))
        first, inside = await lab.container(mode="one")
        sibling, _ = await lab.container(mode="one")
        stranger, _ = await lab.container(mode="two")
        default, _ = await lab.container()
        assert await reaches(inside, sibling.endpoints[0].ip_address)
        assert not await reaches(inside, stranger.endpoints[0].ip_address)
        assert not await reaches(inside, default.endpoints[0].ip_address)
        assert first.endpoints[0].network_name == "one"

    in_lab(body)


def test_published_ports_are_reached_from_other_networks(in_lab: InLab) -> None:
    """By the host's address: the port was published to everyone."""

    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"), mode="one")
        _, other = await lab.container()
        with tcp_server(inside, 80):
            gateway = lab.config.bip.split("/")[0]
            assert (await ask_tcp(gateway, sandbox.ports[0].host_port, other)).endswith("hello")

    in_lab(body)


def test_an_internal_network_has_no_way_out(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("closed", internal=True))
        sandbox, inside = await lab.container(mode="closed")
        sibling, _ = await lab.container(mode="closed")
        other, _ = await lab.container()
        assert sandbox.endpoints[0].gateway == ""
        assert await reaches(inside, sibling.endpoints[0].ip_address)
        assert not await reaches(inside, other.endpoints[0].ip_address)
        routes = subprocess.run(
            ["nsenter", f"--net={inside.path}", "ip", "route"], capture_output=True, text=True, check=True
        ).stdout
        assert "default" not in routes

    in_lab(body)


def test_connect_and_disconnect_while_running(in_lab: InLab) -> None:
    """The second network's interface is eth1; leaving the first moves ports and default route to the second."""

    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        peer, _ = await lab.container(mode="one")
        assert not await reaches(inside, peer.endpoints[0].ip_address)
        endpoint = await lab.controller.connect(sandbox, inside.pid, "one", aliases=("web",))
        assert await reaches(inside, peer.endpoints[0].ip_address)
        assert "eth1" in inside.run(lambda: [name for _, name in socket.if_nameindex()])
        with pytest.raises(Forbidden, match="already exists in network one"):
            await lab.controller.connect(sandbox, inside.pid, "one")
        await lab.controller.disconnect(sandbox, inside.pid, "bridge")
        assert sandbox.endpoints == [endpoint]
        assert inside.run(lambda: [name for _, name in socket.if_nameindex()]) == ["lo", "eth1"]
        with tcp_server(inside, 80):
            assert (await ask_tcp("127.0.0.1", sandbox.ports[0].host_port)).endswith("hello")
            # Not by the address of our bridge: it has no port, hence no carrier, but is an address of the host still.
            assert (await ask_tcp(endpoint.gateway, sandbox.ports[0].host_port)).endswith("hello")
        with pytest.raises(Forbidden, match="is not connected to network bridge"):
            await lab.controller.disconnect(sandbox, inside.pid, "bridge")

    in_lab(body)


def test_an_address_of_ones_own(in_lab: InLab) -> None:
    """A fixed address is honoured, refused when taken or foreign, and free again right after release."""

    async def body(lab: Lab) -> None:
        record = await lab.controller.create_network(NetworkRequest("one", labels={}))
        wanted = str(record.network.network_address + 77)
        sandbox, _ = await lab.container(mode="one", ipv4_address=wanted)
        assert sandbox.endpoints[0].ip_address == wanted
        with pytest.raises(EngineError, match="Address already in use"):
            await lab.container(mode="one", ipv4_address=wanted)
        with pytest.raises(InvalidArgument, match="no configured subnet"):
            await lab.container(mode="one", ipv4_address="192.0.2.9")
        with pytest.raises(InvalidArgument, match="user defined networks only"):
            await lab.container(ipv4_address=str(lab.subnet.network_address + 9))
        await lab.controller.release(sandbox)
        again, _ = await lab.container(mode="one", ipv4_address=wanted)
        assert again.endpoints[0].ip_address == wanted

    in_lab(body)


def test_a_network_in_use_stays(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        record = await lab.controller.create_network(NetworkRequest("one"))
        sandbox, _ = await lab.container(mode="one")
        with pytest.raises(Forbidden, match="has active endpoints"):
            await lab.controller.remove_network("one")
        await lab.controller.release(sandbox)
        await lab.controller.remove_network(record.id[:12])
        assert record.bridge not in {name for _, name in socket.if_nameindex()}
        with pytest.raises(NotFound, match="network one not found"):
            lab.controller.catalog.find("one")
        assert [event["Action"] for event in lab.events.kept() if event["Type"] == "network"] == [
            "create",
            "connect",
            "disconnect",
            "destroy",
        ]

    in_lab(body)


def test_without_a_network_there_is_loopback_only(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(mode="none")
        assert inside.run(lambda: [name for _, name in socket.if_nameindex()]) == ["lo"]
        with tcp_server(inside, 80):
            assert await ask_tcp("127.0.0.1", 80, inside) == "127.0.0.1 hello"
        assert lab.controller.settings(sandbox, "none")["Networks"]["none"]["IPAddress"] == ""

    in_lab(body)
