"""Where a server is, as clients write it: ``unix:///run/docker.sock``, ``tcp://host:2376``, ``https://host/…``."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from pymachine.dockerapi.tls_session import TLSSession
from pymachine.dockerapi.wire import Wire

_DEFAULT_PORTS = {"http": 80, "https": 443, "tcp": 2375}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server. ``path`` is set for unix sockets, ``host`` and ``port`` for the others."""

    host: str
    port: int = 0
    path: str = ""
    secure: bool = False

    @property
    def authority(self) -> str:
        """The ``Host`` header's value."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse(url: str, *, secure: bool = False) -> tuple[Endpoint, str]:
    """The server of *url* and the request target in it (path and query).

    *secure* makes ``tcp://`` mean TLS. Raises `ValueError` for anything that is not such an address.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise ValueError(f"not the address of a unix socket: {url}")
        return Endpoint("", path=parts.path), "/"
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"not the address of a server: {url}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
    encrypted = parts.scheme == "https" or (parts.scheme == "tcp" and secure)
    return Endpoint(parts.hostname, port, secure=encrypted), target


async def connect(endpoint: Endpoint, context: ssl.SSLContext | None) -> Wire:
    """A new connection, TLS established. Raises `OSError` and `ssl.SSLError`."""
    loop = asyncio.get_running_loop()
    if endpoint.path:
        _, wire = await loop.create_unix_connection(Wire, endpoint.path)
        return wire
    if not endpoint.secure or context is None:
        _, wire = await loop.create_connection(Wire, endpoint.host, endpoint.port)
        return wire
    secured = context

    def session() -> TLSSession:
        return TLSSession(secured, server_side=False, server_hostname=endpoint.host)

    _, wire = await loop.create_connection(lambda: Wire(tls=session), endpoint.host, endpoint.port)
    try:
        await wire.handshake()
    except BaseException:
        wire.abort()
        raise
    return wire
