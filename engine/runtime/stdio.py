"""The standard streams of one process: pipes or a terminal on one side, log and attached clients on the other.

Every chunk read from the process goes to the log at once, then to each client as one of Docker's stdio frames
(raw from a terminal). A client's socket that is full keeps the rest in the client's buffer, and until that is
empty nothing more is read from the process: it waits in write(2), as under Docker, and the shim's memory is bounded.
What clients send goes to standard input, and their sockets are left unread while that is full.
"""

from __future__ import annotations

import os
import time

from pymachine.engine.runtime import dev
from pymachine.engine.runtime.loop import HANG_UP, READ, WRITE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from pymachine.engine.runtime.logfile import LogWriter

CHUNK = 65536
STDOUT, STDERR = 1, 2
_PIPE_FLAGS = os.O_CLOEXEC
SHUT_WR = 1


class Client:
    """A connection that has some of the process's streams."""

    __slots__ = ("close_stdin", "events", "pending", "sock", "stdin", "streams")

    def __init__(self, sock: socket, *, stdin: bool, streams: tuple[int, ...], close_stdin: bool) -> None:
        self.sock, self.stdin, self.streams, self.close_stdin = sock, stdin, streams, close_stdin
        self.pending = b""
        self.events = READ

    @classmethod
    def of(cls, sock: socket, message: dict[str, Any]) -> Client:
        """The client that an attach or exec *message* makes of *sock*."""
        streams = tuple([number for number, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if message[name]])
        return cls(sock, stdin=message["stdin"], streams=streams, close_stdin=message["close_stdin"])


