"""What a handler is given and what it answers: requests, responses, and the raw stream after a hijack.

No input or output happens here: the server (``server.py``) reads and writes; these are the values between.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

from pymachine.dockerapi.errors import InvalidArgument

MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
"""Content type of stdout and stderr in frames (API 1.42+)."""
RAW_STREAM = "application/vnd.docker.raw-stream"
"""Content type of a terminal's stream (API 1.42+), and of every stream before."""


class Query:
    """A request's query parameters, with the Engine API's readings of booleans, numbers and lists."""

    def __init__(self, raw: str) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(raw, keep_blank_values=True):
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The first value of *name*, or *default*."""
        return self._values.get(name, [default])[0]

    def all(self, name: str) -> list[str]:
        """Every value of a repeated parameter, in order."""
        return list(self._values.get(name, []))

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean as clients send it: ``1``/``0``, ``true``/``False`` (docker-py), or present and empty."""
        value = self._values.get(name, [None])[0]
        if value is None:
            return default
        return value.strip().lower() not in ("", "0", "no", "false", "none")

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number; raises `InvalidArgument` naming the parameter when it is not one."""
        value = self._values.get(name, [""])[0]
        if value == "":
            return default
        try:
            return int(value)
        except ValueError:
            raise InvalidArgument(f"invalid value for query parameter {name}: {value!r} is not a number") from None


class Body(Protocol):
    """A request's body as it arrives."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self, limit: int) -> bytes:
        """All of it; raises `InvalidArgument` when longer than *limit* bytes."""
        ...


@dataclass(slots=True)
class Request:
    """One API request. ``path`` has no version prefix; ``version`` is the one asked for, or the newest."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Body
    version: tuple[int, int]
    params: Mapping[str, str] = field(default_factory=dict)
    """What the route's ``{name}`` placeholders matched, percent-decoded."""

    async def json(self, *, limit: int = 4 * 2**20) -> Any:
        """The body as JSON; ``None`` for an empty body. Raises `InvalidArgument` when it is not JSON."""
        data = await self.body.read(limit)
        if not data.strip():
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise InvalidArgument(f"the request body is not valid JSON: {error}") from None

    async def json_object(self, *, limit: int = 4 * 2**20) -> dict[str, Any]:
        """The body as a JSON object, ``{}`` for an empty one; raises `InvalidArgument` for anything else."""
        value = await self.json(limit=limit)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidArgument("the request body must be a JSON object")
        return value


class Stream(Protocol):
    """The connection's two raw byte streams after a hijack."""

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes from the client; ``b""`` once it has closed its sending side."""
        ...

    async def write(self, data: bytes) -> None:
        """Send *data*, waiting while the client is slow. Raises `ConnectionError` when it has gone."""
        ...

    async def write_eof(self) -> None:
        """Close our sending side (half close)."""
        ...


@dataclass(slots=True)
class Response:
    """An ordinary answer: bytes known at once, or (``stream``) pieces sent as they come, chunked.

    Headers go out before the first piece of ``stream`` is asked for, so a client sees them at once.
    The iterator is closed (``aclose``) when the client goes away.
    """

    status: int = 200
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Hijack:
    """Take the connection over (attach, exec): ``101 UPGRADED`` when asked for with ``Upgrade: tcp``,
    otherwise ``200`` with a raw body; then *run* has the stream, and the connection closes after it."""

    run: Callable[[Stream], Awaitable[None]]
    content_type: str = RAW_STREAM


Answer = Response | Hijack
Handler = Callable[[Request], Awaitable[Answer]]


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """*value* as a JSON answer."""
    return Response(status, to_json(value) + b"\n", headers={"Content-Type": "application/json", **(headers or {})})


def to_json(value: Any) -> bytes:
    """*value* as compact JSON. Half a surrogate pair (an image's label may hold one) becomes a question mark."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def empty(status: int = 204) -> Response:
    """An answer with no body."""
    return Response(status)


def json_lines(values: AsyncIterator[Any]) -> Response:
    """A stream of JSON objects, one a line (events, pull progress)."""

    async def lines() -> AsyncIterator[bytes]:
        async for value in values:
            yield to_json(value) + b"\r\n"

    return Response(stream=lines(), headers={"Content-Type": "application/json"})
