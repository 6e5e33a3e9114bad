"""A test bridge of our own on the real host, and processes in namespaces of their own that play containers."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from pymachine.engine.events import EventBus
from pymachine.engine.network import namespaces
from pymachine.engine.network.base import PortBinding, Sandbox
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.controller import BridgeController
from support.addresses import address_range

T = TypeVar("T")


class Namespace:
    """A process in a network namespace of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.pid = self._process.pid
        self.path = f"/proc/{self.pid}/ns/net"
        while os.readlink(self.path) == os.readlink("/proc/self/ns/net"):
            assert self._process.poll() is None, "unshare failed"

    def run(self, function: Callable[[], T]) -> T:
        return namespaces.visit(self.path, function)

    def socket(self, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        made = self.run(lambda: socket.socket(socket.AF_INET, kind, protocol))
        made.settimeout(5)
        return made

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


@dataclass
class Lab:
    """A controller on its own bridge, and what a test makes with it."""

    folder: Path
    bridge: str
    subnet: IPv4Network
    outside: IPv4Network
    """Addresses for what lies beyond."""
    config: NetworkConfig
    controller: BridgeController
    events: EventBus
    namespaces: list[Namespace] = field(default_factory=list)
    sandboxes: list[Sandbox] = field(default_factory=list)

    def namespace(self) -> Namespace:
        made = Namespace()
        self.namespaces.append(made)
        return made

    async def container(
        self, *ports: PortBinding, mode: str = "bridge", aliases: tuple[str, ...] = (), ipv4_address: str = ""
    ) -> tuple[Sandbox, Namespace]:
        namespace = self.namespace()
        sandbox = await self.controller.allocate(
            secrets.token_hex(32), mode, ports=list(ports), hostname="h", aliases=aliases, ipv4_address=ipv4_address
        )
        self.sandboxes.append(sandbox)
        await self.controller.attach(sandbox, namespace.pid)
        return sandbox, namespace

    def restarted(self) -> BridgeController:
        """A new controller on the same data, as after the daemon was killed."""
        self.controller = BridgeController(self.folder / "data", self.folder / "exec", self.config, self.events)
        return self.controller


@asynccontextmanager
async def opened_lab(folder: Path, **options: object) -> AsyncIterator[Lab]:
    with address_range() as addresses:
        async with _lab(folder, addresses, **options) as lab:
            yield lab


@asynccontextmanager
async def _lab(folder: Path, addresses: IPv4Network, **options: object) -> AsyncIterator[Lab]:
    bridge = f"pyt{secrets.token_hex(3)}"
    pool, own = addresses.subnets(new_prefix=20)
    subnet, *_, outside = own.subnets(new_prefix=24)
    config = NetworkConfig(
        bridge=bridge,
        bip=f"{subnet.network_address + 1}/24",
        default_address_pools=((str(pool), 24),),
        **options,  # type: ignore[arg-type]
    )
    events = EventBus()
    controller = BridgeController(folder / "data", folder / "exec", config, events)
    lab = Lab(folder, bridge, subnet, outside, config, controller, events)
    try:
        await controller.start([])
        yield lab
    finally:
        try:
            for sandbox in lab.sandboxes:
                await lab.controller.release(sandbox)
        finally:
            for namespace in lab.namespaces:
                namespace.end()
            await lab.controller.remove_all()


@asynccontextmanager
async def outside_machine(lab: Lab) -> AsyncIterator[tuple[Namespace, str]]:
    """A machine on a link of its own to the host; yields it and the host's address there."""
    outside = lab.namespace()
    host, other = str(lab.outside.network_address + 1), str(lab.outside.network_address + 2)
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


def footprint(bridge: str) -> str:
    """Everything in the rules and among the links that names *bridge*, in a fixed form, and its ports."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-o", "link", "show"], capture_output=True, text=True, check=True).stdout
    names = [line.split(": ")[1] for line in links.splitlines() if bridge in line]
    return "\n".join([line.split("[")[0] for line in rules.splitlines() if bridge in line] + sorted(names))


def ping(source: socket.socket, address: str) -> bool:
    """Whether *address* answers an ICMP echo sent by the raw ICMP socket *source*."""
    packet = b"\x08\x00" + b"\0\0" + b"\0\1\0\1"
    total = sum(int.from_bytes(packet[i : i + 2], "big") for i in range(0, len(packet), 2))
    packet = packet[:2] + (~(total + (total >> 16)) & 0xFFFF).to_bytes(2, "big") + packet[4:]
    source.sendto(packet, (address, 0))
    try:
        while True:
            data, (sender, _) = source.recvfrom(2048)
            if sender == address and data[(data[0] & 15) * 4] == 0:
                return True
    except TimeoutError:
        return False


@contextmanager
def tcp_server(namespace: Namespace, port: int) -> Iterator[None]:
    """Answers each connection in *namespace* with the peer's address and what it sent."""
    listener = namespace.socket(socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(100)
        writer.write(writer.get_extra_info("peername")[0].encode() + b" " + data)
        await writer.drain()
        writer.close()

    task = asyncio.ensure_future(asyncio.start_server(serve, sock=listener))
    try:
        yield
    finally:
        if task.done():
            task.result().close()


@contextmanager
def udp_server(namespace: Namespace, port: int) -> Iterator[None]:
    """Answers each datagram in *namespace* with the sender's address and what it sent."""
    server = namespace.socket(socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    server.setblocking(False)
    loop = asyncio.get_running_loop()

    def answer() -> None:
        data, sender = server.recvfrom(2048)
        server.sendto(sender[0].encode() + b" " + data, sender)

    loop.add_reader(server, answer)
    try:
        yield
    finally:
        loop.remove_reader(server)
        server.close()


def _ask(client: socket.socket, address: str, port: int) -> str:
    with client:
        client.settimeout(3)
        client.connect((address, port))
        client.send(b"hello")
        return client.recv(2048).decode()


async def ask_tcp(address: str, port: int, namespace: Namespace | None = None) -> str:
    """What a server answers to ``hello``, asked from *namespace* (the host when None)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = namespace.socket(socket.SOCK_STREAM) if namespace else socket.socket(family, socket.SOCK_STREAM)
    return await asyncio.to_thread(_ask, client, address, port)


async def ask_udp(address: str, port: int, namespace: Namespace | None = None) -> str:
    """The same by one datagram."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = namespace.socket(socket.SOCK_DGRAM) if namespace else socket.socket(family, socket.SOCK_DGRAM)
    return await asyncio.to_thread(_ask, client, address, port)
