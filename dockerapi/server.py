"""The API server: listens on unix sockets and TCP, and serves each connection in a task of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path

from pymachine.dockerapi import versions
from pymachine.dockerapi.connection import Connection
from pymachine.dockerapi.dispatch import Dispatcher
from pymachine.dockerapi.limits import Limits
from pymachine.dockerapi.listeners import tcp_listener, unix_listener
from pymachine.dockerapi.routing import Router
from pymachine.dockerapi.tls import ServerTLS
from pymachine.dockerapi.wire import Wire

_log = logging.getLogger(__name__)


class APIServer:
    """Serves a router's handlers over HTTP/1.1, on any number of sockets.

    ::

        server = APIServer(router, product="pyengine/1.0")
        await server.listen_unix(Path("/run/docker.sock"))
        await server.listen_tcp("0.0.0.0", 2376, tls=ServerTLS(files))
        ...
        await server.close()
    """

    def __init__(self, router: Router, *, product: str = "pymachine", limits: Limits | None = None) -> None:
        self._dispatcher = Dispatcher(router)
        self._limits = limits or Limits()
        self._headers = {
            "Api-Version": versions.text(versions.MAXIMUM),
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"{product} (linux)",
        }
        self._servers: list[asyncio.Server] = []
        self._sockets: dict[Path, int] = {}
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._closing = False

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def listen_unix(self, path: Path, *, group: str = "docker") -> None:
        """Listen on a unix socket of mode 0660. Raises `ListenError`."""
        listener = unix_listener(path, group=group)
        self._sockets[path] = path.lstat().st_ino
        await self.listen(listener)

    async def listen_tcp(self, host: str, port: int, *, tls: ServerTLS | None = None) -> int:
        """Listen on TCP and give the port, which matters when it was 0. Raises `ListenError`."""
        listener = tcp_listener(host, port)
        bound: int = listener.getsockname()[1]
        await self.listen(listener, tls=tls)
        return bound

    async def listen(self, listener: socket.socket, *, tls: ServerTLS | None = None) -> None:
        """Serve a socket that listens already."""
        session = tls.session if tls is not None else None
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: Wire(self._serve, tls=session), sock=listener))

    def _serve(self, wire: Wire) -> None:
        if self._closing or (len(self._connections) >= self._limits.connections and not self._make_room()):
            wire.abort()
            return
        connection = Connection(wire, self._dispatcher, self._headers, self._limits)
        task = asyncio.get_running_loop().create_task(connection.run())
        self._connections[connection] = task
        task.add_done_callback(lambda _: self._connections.pop(connection, None))

    def _make_room(self) -> bool:
        """Close the connection that has been idle longest; false when all are busy."""
        idle = [connection for connection in self._connections if not connection.busy]
        if not idle:
            _log.warning("turned a client away: %d connections are busy", len(self._connections))
            return False
        oldest = min(idle, key=lambda connection: connection.idle_since)
        oldest.finish()
        self._connections.pop(oldest).cancel()
        return True

    async def close(self, grace: float = 5.0) -> None:
        """Stop listening, let requests being handled finish for *grace* seconds, and end the streams."""
        self._closing = True
        for server in self._servers:
            server.close()
        self._remove_sockets()
        ending = []
        for connection, task in list(self._connections.items()):
            connection.finish()
            if connection.streaming:
                task.cancel()
            ending.append(task)
        if ending:
            _, late = await asyncio.wait(ending, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=grace)
        self._servers.clear()

    def _remove_sockets(self) -> None:
        """Remove our unix sockets, unless another server has put its own there since."""
        for path, inode in self._sockets.items():
            with suppress(FileNotFoundError):
                if path.lstat().st_ino == inode:
                    os.unlink(path)
        self._sockets.clear()
