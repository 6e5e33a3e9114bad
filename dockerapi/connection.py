"""One client's connection: HTTP/1.1 requests one after the other, each answered in full (RFC 9112).

h11 does the protocol; this module moves bytes between it, the wire and the handlers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

import h11

from pymachine.dockerapi.dispatch import Dispatcher, error_response
from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.dockerapi.hijack import run_hijack
from pymachine.dockerapi.limits import Limits
from pymachine.dockerapi.messages import RAW_STREAM, Hijack, Response
from pymachine.dockerapi.request_body import BodyEvent, RequestBody
from pymachine.dockerapi.versions import Version
from pymachine.dockerapi.wire import Wire

_log = logging.getLogger(__name__)

_BODILESS = frozenset({204, 304})
_STDIO_TYPES_SINCE: Version = (1, 42)
"""The API version from which the content type tells frames from a terminal's raw bytes."""


class Connection:
    """Serves one wire. ``busy`` while a request is handled; ``streaming`` while its end is up to the client."""

    def __init__(self, wire: Wire, dispatcher: Dispatcher, headers: dict[str, str], limits: Limits) -> None:
        self._wire = wire
        self._dispatcher = dispatcher
        self._headers = headers
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._closing = False
        self.busy = False
        self.streaming = False
        self.idle_since = time.monotonic()

    def finish(self) -> None:
        """Close after the request being handled; at once when idle."""
        self._closing = True
        if not self.busy:
            self._wire.close()

    async def run(self) -> None:
        """Serve until either side closes. Raises nothing but cancellation."""
        try:
            async with asyncio.timeout(self._limits.header_timeout):
                await self._wire.handshake()
            while await self._one_request():
                self.busy = False
                self.idle_since = time.monotonic()
        except ssl.SSLError as error:
            _log.info("TLS handshake refused: %s", error.reason or error)
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
        except (ConnectionError, TimeoutError):
            pass
        except asyncio.CancelledError:
            self._wire.abort()
            raise
        except Exception:
            _log.exception("a connection failed")
        await self._close()

    async def _close(self) -> None:
        """Close in the order that lets the client read everything sent, even if it is still sending."""
        try:
            async with asyncio.timeout(self._limits.linger):
                if not self._wire.at_eof:
                    await self._wire.write_eof()
                    while await self._wire.read():
                        pass
                self._wire.close()
                await self._wire.wait_closed()
        except TimeoutError:
            pass
        finally:
            self._wire.abort()

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer a malformed request, if an answer can still be sent."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        answer = error_response(InvalidArgument(f"malformed HTTP request: {error}"))
        answer.status = error.error_status_hint if 400 <= error.error_status_hint < 500 else 400
        answer.headers["Connection"] = "close"
        try:
            await self._send_whole(answer, "GET")
        except (ConnectionError, h11.LocalProtocolError):
            pass

    # receiving

    async def _one_request(self) -> bool:
        """Serve one request; false when the connection is to be closed."""
        head = await self._head()
        if not isinstance(head, h11.Request) or self._closing:
            return False
        self.busy = True
        body = RequestBody(self._body_event, _content_length(head))
        answer, version = await self._dispatcher.answer(head, body)
        if isinstance(answer, Hijack):
            await self._hijack(answer, head, body, version)
            return False
        if not await self._send(answer, head.method.decode("latin-1")):
            return False
        return await self._next_cycle(body)

    async def _head(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        loop = asyncio.get_running_loop()
        started = False
        async with asyncio.timeout(self._limits.idle_timeout) as timer:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if (started or self._wire.pending) and timer.when() is not None:
                    # Counted from the first byte on, however many pieces follow it.
                    timer.reschedule(min(timer.when() or 0, loop.time() + self._limits.header_timeout))
                self._http.receive_data(await self._wire.read())
                started = True
        return event

    async def _body_event(self) -> BodyEvent:
        if self._http.they_are_waiting_for_100_continue and self._http.our_state is h11.SEND_RESPONSE:
            await self._wire.write(_sent(self._http.send(h11.InformationalResponse(status_code=100, headers=[]))))
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._wire.read())
        except h11.RemoteProtocolError as error:
            if self._wire.at_eof:
                raise ConnectionResetError("the client went away in the middle of its request") from None
            raise InvalidArgument(f"malformed request body: {error}") from None
        if isinstance(event, h11.Data | h11.EndOfMessage):
            return event
        raise ConnectionResetError("the client went away in the middle of its request")

    async def _next_cycle(self, body: RequestBody) -> bool:
        """Make ready for the next request on this connection; false when it cannot be used again."""
        if self._closing or self._http.they_are_waiting_for_100_continue or not await self._discard(body):
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _discard(self, body: RequestBody) -> bool:
        """Read what the handler left of the body; false when that is too much or takes too long."""
        left = self._limits.drain_bytes
        try:
            async with asyncio.timeout(self._limits.linger):
                while left > 0 and not body.finished:
                    left -= len(await body.next_piece())
        except (TimeoutError, EngineError, ConnectionError):
            return False
        return body.finished

    # sending

    async def _send(self, answer: Response, method: str) -> bool:
        """Send *answer*; false when the client went away or the answer broke off."""
        if answer.stream is None:
            await self._send_whole(answer, method)
            return True
        if method == "HEAD" or answer.status in _BODILESS:
            await _finish(answer.stream)
            await self._send_whole(Response(answer.status, headers=answer.headers), method)
            return True
        return await self._send_stream(answer, answer.stream)

    def _response(self, answer: Response, extra: dict[str, str]) -> h11.Response:
        headers = {**self._headers, "Date": _date(), **extra, **answer.headers}
        if self._closing:
            headers["Connection"] = "close"
        pairs = [(name.encode("ascii"), _header_value(value)) for name, value in headers.items()]
        return h11.Response(status_code=answer.status, headers=pairs, reason=_reason(answer.status))

    async def _send_whole(self, answer: Response, method: str) -> None:
        bodiless = answer.status in _BODILESS
        head = self._response(answer, {} if bodiless else {"Content-Length": str(len(answer.body))})
        data = _sent(self._http.send(head))
        if answer.body and not bodiless and method != "HEAD":
            data += _sent(self._http.send(h11.Data(data=answer.body)))
        data += _sent(self._http.send(h11.EndOfMessage()))
        await self._wire.write(data)

    async def _send_stream(self, answer: Response, pieces: AsyncIterator[bytes]) -> bool:
        self.streaming = True
        pump = asyncio.ensure_future(self._pump(self._response(answer, {}), pieces))
        gone = asyncio.ensure_future(self._wire.wait_gone())
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not pump.done():
                pump.cancel()
            await asyncio.wait({pump, gone})
            self.streaming = False
        if pump.cancelled():
            return False
        if (error := pump.exception()) is not None:
            if not isinstance(error, ConnectionError):
                _log.error("a streaming answer broke off", exc_info=error)
            self._wire.abort()  # no last chunk: the client must see that the answer is not whole
            return False
        return True

    async def _pump(self, head: h11.Response, pieces: AsyncIterator[bytes]) -> None:
        try:
            await self._wire.write(_sent(self._http.send(head)))
            async for piece in pieces:
                if piece:
                    await self._wire.write(_sent(self._http.send(h11.Data(data=piece))))
            await self._wire.write(_sent(self._http.send(h11.EndOfMessage())))
        finally:
            await _finish(pieces)

    async def _hijack(self, hijack: Hijack, head: h11.Request, body: RequestBody, version: Version) -> None:
        if not await self._discard(body):
            return
        content_type = hijack.content_type if version >= _STDIO_TYPES_SINCE else RAW_STREAM
        headers = {**self._headers, "Content-Type": content_type}
        status = "200 OK"
        if any(name == b"upgrade" for name, _ in head.headers):
            status = "101 UPGRADED"
            headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        first, _ = self._http.trailing_data
        self.streaming = True
        await self._wire.write("\r\n".join(lines).encode("latin-1"))
        await run_hijack(hijack, self._wire, first)


def _content_length(head: h11.Request) -> int | None:
    for name, value in head.headers:
        if name == b"content-length":
            return int(value)
    return None


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def _header_value(value: str) -> bytes:
    try:
        return value.encode("ascii")
    except UnicodeEncodeError:
        return value.encode("utf-8")


def _sent(data: bytes | None) -> bytes:
    return data or b""


async def _finish(pieces: AsyncIterator[bytes]) -> None:
    """Run an iterator's cleaning up, when it has any."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


# Not strftime's names, which follow the locale; nor email.utils, which costs megabytes to import.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_date_cache = (0, "")


def _date() -> str:
    """The Date header's value, made once a second."""
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        moment = time.gmtime(now)
        day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]
        _date_cache = (now, time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", moment))
    return _date_cache[1]
