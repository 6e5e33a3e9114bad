"""Connections to a shim: messages both ways, or a process's raw streams."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

from pymachine.engine.runtime import record, wire


class Connection:
    """Messages to and from a shim."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Connection:
        """A connection over a connected socket, which it owns from now on."""
        sock.setblocking(False)
        return cls(*await asyncio.open_connection(sock=sock))

    async def send(self, message: Any) -> None:
        """Send one message; one that can't be sent shows in `receive`."""
        self._writer.write(wire.pack(message))
        try:
            await self._writer.drain()
        except ConnectionError:
            pass

    async def receive(self) -> dict[str, Any] | None:
        """The next message; ``None`` when the shim has gone."""
        try:
            header = await self._reader.readexactly(4)
            return cast(dict[str, Any], wire.unpack(await self._reader.readexactly(wire.body_size(header))))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return None

    def end_sending(self) -> None:
        """Tell the shim that nothing more comes: during a start, that it is given up."""
        try:
            self._writer.write_eof()
        except OSError:
            pass

    async def drain(self) -> None:
        """Wait until the shim has gone."""
        while await self.receive() is not None:
            pass

    def close(self) -> None:
        """Close it."""
        self._writer.close()


class SocketStream:
    """A process's streams over a socket of its shim."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; ``b""`` at the end."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._sock, limit)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send *data* to standard input, waiting while that is full; `ConnectionError` when it has ended."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            raise BrokenPipeError(error.errno, error.strerror) from error

    async def write_eof(self) -> None:
        """Nothing more comes for standard input."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    async def close(self) -> None:
        """Leave; the process goes on."""
        self._sock.close()


def open_socket(bundle: str) -> socket.socket:
    """A socket connected to the shim of *bundle*, by a path that fits into sun_path whatever the bundle's is."""
    folder = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(f"/proc/self/fd/{folder}/{record.SOCKET}")
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


async def connect(bundle: str) -> Connection:
    """A control connection to the shim of *bundle*; `OSError` when there is none."""
    return await Connection.over(open_socket(bundle))


async def receive_exactly(sock: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = await asyncio.get_running_loop().sock_recv(sock, size - len(parts))
        if not part:
            return b""
        parts += part
    return parts
