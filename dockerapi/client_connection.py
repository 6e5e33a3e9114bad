"""A client's side of one connection: send a request, receive its response, and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import suppress

import h11

from pymachine.dockerapi.wire import Wire

Body = bytes | AsyncIterable[bytes]

_HEADER_BYTES = 256 * 1024


class HTTPError(Exception):
    """A request failed before or within its response. ``str(error)`` is one clear line.

    ::

        HTTPError
        ├── ConnectFailed    no connection could be made (refused, name unknown, certificate not accepted)
        ├── TimedOut         the server was silent for longer than allowed
        └── TransferFailed   the connection broke, or what came over it is not HTTP
    """


class ConnectFailed(HTTPError):
    """No connection could be made."""


class TimedOut(HTTPError):
    """The server was silent for longer than allowed."""


class TransferFailed(HTTPError):
    """The connection broke, or what came over it is not HTTP."""


class ClientConnection:
    """One connection. Not for several requests at a time."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.name = name
        self.used = False
        """Whether it has served a request before (the server may then have closed it meanwhile)."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADER_BYTES)
        self._sender: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> bool:
        """Whether nothing has arrived on it: no end, and no bytes nobody asked for."""
        return not self.wire.at_eof and not self.wire.pending and not self.wire.peer_gone

    async def exchange(
        self, method: str, target: str, headers: list[tuple[str, str]], body: Body | None, timeout: float | None
    ) -> h11.Response | h11.InformationalResponse:
        """Send a request and receive the head of its response (``101`` when the server switches)."""
        request = h11.Request(method=method, target=target, headers=headers)
        try:
            async with asyncio.timeout(timeout):
                await self._send_start(request, body)
                return await self._receive_head()
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {timeout:g} seconds") from None
        except h11.RemoteProtocolError as error:
            self._raise_source_error()
            raise TransferFailed(f"{self.name}: {_broken(error, self.wire)}") from error
        except (ConnectionError, h11.LocalProtocolError) as error:
            self._raise_source_error()
            raise TransferFailed(f"{self.name}: {error}") from error

    def _raise_source_error(self) -> None:
        """What the body's source raised, if it did, is the real reason of a failed exchange."""
        if self._sender is not None and self._sender.done() and not self._sender.cancelled():
            self._sender.result()

    async def _send_start(self, request: h11.Request, body: Body | None) -> None:
        data = self._http.send(request) or b""
        if body is None or isinstance(body, bytes):
            if body:
                data += self._http.send(h11.Data(data=body)) or b""
            data += self._http.send(h11.EndOfMessage()) or b""
            await self.wire.write(data)
        else:
            await self.wire.write(data)
            # Sent beside receiving: a server may refuse long before it has all of it.
            self._sender = asyncio.ensure_future(self._send_body(body))

    async def _send_body(self, body: AsyncIterable[bytes]) -> None:
        try:
            async for piece in body:
                if piece:
                    await self.wire.write(self._http.send(h11.Data(data=piece)) or b"")
            await self.wire.write(self._http.send(h11.EndOfMessage()) or b"")
        except ConnectionError:
            pass  # the receiving side sees it too, perhaps after a response that says why
        except BaseException:
            self.wire.abort()
            raise

    async def _receive_head(self) -> h11.Response | h11.InformationalResponse:
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    return event
                continue
            raise ConnectionResetError("the server closed the connection without an answer")

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.wire.read())
        return event

    async def receive(self, timeout: float | None) -> bytes:
        """The next bytes of the response's body, ``b""`` at its end."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    event = await self._event()
                    if not isinstance(event, h11.Data):
                        break
                    if event.data:
                        return bytes(event.data)
        except TimeoutError:
            raise TimedOut(f"{self.name}: nothing arrived for {timeout:g} seconds") from None
        except h11.RemoteProtocolError as error:
            raise TransferFailed(f"{self.name}: {_broken(error, self.wire)}") from error
        return b""

    def unread(self) -> bytes:
        """What arrived after the response's head and was not read (a hijacked connection's first bytes)."""
        return self._http.trailing_data[0]

    async def recycle(self) -> bool:
        """Make ready for another request; false when the connection cannot be used again."""
        if self._sender is not None and not self._sender.done():
            return False
        self._sender = None
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.used = True
        return self.fresh

    async def close(self) -> None:
        """Close at once."""
        if self._sender is not None and not self._sender.done():
            self._sender.cancel()
            with suppress(asyncio.CancelledError):
                await self._sender
        self.wire.close()


def _broken(error: h11.RemoteProtocolError, wire: Wire) -> str:
    return "the connection broke off" if wire.at_eof else f"what it sent is not HTTP: {error}"
