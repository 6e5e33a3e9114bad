"""The shim's end of the channel to a process that is being set up (drawn in `pymachine.engine.runtime.launch`)."""

from __future__ import annotations

import _socket
import os

from pymachine.engine.runtime import wire
from pymachine.engine.runtime.loop import READ, Loop
from pymachine.engine.runtime.program import NOT_STARTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pymachine.engine.runtime.stdio import Streams

GROUPED, GO = {"grouped": True}, {"go": True}


def prefix_of(stage: str) -> str:
    """How the message about a failed start begins; *stage* is ``create`` or ``exec``."""
    return f"OCI runtime {stage} failed: unable to start container process"


class Channel:
    """Collects what the new process tells until its program runs or it has failed, then calls *ended* once.

    *ended* gets ``{"exec": True, "warnings": [...]}``, or ``{"error", "code"}``.
    """

    __slots__ = ("_ended", "_loop", "_outcome", "_sock", "_stage", "_streams", "theirs")

    def __init__(self, loop: Loop, streams: Streams, stage: str, ended: Callable[[dict[str, Any]], None]) -> None:
        self._loop, self._streams, self._stage, self._ended = loop, streams, stage, ended
        self._sock, self.theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        self._outcome: dict[str, Any] = {}

    def watch(self) -> None:
        """The process has been forked: close its end here and listen."""
        self.theirs.close()
        self._loop.watch(self._sock.fileno(), READ, self._receive)

    def grouped(self) -> None:
        """Tell the process that it is in its control group."""
        self._send(GROUPED)

    def go(self) -> None:
        """Let the process go on to its program."""
        self._send(GO)

    def _send(self, message: dict[str, bool]) -> None:
        try:
            wire.send_packet(self._sock, message)
        except OSError:
            pass  # it has failed already, and says why

    def finish(self) -> None:
        """The process has ended: hear what it still said."""
        self._receive(0)

    def close(self) -> None:
        """Listen no more, without calling anybody."""
        if self._sock.fileno() >= 0:
            self._loop.forget(self._sock.fileno())
            self._sock.close()

    def _receive(self, events: int) -> None:
        while self._sock.fileno() >= 0:
            try:
                message, descriptor = wire.receive_packet(self._sock)
            except BlockingIOError:
                return
            if message is None:
                self.close()
                self._ended(self._result())
                return
            if descriptor is not None:
                self._take_terminal(descriptor)
            self._outcome.update(message)

    def _take_terminal(self, master: int) -> None:
        if "console" in self._outcome:
            os.close(master)
        else:
            self._streams.adopt_terminal(master)

    def _result(self) -> dict[str, Any]:
        if "error" in self._outcome:
            return {"error": self._outcome["error"], "code": self._outcome["code"]}
        if "exec" not in self._outcome:
            message = f"{prefix_of(self._stage)}: its process died early (out of memory?): unknown"
            return {"error": message, "code": NOT_STARTED}
        return {"exec": True, "warnings": self._outcome["warnings"]}
