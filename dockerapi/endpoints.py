"""Where a server is, as clients write it: ``unix:///run/docker.sock``, ``tcp://host:2376``, ``https://host/…``."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from pymachine.dockerapi.proxies import Proxy
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
    proxy: Proxy | None = None
    """The HTTP proxy to go by."""

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
    near = endpoint.proxy or endpoint
    _, wire = await loop.create_connection(Wire, near.host, near.port)
    if not endpoint.secure or context is None:
        return wire
    try:
        if endpoint.proxy is not None:
            await _tunnel(wire, endpoint, endpoint.proxy)
        await wire.start_tls(TLSSession(context, server_side=False, server_hostname=endpoint.host))
    except BaseException:
        wire.abort()
        raise
    return wire


async def _tunnel(wire: Wire, endpoint: Endpoint, proxy: Proxy) -> None:
    """Have the proxy connect us (RFC 9110, section 9.3.6); `ConnectionError` when it does not."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    headers = [("Host", f"{host}:{endpoint.port}")]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    http = h11.Connection(h11.CLIENT)
    request = h11.Request(method="CONNECT", target=f"{host}:{endpoint.port}", headers=headers)
    await wire.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            # Byte by byte would be safe too; but a proxy has nothing more to say before we have.
            http.receive_data(await wire.read())
    except h11.RemoteProtocolError as error:
        raise ConnectionError(f"proxy {proxy.host}:{proxy.port}: {error}") from None
    if not isinstance(event, h11.Response) or event.status_code // 100 != 2:
        status = getattr(event, "status_code", "no answer")
        raise ConnectionError(f"proxy {proxy.host}:{proxy.port} does not connect to {host}: {status}")
