"""An HTTP/1.1 client for engines and registries: unix sockets, TCP and TLS; streams both ways; hijacking.

Redirects are not followed and statuses are not judged: both are for the caller, who knows what they mean.

::

    async with HTTPClient("unix:///run/docker.sock") as client:
        async with await client.request("GET", "/v1.47/info") as response:
            print((await response.json())["Name"])
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import h11

from pymachine.dockerapi.client_connection import (
    Body,
    ClientConnection,
    ConnectFailed,
    HTTPError,
    TimedOut,
    TransferFailed,
)
from pymachine.dockerapi.endpoints import Endpoint, connect, parse
from pymachine.dockerapi.hijack import HijackedStream
from pymachine.dockerapi.proxies import Proxies, from_environment
from pymachine.dockerapi.tls import client_context

__all__ = [
    "Body",
    "ClientResponse",
    "ConnectFailed",
    "HTTPClient",
    "HTTPError",
    "Hijacked",
    "TimedOut",
    "TransferFailed",
]

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_IDLE_KEPT = 8
"""Idle connections kept for each server."""


class ClientResponse:
    """A response: its head, and the body as it arrives. Close it, or use it as an async context manager."""

    def __init__(
        self, client: HTTPClient, endpoint: Endpoint, connection: ClientConnection, head: h11.Response
    ) -> None:
        self.status = head.status_code
        self.headers = _headers(head)
        """Names in lower case."""
        self._client = client
        self._endpoint = endpoint
        self._connection: ClientConnection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.receive():
            yield piece

    async def receive(self) -> bytes:
        """The next bytes of the body, ``b""`` at its end. Raises `HTTPError`."""
        if self._connection is None:
            return b""
        piece = await self._connection.receive(self._client.timeout)
        if not piece:
            connection, self._connection = self._connection, None
            await self._client._give_back(self._endpoint, connection)
        return piece

    async def read(self, limit: int = 64 * 2**20) -> bytes:
        """The whole body; raises `TransferFailed` when it is longer than *limit* bytes."""
        pieces, size = [], 0
        while piece := await self.receive():
            size += len(piece)
            if size > limit:
                await self.close()
                raise TransferFailed(f"the answer is longer than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def json(self, limit: int = 64 * 2**20) -> Any:
        """The body as JSON; raises `TransferFailed` when it is not."""
        try:
            return json.loads(await self.read(limit))
        except ValueError:
            raise TransferFailed("the answer is not valid JSON") from None

    async def close(self) -> None:
        """Give the rest up. The connection is not used again unless all was read."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Hijacked(HijackedStream):
    """A connection whose HTTP exchange is over: raw bytes both ways (``read``, ``write``, ``write_eof``)."""

    def __init__(self, connection: ClientConnection, head: h11.Response | h11.InformationalResponse) -> None:
        super().__init__(connection.wire, connection.unread())
        self.status = head.status_code
        self.headers = _headers(head)
        self._connection = connection

    async def close(self) -> None:
        """Close both directions."""
        await self._connection.close()


