"""A connection handed over to a handler (attach, exec): raw bytes both ways until both have closed."""

from __future__ import annotations

import asyncio
import logging

from pymachine.dockerapi.messages import Hijack
from pymachine.dockerapi.wire import Wire

_log = logging.getLogger(__name__)

_GONE_CHECK = 2.0
"""Seconds between looks whether a client that sends no more is still there."""


class HijackedStream:
    """Implements `pymachine.dockerapi.messages.Stream`: the wire, after the bytes that came with the head."""

    def __init__(self, wire: Wire, first: bytes) -> None:
        self._wire = wire
        self._first = first

    async def read(self, limit: int = 65536) -> bytes:
        if self._first:
            data, self._first = self._first[:limit], self._first[limit:]
            return data
        return await self._wire.read(limit)

    async def write(self, data: bytes) -> None:
        if data:
            await self._wire.write(data)

    async def write_eof(self) -> None:
        await self._wire.write_eof()


async def run_hijack(hijack: Hijack, wire: Wire, first: bytes) -> None:
    """Run the handler on the connection until it is done, or the client has closed it altogether."""
    runner = asyncio.ensure_future(hijack.run(HijackedStream(wire, first)))
    watcher = asyncio.ensure_future(_client_gone(wire))
    try:
        await asyncio.wait({runner, watcher}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watcher.cancel()
        if not runner.done():
            runner.cancel()
        await asyncio.wait({runner, watcher})
    if not runner.cancelled() and (error := runner.exception()) is not None and not isinstance(error, ConnectionError):
        _log.error("a hijacked connection failed", exc_info=error)


async def _client_gone(wire: Wire) -> None:
    """Wait until the client has closed both directions. One that has only ended its input still reads."""
    await wire.wait_gone()
    while True:
        await asyncio.sleep(_GONE_CHECK)
        if wire.peer_gone:
            return
