"""Messages between daemon, spawner, shim and the container's first process.

On stream sockets a message is its length in 4 bytes, big endian, and a marshalled value. ``marshal`` because it
is in C and built in: the JSON module would cost each shim more memory than all else it does. It is not safe for
hostile data; both ends of these sockets are ours (a socket pair, or a socket that only root may open).
Version 2 of the format is the same in every Python 3.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

_FORMAT = 2
_HEADER = 4
MAX_MESSAGE = 64 * 2**20
SOL_SOCKET, SCM_RIGHTS, MSG_CMSG_CLOEXEC = 1, 1, 0x40000000


def pack(message: Any) -> bytes:
    """*message* as bytes for a stream socket."""
    body = marshal.dumps(message, _FORMAT)
    return len(body).to_bytes(_HEADER, "big") + body


def body_size(header: bytes) -> int:
    """The number of bytes that follow *header*; `ValueError` when it can't be a message."""
    size = int.from_bytes(header, "big")
    if size > MAX_MESSAGE:
        raise ValueError(f"a message of {size} bytes is too long")
    return size


def unpack(body: bytes) -> Any:
    """The message in *body* (without its length)."""
    return marshal.loads(body)


class Inbox:
    """Cuts messages out of a stream's bytes."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self._data += data

    def next(self) -> Any:
        """The next whole message, ``None`` if there is none yet."""
        if len(self._data) < _HEADER:
            return None
        end = _HEADER + body_size(self._data[:_HEADER])
        if len(self._data) < end:
            return None
        body, self._data = self._data[_HEADER:end], self._data[end:]
        return unpack(body)

    def rest(self) -> bytes:
        """The bytes after the last message: what a client sent behind its request."""
        data, self._data = self._data, b""
        return data


def receive(connection: socket) -> Any:
    """Wait for one message; ``None`` when the other end has closed."""
    header = _exactly(connection, _HEADER)
    if header is None:
        return None
    body = _exactly(connection, body_size(header))
    return None if body is None else unpack(body)


def _exactly(connection: socket, size: int) -> bytes | None:
    parts = []
    while size:
        part = connection.recv(min(size, 2**20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def send_packet(connection: socket, message: Any, descriptor: int | None = None) -> None:
    """One packet on a SOCK_SEQPACKET socket, with a descriptor where given."""
    rights = [] if descriptor is None else [(SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))]
    connection.sendmsg([marshal.dumps(message, _FORMAT)], rights)


def receive_packet(connection: socket) -> tuple[Any, int | None]:
    """One packet and the descriptor that came with it; ``(None, None)`` when the other end has closed."""
    try:
        data, rights, _, _ = connection.recvmsg(65536, 64, MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # Told once, before what is queued, when the other end closed with something of ours unread.
        data, rights, _, _ = connection.recvmsg(65536, 64, MSG_CMSG_CLOEXEC)
    descriptors = [
        int.from_bytes(payload[at : at + 4], sys.byteorder)
        for level, kind, payload in rights
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS)
        for at in range(0, len(payload) - 3, 4)
    ]
    for extra in descriptors[1:]:
        os.close(extra)
    return (unpack(data) if data else None), (descriptors[0] if descriptors else None)
