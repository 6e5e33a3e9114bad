"""The embedded DNS server: answers container names inside user-defined networks, passes other queries on.

Each container has its own, on 127.0.0.11 in its network namespace, served by sockets that a visiting thread
opened there. As Docker's it listens on ports of its own choice, led to from port 53 by rules in that
namespace, so that a container may run a name server itself. Other names are asked for from the host's
namespace. While the daemon is down it does not answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from pymachine.engine.network import dnswire, links, namespaces
from pymachine.engine.network.base import Endpoint
from pymachine.engine.network.firewall import run_tool
from pymachine.engine.network.hostfiles import EMBEDDED_SERVER
from pymachine.engine.network.names import NameTable
from pymachine.engine.network.netlink import Netlink

_log = logging.getLogger(__name__)
_PORT = 53
_LIMIT = 65535
_PATIENCE = 2.0
"""Seconds that one server has to answer before the next is asked."""
_IN_FLIGHT = 256
"""Queries of one container that may wait for an answer; more are dropped (clients repeat them)."""
_TCP_IDLE = 20.0
_CHAIN = "PYE-DNS"


Ask = Callable[[str, int, bytes], Coroutine[Any, Any, bytes]]
"""Asks a server (address, port) a query."""


@dataclass(slots=True)
class ServerSockets:
    """Bound in the container's namespace."""

    udp: socket.socket
    tcp: socket.socket

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()


def open_sockets(path: str, *, translate: bool, fresh: bool) -> ServerSockets:
    """Bind in the namespace at *path*, and lead port 53 there (*translate*; else bind port 53 itself). *fresh*:
    no earlier daemon has done so. Blocks. Raises `OSError`, `EngineError`."""

    def inside() -> ServerSockets:
        with Netlink() as netlink:  # the interfaces may be being made at this moment
            netlink.send(links.set_up(socket.if_nametoindex("lo")))
        sockets = _bind(0 if translate else _PORT)
        try:
            if translate:
                _lead_here(sockets, fresh=fresh)
        except BaseException:
            sockets.close()
            raise
        return sockets

    return namespaces.visit(path, inside)


def _bind(port: int) -> ServerSockets:
    sockets = ServerSockets(
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK),
        socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK),
    )
    try:
        for one in (sockets.udp, sockets.tcp):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((EMBEDDED_SERVER, port))
        sockets.tcp.listen(16)
    except BaseException:
        sockets.close()
        raise
    return sockets


def _lead_here(sockets: ServerSockets, *, fresh: bool) -> None:
    """Write the namespace's rules: the programs inherit this thread's namespace."""
    lines = ["*nat", f":{_CHAIN} - [0:0]"]
    for protocol, one in (("udp", sockets.udp), ("tcp", sockets.tcp)):
        to = f"{EMBEDDED_SERVER}:{one.getsockname()[1]}"
        lines.append(f"-A {_CHAIN} -p {protocol} -m {protocol} --dport {_PORT} -j DNAT --to-destination {to}")
    hook = ["OUTPUT", "-d", f"{EMBEDDED_SERVER}/32", "-j", _CHAIN]
    if fresh or run_tool(["iptables", "--wait", "-t", "nat", "-C", *hook], check=False):
        lines.append(f"-A {' '.join(hook)}")
    run_tool(["iptables-restore", "--noflush", "--wait"], "\n".join([*lines, "COMMIT"]) + "\n")


class NameServer:
    """Serves one container. *endpoints* is the sandbox's own list, which changes with connect and disconnect."""

    def __init__(
        self, endpoints: Collection[Endpoint], names: NameTable, servers: Callable[[], Sequence[str]], port: int = _PORT
    ) -> None:
        self._endpoints = endpoints
        self._names = names
        self._servers = servers
        self._upstream_port = port
        self._loop = asyncio.get_running_loop()
        self._sockets: ServerSockets | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, sockets: ServerSockets) -> None:
        """Answer on *sockets* until `close`."""
        self._sockets = sockets
        self._loop.add_reader(sockets.udp, self._datagram)
        self._server = await asyncio.start_server(self._connected, sock=sockets.tcp)

    def close(self) -> None:
        """Stop; fine when done before."""
        if self._server is not None:  # first: it takes its socket off the loop, and closes it
            self._server.close()
            self._server = None
        if self._sockets is not None:
            self._loop.remove_reader(self._sockets.udp)
            self._sockets.close()
            self._sockets = None
        for task in list(self._tasks):
            task.cancel()

    def answer(self, asked: dnswire.Question) -> bytes | None:
        """What we know ourselves; ``None`` when others are to be asked."""
        own = [endpoint for endpoint in self._endpoints if endpoint.dns_names]
        if (address := dnswire.reversed_address(asked.name)) and asked.kind == dnswire.TYPE_PTR:
            name = self._names.reverse(own, address)
            return dnswire.response(asked, answers=[dnswire.pointer(name)]) if name else None
        addresses = self._names.lookup(own, asked.name)
        if not addresses:
            return None
        wanted = asked.kind in (dnswire.TYPE_A, dnswire.TYPE_ANY)
        return dnswire.response(asked, answers=[dnswire.address(a) for a in addresses] if wanted else [])

    def _datagram(self) -> None:
        assert self._sockets is not None
        try:
            query, client = self._sockets.udp.recvfrom(_LIMIT)
            asked = dnswire.question(query)
        except (OSError, ValueError):
            return
        if (known := self.answer(asked)) is not None:
            self._reply(known, client)
        elif len(self._tasks) < _IN_FLIGHT:
            task = self._loop.create_task(self._pass_on(query, asked, client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, query: bytes, asked: dnswire.Question, client: tuple[str, int]) -> None:
        self._reply(await self._ask_others(query, asked, _by_datagram), client)

    def _reply(self, message: bytes, client: tuple[str, int]) -> None:
        if self._sockets is not None:
            try:
                self._sockets.udp.sendto(message, client)
            except OSError as error:
                _log.debug("a DNS answer was not sent: %s", error)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                asked = dnswire.question(query)
                message = self.answer(asked) or await self._ask_others(query, asked, _by_stream)
                writer.write(len(message).to_bytes(2) + message)
                await writer.drain()
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.CancelledError):
            pass  # the client has gone, is silent, or speaks nonsense
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _ask_others(self, query: bytes, asked: dnswire.Question, ask: Ask) -> bytes:
        if not any(endpoint.gateway for endpoint in self._endpoints):
            return dnswire.response(asked, dnswire.SERVFAIL)  # internal networks only: not even a name gets out
        for server in self._servers():
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await ask(server, self._upstream_port, query)
            except (OSError, EOFError, TimeoutError) as error:
                _log.debug("name server %s: %r", server, error)
        return dnswire.response(asked, dnswire.SERVFAIL)


class _Exchange(asyncio.DatagramProtocol):
    """One query and its answer; what is no answer to it is ignored."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: object) -> None:
        if data[:2] == self._query[:2] and not self.answered.done():
            self.answered.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


async def _by_datagram(server: str, port: int, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(query), remote_addr=(server, port))
    try:
        transport.sendto(query)
        return await exchange.answered
    finally:
        transport.close()


async def _by_stream(server: str, port: int, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        writer.write(len(query).to_bytes(2) + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()