class HTTPClient:
    """Sends requests and keeps idle connections. Used from one event loop.

    *base* is the server that targets beginning with ``/`` go to. *tls* makes ``tcp://`` mean TLS, and is used for
    ``https://`` too (default: the system's CAs). *timeout*: the longest silence in seconds, ``None`` for no limit.
    ``http://`` and ``https://`` go by the environment's proxies (*proxies*), engines (``tcp://``) never do.
    """

    def __init__(
        self,
        base: str = "",
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float | None = 60.0,
        connect_timeout: float = 30.0,
        headers: Mapping[str, str] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self.timeout = timeout
        self._proxies = from_environment() if proxies is None else proxies
        self._connect_timeout = connect_timeout
        self._tls = tls
        self._headers = {"User-Agent": "pymachine", **(headers or {})}
        self._base = parse(base, secure=tls is not None)[0] if base else None
        self._idle: dict[Endpoint, list[ClientConnection]] = {}

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> ClientResponse:
        """Send a request and give the response once its head is there. Raises `HTTPError`.

        A *body* that comes in pieces is sent chunked unless *headers* has a ``Content-Length``.
        """
        endpoint, target = self._locate(url)
        connection, head = await self._exchange(endpoint, method, target, headers or {}, body)
        if isinstance(head, h11.InformationalResponse):
            await connection.close()
            raise TransferFailed(f"{connection.name}: it switched protocols unasked")
        response = ClientResponse(self, endpoint, connection, head)
        if method == "HEAD" or head.status_code in (204, 304):
            await response.receive()
        return response

    async def hijack(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        upgrade: bool = True,
    ) -> Hijacked | ClientResponse:
        """As `request`, asking to take the connection over; an ordinary response when the server refuses."""
        endpoint, target = self._locate(url)
        asked = {"Connection": "Upgrade", "Upgrade": "tcp"} if upgrade else {}
        connection, head = await self._exchange(endpoint, method, target, {**asked, **(headers or {})}, body)
        if head.status_code in (101, 200):
            return Hijacked(connection, head)
        assert isinstance(head, h11.Response)
        return ClientResponse(self, endpoint, connection, head)

    async def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _locate(self, url: str) -> tuple[Endpoint, str]:
        if url.startswith("/"):
            if self._base is None:
                raise ValueError("a target without a server needs a client with a base address")
            return self._base, url
        endpoint, target = parse(url, secure=self._tls is not None)
        if url.startswith("http"):
            proxy = self._proxies.find(endpoint.host, endpoint.port, secure=endpoint.secure)
            endpoint = replace(endpoint, proxy=proxy)
        return endpoint, target

    async def _exchange(
        self, endpoint: Endpoint, method: str, target: str, headers: Mapping[str, str], body: Body | None
    ) -> tuple[ClientConnection, h11.Response | h11.InformationalResponse]:
        pairs = self._request_headers(endpoint, method, headers, body)
        if endpoint.proxy is not None and not endpoint.secure:
            target = f"http://{endpoint.authority}{target}"
            if endpoint.proxy.authorization:
                pairs.append(("Proxy-Authorization", endpoint.proxy.authorization))
        while True:
            connection = await self._take(endpoint)
            try:
                return connection, await connection.exchange(method, target, pairs, body, self.timeout)
            except TransferFailed:
                await connection.close()
                # The server may close an idle connection at any time, also just now. Not known is whether it
                # handled the request before, so only what may be done twice is tried again.
                replayable = method in _IDEMPOTENT and (body is None or isinstance(body, bytes))
                if not connection.used or not replayable:
                    raise
            except BaseException:
                await connection.close()
                raise

    def _request_headers(
        self, endpoint: Endpoint, method: str, headers: Mapping[str, str], body: Body | None
    ) -> list[tuple[str, str]]:
        merged = {name.lower(): (name, value) for name, value in {**self._headers, **headers}.items()}
        merged.setdefault("host", ("Host", endpoint.authority))
        if isinstance(body, bytes) or (body is None and method in ("POST", "PUT", "PATCH")):
            merged.setdefault("content-length", ("Content-Length", str(len(body or b""))))
        elif body is not None and "content-length" not in merged:
            merged.setdefault("transfer-encoding", ("Transfer-Encoding", "chunked"))
        return list(merged.values())

    async def _take(self, endpoint: Endpoint) -> ClientConnection:
        idle = self._idle.get(endpoint, [])
        while idle:
            connection = idle.pop()
            if connection.fresh:
                return connection
            await connection.close()
        return await self._connect(endpoint)

    async def _connect(self, endpoint: Endpoint) -> ClientConnection:
        name = endpoint.path or f"{endpoint.host}:{endpoint.port}"
        if endpoint.secure and self._tls is None:
            self._tls = client_context()
        try:
            async with asyncio.timeout(self._connect_timeout):
                return ClientConnection(await connect(endpoint, self._tls), name)
        except TimeoutError:
            raise TimedOut(f"{name}: no connection within {self._connect_timeout:g} seconds") from None
        except ssl.SSLCertVerificationError as error:
            raise ConnectFailed(f"{name}: its certificate is not accepted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise ConnectFailed(f"{name}: TLS failed: {error.reason or error}") from error
        except OSError as error:
            raise ConnectFailed(f"{name}: {_reason(error)}") from error

    async def _give_back(self, endpoint: Endpoint, connection: ClientConnection) -> None:
        idle = self._idle.setdefault(endpoint, [])
        if await connection.recycle() and len(idle) < _IDLE_KEPT:
            idle.append(connection)
        else:
            await connection.close()


def _reason(error: OSError) -> str:
    """The system's own words: asyncio's are "Connect call failed ('192.0.2.1', 5000)", and several of them in one."""
    several = re.match(r"Multiple exceptions: \[Errno (\d+)\]", str(error))
    number = int(several[1]) if several else error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def _headers(head: h11.Response | h11.InformationalResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
