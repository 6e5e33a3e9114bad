"""The user-land forwarder: carries to the container what reaches a held port because no rule has translated it.

That is IPv6 (containers have IPv4 addresses only), what arrives after someone has flushed the rules, and
everything when the engine runs without rules. One `Relay` serves one port, on the daemon's event loop; while
the daemon is down it does not.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from pymachine.engine.network.ports import HeldPort

_log = logging.getLogger(__name__)
_CHUNK = 1 << 16
_CONNECT_TIMEOUT = 10.0
_UDP_IDLE = 90.0
"""Seconds after which a quiet udp client is forgotten."""
_UDP_CLIENTS = 1024
"""Clients of one udp port at a time; datagrams of more are dropped."""


class Relay:
    """Forwards one held tcp or udp port to *address*:*port*."""

    def __init__(self, held: HeldPort, address: str, port: int) -> None:
        self._held = held
        self._target = (address, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._datagrams: _UdpFront | None = None

    async def start(self) -> None:
        """Serve from now on. The held socket stays the port table's, and nothing keeps it open after `close`."""
        if self._held.socket is None:
            return
        if self._held.binding.protocol == "tcp":
            self._server = await asyncio.start_server(self._connected, sock=self._held.socket.dup())
        else:
            self._datagrams = _UdpFront(self._held.socket, self._target)

    def close(self) -> None:
        """Stop, and cut what is being carried."""
        if self._server is not None:
            self._server.close()
        if self._datagrams is not None:
            self._datagrams.close()
        for task in list(self._tasks):
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                back_reader, back_writer = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_carry(reader, back_writer))
                    group.create_task(_carry(back_reader, writer))
            finally:
                back_writer.close()
        except (OSError, TimeoutError, ExceptionGroup, asyncio.CancelledError) as error:
            _log.debug("forwarding to %s:%d ended: %r", *self._target, error)
        finally:
            self._tasks.discard(task)
            writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


class _UdpFront:
    """The published side: one `_UdpBack` for each client address."""

    def __init__(self, held: socket.socket, target: tuple[str, int]) -> None:
        self._socket = held
        self._target = target
        self._backs: dict[Any, _UdpBack] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(held, self._arrived)

    def close(self) -> None:
        """Stop reading; the socket is its owner's to close."""
        self._loop.remove_reader(self._socket)
        for back in list(self._backs.values()):
            back.close()

    def answer(self, data: bytes, client: Any) -> None:
        try:
            self._socket.sendto(data, client)
        except OSError:
            pass  # udp: what can't be sent now is lost

    def forget(self, client: Any) -> None:
        self._backs.pop(client, None)

    def _arrived(self) -> None:
        try:
            data, client = self._socket.recvfrom(_CHUNK)
            back = self._backs.get(client)
            if back is None:
                if len(self._backs) >= _UDP_CLIENTS:
                    return
                back = self._backs[client] = _UdpBack(self, client, self._target)
        except OSError:
            return
        back.send(data)


class _UdpBack:
    """One client's socket towards the container."""

    def __init__(self, front: _UdpFront, client: Any, target: tuple[str, int]) -> None:
        self._front, self._client = front, client
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(target)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._answered)
        self._timer = self._loop.call_later(_UDP_IDLE, self.close)

    def send(self, data: bytes) -> None:
        self._stay()
        try:
            self._socket.send(data)
        except OSError:
            pass  # udp: what the container does not take is lost

    def close(self) -> None:
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        self._front.forget(self._client)

    def _answered(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except OSError:
            return
        self._stay()
        self._front.answer(data, self._client)

    def _stay(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(_UDP_IDLE, self.close)
