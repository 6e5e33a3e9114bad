"""Route netlink on a raw socket: messages, attributes, acknowledgements. One subject: the wire.

Names are the kernel's (``linux/netlink.h``, ``linux/rtnetlink.h``; netlink(7), rtnetlink(7)). What is said
over it is in ``links.py``. A general netlink library would cost this daemon about 75 ms of import time and
13 MiB of memory for the ten messages that it needs, which is why there is none.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200  # in the flags of an NLMSG_ERROR
NLMSGERR_ATTR_MSG = 1
NLA_TYPE_MASK = 0x3FFF

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE = 1 << 18


def attribute(kind: int, value: bytes) -> bytes:
    """One ``rtattr``: length, type, value, padded to four bytes."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An unsigned 32-bit attribute."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in *data* by type (the last of a repeated one wins)."""
    found: dict[int, bytes] = {}
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, position)
        if size < _ATTRIBUTE.size:
            break
        found[kind & NLA_TYPE_MASK] = data[position + _ATTRIBUTE.size : position + size]
        position += (size + 3) & ~3
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """One request. *ignore* lists error numbers that mean "already so"."""

    kind: int
    flags: int
    body: bytes
    what: str
    """For error messages: what was tried, such as ``make the bridge docker0``."""
    ignore: tuple[int, ...] = ()


class Netlink:
    """A netlink socket: of the namespace that the thread which opened it was in, wherever it is used."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *messages: Message) -> None:
        """Send all *messages* in one system call and wait for their acknowledgements, in order.

        Raises `OSError` for the first that failed (the kernel has then still tried the later ones).
        """
        first = self._sequence + 1
        parts = []
        for message in messages:
            self._sequence += 1
            flags = message.flags | NLM_F_REQUEST | NLM_F_ACK
            parts.append(_HEADER.pack(_HEADER.size + len(message.body), message.kind, flags, self._sequence, 0))
            parts.append(message.body)
        self._socket.send(b"".join(parts))
        waiting = dict(enumerate(messages, first))
        failure: OSError | None = None
        while waiting:
            for kind, flags, sequence, payload in self._receive():
                if kind == NLMSG_ERROR and sequence in waiting:
                    refused = _failure(flags, payload, waiting.pop(sequence))
                    failure = failure or refused
        if failure:
            raise failure

    def dump(self, kind: int, body: bytes, what: str) -> Iterator[bytes]:
        """The payloads of all objects that a ``RTM_GET…`` dump lists."""
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0)
        self._socket.send(header + body)
        found: list[bytes] = []
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_DONE:
                    return iter(found)
                if kind == NLMSG_ERROR and (failure := _failure(flags, payload, Message(0, 0, b"", what))):
                    raise failure
                found.append(payload)

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(_RECEIVE)
        position = 0
        while position + _HEADER.size <= len(data):
            size, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
            yield kind, flags, sequence, data[position + _HEADER.size : position + size]
            position += (size + 3) & ~3


def _failure(flags: int, payload: bytes, message: Message) -> OSError | None:
    code = -struct.unpack_from("=i", payload)[0]
    if code == 0 or code in message.ignore:
        return None
    detail = os.strerror(code)
    if flags & NLM_F_ACK_TLVS:
        skip = 4 + _HEADER.size
        if not flags & NLM_F_CAPPED:
            skip += struct.unpack_from("=I", payload, 4)[0] - _HEADER.size
        said = attributes(payload[(skip + 3) & ~3 :]).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
        detail = f"{detail} ({said})" if said else detail
    return OSError(code, f"cannot {message.what}: {detail}")
