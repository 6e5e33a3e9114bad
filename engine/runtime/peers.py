"""The shim's connections: its socket, who has connected, and the messages on each connection."""

from __future__ import annotations

import _socket
import os

from pymachine.engine.runtime import record, wire
from pymachine.engine.runtime.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Peer:
    """A connection whose purpose is control, or not yet known."""

    __slots__ = ("inbox", "is_control", "sock")

    def __init__(self, sock: _socket.socket, *, is_control: bool) -> None:
        self.sock, self.is_control, self.inbox = sock, is_control, wire.Inbox()

    def send(self, message: Any) -> None:
        """Send *message*. One that has gone, or reads so little that its socket is full, is not waited for."""
        try:
            self.sock.sendall(wire.pack(message))
        except OSError:
            pass


class Peers:
    """All connections that talk in messages; *serve* gets each message, *lost* each that has gone."""

    def __init__(self, loop: Loop, serve: Callable[[Peer, dict[str, Any]], None], lost: Callable[[Peer], None]) -> None:
        self._loop, self._handle, self._lost = loop, serve, lost
        self._peers: list[Peer] = []
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def listen(self) -> None:
        """Open the socket in the working directory.

        By a relative name: ``sun_path`` has room for 108 bytes, and a bundle's path may be longer.
        """
        try:
            os.unlink(record.SOCKET)
        except FileNotFoundError:
            pass
        mask = os.umask(0o177)
        try:
            self._listener.bind(record.SOCKET)
        finally:
            os.umask(mask)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), READ, self._accept)

    def close(self) -> None:
        """Take no more connections."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()

    def add(self, sock: _socket.socket, *, is_control: bool) -> Peer:
        """Talk to *sock*."""
        sock.setblocking(False)
        peer = Peer(sock, is_control=is_control)
        self._peers.append(peer)
        self._loop.watch(sock.fileno(), READ, lambda events: self._receive(peer))
        return peer

    def release(self, peer: Peer) -> None:
        """Leave the connection of *peer* to somebody else."""
        self._peers.remove(peer)
        self._loop.forget(peer.sock.fileno())

    def drop(self, peer: Peer) -> None:
        """Close the connection of *peer*."""
        self.release(peer)
        peer.sock.close()

    def tell(self, event: dict[str, Any]) -> None:
        """Send *event* to all control connections."""
        for peer in self._peers:
            if peer.is_control:
                peer.send(event)

    def _accept(self, events: int) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined] # not in the type stubs
        except OSError:
            return
        self.add(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd), is_control=False)

    def _receive(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(peer)  # before it is closed: one that only ended its sending may still be told why
            self.drop(peer)
            return
        peer.inbox.feed(data)
        try:
            while peer in self._peers and (message := peer.inbox.next()) is not None:
                self._handle(peer, message)
        except (LookupError, TypeError, ValueError, AttributeError):
            if peer in self._peers:  # it talks nonsense, or another version's language
                self._lost(peer)
                self.drop(peer)
