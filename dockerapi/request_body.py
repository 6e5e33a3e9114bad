"""A request's body, read from the connection as the handler asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import h11

from pymachine.dockerapi.errors import InvalidArgument

BodyEvent = h11.Data | h11.EndOfMessage


class RequestBody:
    """Implements `pymachine.dockerapi.messages.Body`. Nothing is read ahead: the socket's buffers fill, and
    the client waits (back pressure)."""

    def __init__(self, receive: Callable[[], Awaitable[BodyEvent]], declared: int | None) -> None:
        self._receive = receive
        self._declared = declared
        self._finished = False
        self.broken = False
        """Whether the client went away before all of it had arrived."""

    @property
    def finished(self) -> bool:
        """Whether all of it has been read."""
        return self._finished

    async def next_piece(self) -> bytes:
        """The next bytes, ``b""`` at the end. Raises `ConnectionError` when the client goes away in between."""
        while not self._finished:
            try:
                event = await self._receive()
            except ConnectionError:
                self.broken = True
                raise
            if isinstance(event, h11.EndOfMessage):
                self._finished = True
            elif event.data:
                return bytes(event.data)
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.next_piece():
            yield piece

    async def read(self, limit: int) -> bytes:
        """All of it; raises `InvalidArgument` when longer than *limit* bytes."""
        if self._declared is not None and self._declared > limit:
            raise InvalidArgument(f"request body too large: {self._declared} bytes, at most {limit} are accepted")
        pieces, size = [], 0
        while piece := await self.next_piece():
            size += len(piece)
            if size > limit:
                raise InvalidArgument(f"request body too large: at most {limit} bytes are accepted")
            pieces.append(piece)
        return b"".join(pieces)