class Streams:
    """One process's standard streams."""

    def __init__(self, loop: Loop, log: LogWriter | None, *, tty: bool, held: bool = False) -> None:
        self._loop, self.log, self.tty = loop, log, tty
        self._sources: dict[int, int] = {}
        self._stdin, self._stdin_data, self._stdin_closing = -1, b"", False
        self._clients: list[Client] = []
        self._paused = self._held = held
        """Not reading: because a client is behind, or (held) because the first client is yet to be attached."""
        self._stdin_to_come = tty
        self.ended = False
        """Whether the process has ended: nothing is passed on any more."""

    # --- making them

    def open_pipes(self, *, stdin: bool, stdout: bool, stderr: bool) -> tuple[int, int, int]:
        """Make the pipes asked for; the process's ends, /dev/null for the others."""
        ends = [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)] * 3
        if stdin:
            ends[0], self._stdin = os.pipe2(_PIPE_FLAGS)
            os.set_blocking(self._stdin, False)
        for stream, wanted in ((STDOUT, stdout), (STDERR, stderr)):
            if wanted:
                source, ends[stream] = os.pipe2(_PIPE_FLAGS)
                self._add_source(source, stream)
        return ends[0], ends[1], ends[2]

    def adopt_terminal(self, master: int) -> None:
        """Take the terminal that the process made."""
        self._stdin, self._stdin_to_come = os.dup(master), False
        self._add_source(master, STDOUT)
        if self._stdin_data:
            self._loop.watch(self._stdin, WRITE, self._flush_stdin)

    def release(self) -> None:
        """Begin to read what was held."""
        self._held = False
        self._resume_if_possible()

    def _add_source(self, fd: int, stream: int) -> None:
        os.set_blocking(fd, False)
        self._sources[fd] = stream
        if not self._paused:
            self._watch_source(fd, READ)

    def _watch_source(self, fd: int, events: int) -> None:
        def ready(events: int) -> None:
            self._read(fd)

        self._loop.watch(fd, events, ready)

    # --- output

    def _read(self, fd: int) -> int:
        """Move one chunk; the number of bytes, 0 at the end, -1 when there is nothing now."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return -1
        except OSError:  # EIO: the terminal's other side is closed
            data = b""
        if not data:
            self._end_source(fd)
            return 0
        stream = self._sources[fd]
        if self.log is not None:
            try:
                self.log.write(stream, data, time.time_ns())
            except OSError:
                pass  # a full disk must not stop the container; what does not fit is lost
        self._give(stream, data)
        return len(data)

    def _give(self, stream: int, data: bytes) -> None:
        if not self._clients or self.ended:
            return
        if not self.tty:
            data = bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
        for client in list(self._clients):
            if stream in client.streams:
                self._send(client, data)

    def _send(self, client: Client, data: bytes) -> None:
        if client.pending:
            client.pending += data
            return
        try:
            sent = client.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        if sent < len(data):
            client.pending = data[sent:]
            self._watch_client(client, client.events | WRITE)
            self._set_paused(True)

    def _flush(self, client: Client) -> None:
        try:
            sent = client.sock.send(client.pending)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.pending = client.pending[sent:]
        if client.pending:
            return
        self._watch_client(client, client.events & ~WRITE)
        if self._is_done(client):
            self._drop(client)
        self._resume_if_possible()

    def _set_paused(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            for fd in self._sources:
                self._watch_source(fd, 0 if paused else READ)

    def _resume_if_possible(self) -> None:
        if self._paused and not self._held and not any(client.pending for client in self._clients):
            self._set_paused(False)

    def _end_source(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._sources[fd]
        os.close(fd)
        if not self._sources:
            for client in list(self._clients):
                if self._is_done(client):
                    self._drop(client)

    def _is_done(self, client: Client) -> bool:
        """Whether nothing more comes for *client*, nor is taken from it: a program may close its output and read on."""
        over = not self._sources and not self._stdin_to_come and not client.stdin
        return not client.pending and (self.ended or over)

    def drain(self) -> None:
        """The process has ended: take what its pipes still hold, whether clients keep up or not."""
        for fd in list(self._sources):
            while self._read(fd) > 0:
                pass

    def end(self) -> None:
        """Pass nothing more on: clients get their end once they have read what is theirs."""
        if self.ended:
            return
        self.ended = True
        self.close_stdin()
        for client in list(self._clients):
            if self._is_done(client):
                self._drop(client)
        if self._paused:
            self._set_paused(False)

    def close(self) -> None:
        """Close the process's side of everything."""
        for fd in list(self._sources):
            self._end_source(fd)
        self.end()

    @property
    def busy(self) -> bool:
        """Whether a client still has something to read."""
        return any(client.pending for client in self._clients)

    # --- clients

    def attach(self, client: Client, rest: bytes) -> None:
        """Add *client*; *rest* is what it has sent already."""
        self._clients.append(client)
        if self._is_done(client):
            self._drop(client)
            return
        self._watch_client(client, READ)
        if rest and client.stdin:
            self._write_stdin(rest)

    def _watch_client(self, client: Client, events: int) -> None:
        client.events = events
        if not events and not client.stdin:
            events = HANG_UP  # one that is held back isn't watched at all: its hang-up has to wait its turn
        self._loop.watch(client.sock.fileno(), events, lambda ready: self._client_ready(client, ready))

    def _client_ready(self, client: Client, ready: int) -> None:
        if ready & WRITE and client.pending:
            self._flush(client)
        if client.sock.fileno() < 0:
            return
        if client.events & READ and ready & (READ | HANG_UP):
            self._receive(client, ready)
        elif ready & HANG_UP:
            self._drop(client)

    def _receive(self, client: Client, ready: int) -> None:
        try:
            data = client.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            if client.stdin:
                self._write_stdin(data)
            return
        if client.stdin and client.close_stdin:
            self.close_stdin()
        client.stdin = False
        if ready & HANG_UP or self._is_done(client):
            self._drop(client)
        else:
            self._watch_client(client, client.events & ~READ)  # half closed: it may still be reading

    def _drop(self, client: Client) -> None:
        if client not in self._clients:
            return
        self._clients.remove(client)
        self._loop.forget(client.sock.fileno())
        client.sock.close()
        if client.stdin and client.close_stdin and not self.ended:
            self.close_stdin()
        self._resume_if_possible()

    # --- input

    def _write_stdin(self, data: bytes) -> None:
        if self._stdin < 0 and not self._stdin_to_come:
            return
        was_empty = not self._stdin_data
        self._stdin_data += data
        if self._stdin >= 0:
            self._flush_stdin(0)
        if self._stdin_data and was_empty:
            if self._stdin >= 0:
                self._loop.watch(self._stdin, WRITE, self._flush_stdin)
            self._hold_senders(True)

    def _flush_stdin(self, events: int) -> None:
        try:
            while self._stdin_data:
                self._stdin_data = self._stdin_data[os.write(self._stdin, self._stdin_data[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # the process has closed its standard input
            self._drop_stdin()
        if self._stdin >= 0:
            self._loop.forget(self._stdin)
        if self._stdin_closing:
            self._drop_stdin()
        if events:
            self._hold_senders(False)

    def _hold_senders(self, hold: bool) -> None:
        for client in list(self._clients):
            if client.stdin:
                self._watch_client(client, client.events & ~READ if hold else client.events | READ)

    def close_stdin(self) -> None:
        """End of file on standard input, after what is still to be written. A terminal has none."""
        if self.tty and not self.ended:
            return
        if self._stdin_data and not self.ended:
            self._stdin_closing = True
        else:
            self._drop_stdin()

    def _drop_stdin(self) -> None:
        if self._stdin >= 0:
            self._loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
            self._stdin_data = b""

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size; nothing without one."""
        if self.tty and self._stdin >= 0:
            dev.resize_terminal(self._stdin, rows, columns)
