"""A connection as two byte streams that close on their own: plain or TLS, with back pressure both ways."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from typing import cast

from pymachine.dockerapi.tls_session import TLSSession

READ_HIGH = 256 * 1024
"""Received bytes that may wait before the peer is made to wait."""
WRITE_HIGH = 256 * 1024
"""Bytes not yet sent before the writer is made to wait."""


class Wire(asyncio.Protocol):
    """One connection. Read and written by one task each; `wait_gone` may be used by a third.

    *on_made* is called with the wire when the connection is there (for TLS: before its handshake).
    """

    def __init__(
        self, on_made: Callable[[Wire], None] | None = None, *, tls: Callable[[], TLSSession] | None = None
    ) -> None:
        self._on_made = on_made
        self._make_tls = tls
        self._tls: TLSSession | None = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._buffer = bytearray()
        self._eof = False
        self._lost = False
        self._error: Exception | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._waiters: set[asyncio.Future[None]] = set()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        peer = self._transport.get_extra_info("socket")
        if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._make_tls is not None:
            self._tls = self._make_tls()
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
        self._buffer += data
        if len(self._buffer) > READ_HIGH and not self._reading_paused and not self._lost:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def _decrypt(self, tls: TLSSession, data: bytes) -> bytes:
        plain = b""
        try:
            plain = tls.feed(data)
        except ssl.SSLError as error:
            self._error = error
            self._eof = True
        if outgoing := tls.outgoing():
            self._transport.write(outgoing)
        if self._error is not None:
            self._transport.close()
        self._eof = self._eof or tls.peer_closed
        return plain

    def eof_received(self) -> bool:
        self._eof = True
        if self._tls is not None and not self._tls.peer_closed:
            try:
                self._tls.feed_eof()
            except ssl.SSLError as error:
                self._error = error
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._eof = True
        self._error = self._error or exc
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _changed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    # the user's side

    async def handshake(self) -> None:
        """Wait for TLS to be established. Raises `ssl.SSLError`, or `ConnectionError` when the peer has gone."""
        if self._tls is None:
            return
        if not self._transport.is_closing() and self._tls.object.server_side is False:
            self._tls.begin()
            self._transport.write(self._tls.outgoing())
        while not self._tls.established:
            if self._error is not None:
                raise self._error
            if self._eof:
                raise ConnectionError("the connection was closed during the TLS handshake")
            await self._changed()

    async def start_tls(self, session: TLSSession) -> None:
        """Speak TLS from here on (after a proxy has connected us). Raises as `handshake` does."""
        self._tls = session
        received = bytes(self._buffer)
        self._buffer.clear()
        if received:
            self.data_received(received)
        await self.handshake()

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; ``b""`` once the peer has closed its sending side or the connection is lost."""
        while not self._buffer:
            if self._eof:
                return b""
            await self._changed()
        if len(self._buffer) <= limit:
            data = bytes(self._buffer)
            self._buffer.clear()
        else:
            data = bytes(self._buffer[:limit])
            del self._buffer[:limit]
        if self._reading_paused and len(self._buffer) < READ_HIGH // 2 and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send *data*, waiting while much is unsent. Raises `ConnectionError` when the connection is lost."""
        if self._lost or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed") from self._error
        try:
            self._transport.write(self._tls.encrypt(data) if self._tls is not None else data)
        except ssl.SSLError as error:
            raise ConnectionResetError(f"TLS: {error}") from error
        while self._writing_paused and not self._lost:
            await self._changed()
        if self._lost:
            raise ConnectionResetError("the connection was lost") from self._error

    async def write_eof(self) -> None:
        """Close our sending side."""
        if self._lost or self._transport.is_closing():
            return
        if self._tls is not None:
            self._transport.write(self._tls.close())
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    async def wait_gone(self) -> None:
        """Wait until the peer has closed its sending side or the connection is lost.

        Not noticed while received bytes wait unread: then it is the reader that will find the end.
        """
        while not self._lost and not (self._eof and not self._buffer):
            await self._changed()

    @property
    def at_eof(self) -> bool:
        """Whether the peer sends no more and everything has been read."""
        return self._eof and not self._buffer

    @property
    def pending(self) -> bool:
        """Whether received bytes wait to be read."""
        return bool(self._buffer)

    @property
    def peer_gone(self) -> bool:
        """Whether the peer has closed both directions, as far as the kernel knows (certain for unix sockets)."""
        if self._lost or self._transport.is_closing():
            return True
        peer = self._transport.get_extra_info("socket")
        if peer is None or peer.fileno() < 0:
            return True
        poller = select.poll()
        poller.register(peer.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poller.poll(0))

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS connection's facts, ``None`` without TLS."""
        return self._tls.object if self._tls is not None else None

    def close(self) -> None:
        """Close once everything written has been sent."""
        if not self._lost and not self._transport.is_closing():
            if self._tls is not None and self._tls.established:
                self._transport.write(self._tls.close())
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if not self._lost:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed and everything sent."""
        while not self._lost:
            await self._changed()
