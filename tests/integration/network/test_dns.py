"""The embedded DNS server, asked from inside containers."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pymachine.engine.network import dnswire
from pymachine.engine.network.catalog import NetworkRequest
from support.network_lab import Lab, Namespace

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


def query(name: str, kind: int = dnswire.TYPE_A) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        secrets.token_bytes(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)
    )


async def ask(inside: Namespace, name: str, kind: int = dnswire.TYPE_A, *, tcp: bool = False) -> tuple[int, set[str]]:
    """The code and the addresses (or raw data) of an answer."""
    client = inside.socket(socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    sent = query(name, kind)

    def talk() -> bytes:
        with client:
            client.connect(("127.0.0.11", 53))
            client.sendall(len(sent).to_bytes(2) + sent if tcp else sent)
            return client.recv(4096)[2 if tcp else 0 :]

    message = await asyncio.to_thread(talk)
    assert message[:2] == sent[:2]
    _, flags, _, answers, _, _ = struct.unpack_from("!6H", message)
    found, position = set(), len(sent)
    for _ in range(answers):
        _, got, _, _, length = struct.unpack_from("!3HIH", message, position)
        data = message[position + 12 : position + 12 + length]
        found.add(socket.inet_ntoa(data) if got == dnswire.TYPE_A else data.decode("latin-1"))
        position += 12 + length
    return flags & 15, found


@contextmanager
def upstream() -> Iterator[str]:
    """A name server on a loopback address of its own that answers every name with 192.0.2.99; its address."""
    address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.{secrets.randbelow(250) + 1}"
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    server.setblocking(False)

    def answer() -> None:
        data, client = server.recvfrom(4096)
        server.sendto(dnswire.response(dnswire.question(data), answers=[dnswire.address("192.0.2.99")]), client)

    asyncio.get_running_loop().add_reader(server, answer)
    try:
        yield address
    finally:
        asyncio.get_running_loop().remove_reader(server)
        server.close()


async def in_network(lab: Lab, name: str, *aliases: str, servers: tuple[str, ...] = ()) -> tuple[Any, Namespace]:
    """A container as the container service starts one: resolv.conf is written before the attach."""
    namespace = lab.namespace()
    sandbox = await lab.controller.allocate(secrets.token_hex(32), name, ports=[], hostname="h", aliases=aliases)
    lab.sandboxes.append(sandbox)
    assert lab.controller.resolv_conf(sandbox, list(servers), [], []).startswith("nameserver 127.0.0.11\n")
    await lab.controller.attach(sandbox, namespace.pid)
    return sandbox, namespace


def test_names_aliases_and_addresses_are_resolved(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        web, _ = await in_network(lab, "one", "web", "www")
        _, inside = await in_network(lab, "one", "client")
        address = web.endpoints[0].ip_address
        for name in ("web", "WWW", "web.one", web.container_id[:12]):
            assert await ask(inside, name) == (0, {address})
        assert await ask(inside, "web", tcp=True) == (0, {address})
        assert await ask(inside, "web", dnswire.TYPE_AAAA) == (0, set())
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
        assert await ask(inside, reverse, dnswire.TYPE_PTR) == (0, {"\3web\3one\0"})
        lab.controller.rename(web, "web", "new")
        assert await ask(inside, "new") == (0, {address})
        await lab.controller.release(web)
        again, _ = await in_network(lab, "one", "web")
        assert await ask(inside, "web") == (0, {again.endpoints[0].ip_address})

    in_lab(body)


def test_other_names_are_passed_on(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        with upstream() as server:
            _, inside = await in_network(lab, "one", "client", servers=(server,))
            assert await ask(inside, "example.test") == (0, {"192.0.2.99"})

    in_lab(body)


def test_a_silent_server_is_followed_by_the_next(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        with upstream() as server:
            _, inside = await in_network(lab, "one", "client", servers=("127.0.0.99", server))
            assert await ask(inside, "example.test") == (0, {"192.0.2.99"})

    in_lab(body)


def test_an_internal_network_asks_nobody(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("closed", internal=True))
        with upstream() as server:
            _, inside = await in_network(lab, "closed", "client", servers=(server,))
            assert await ask(inside, "example.test") == (dnswire.SERVFAIL, set())

    in_lab(body)


def test_networks_names_are_apart_until_joined(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        await lab.controller.create_network(NetworkRequest("two"))
        web, _ = await in_network(lab, "two", "web")
        with upstream() as server:
            sandbox, inside = await in_network(lab, "one", "client", servers=(server,))
            assert await ask(inside, "web") == (0, {"192.0.2.99"})
            await lab.controller.connect(sandbox, inside.pid, "two")
            assert await ask(inside, "web") == (0, {web.endpoints[0].ip_address})
            await lab.controller.disconnect(sandbox, inside.pid, "two")
            assert await ask(inside, "web") == (0, {"192.0.2.99"})

    in_lab(body)


def test_the_container_may_serve_port_53_itself(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        _, inside = await in_network(lab, "one", "client")
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with inside.socket(kind) as own:
                own.bind(("0.0.0.0", 53))
        assert (await ask(inside, "client"))[0] == 0

    in_lab(body)


@pytest.mark.parametrize("iptables", [True, False])
def test_names_are_resolved_again_after_a_restart(in_lab: InLab, iptables: bool) -> None:
    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        sandbox, inside = await in_network(lab, "one", "client")
        lab.controller._drop_all()
        await lab.restarted().start([sandbox])
        assert await ask(inside, "client") == (0, {sandbox.endpoints[0].ip_address})

    in_lab(body, iptables=iptables)
