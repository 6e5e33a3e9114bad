"""DNS messages: just what the embedded server reads and writes (RFC 1035, section 4). No input or output here."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

TYPE_A, TYPE_PTR, TYPE_AAAA, TYPE_ANY = 1, 12, 28, 255
CLASS_IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = 0, 1, 2, 3, 4
TTL = 60
"""Seconds that clients may keep an answer: containers come and go."""
_HEADER = struct.Struct("!6H")
_QR, _RA, _RD, _OPCODE = 0x8000, 0x0080, 0x0100, 0x7800
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Question:
    """A query's one question."""

    id: int
    flags: int
    name: str
    """Lower case, without the last dot."""
    kind: int
    raw: bytes
    """The question section as it came."""


def question(query: bytes) -> Question:
    """Read a query; raises `ValueError` for what is none (malformed, a response, several questions)."""
    if len(query) < _HEADER.size:
        raise ValueError("shorter than a header")
    identity, flags, questions, _, _, _ = _HEADER.unpack_from(query)
    if flags & (_QR | _OPCODE) or questions != 1:
        raise ValueError("not a standard query with one question")
    labels, position = [], _HEADER.size
    while length := query[position] if position < len(query) else -1:
        if length < 0 or length > 63 or position + length >= len(query):
            raise ValueError("malformed name")
        labels.append(query[position + 1 : position + 1 + length].decode("latin-1"))
        position += length + 1
    end = position + 5
    if end > len(query) or end - _HEADER.size > _MAX_NAME + 4:
        raise ValueError("malformed question")
    kind, _ = struct.unpack_from("!2H", query, position + 1)
    return Question(identity, flags, ".".join(labels).lower(), kind, query[_HEADER.size : end])


def response(asked: Question, code: int = NOERROR, answers: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """An answer to *asked*; *answers* are (type, data) for the name asked for."""
    flags = _QR | _RA | (asked.flags & _RD) | code
    parts = [_HEADER.pack(asked.id, flags, 1, len(answers), 0, 0), asked.raw]
    for kind, data in answers:
        # 0xC00C points back at the question's name (section 4.1.4).
        parts.append(struct.pack("!3HIH", 0xC00C, kind, CLASS_IN, TTL, len(data)) + data)
    return b"".join(parts)


def address(text: str) -> tuple[int, bytes]:
    """An A answer."""
    return TYPE_A, IPv4Address(text).packed


def pointer(name: str) -> tuple[int, bytes]:
    """A PTR answer."""
    labels = [label.encode()[:63] for label in name.split(".") if label]
    return TYPE_PTR, b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reversed_address(name: str) -> str | None:
    """The address of a name like ``2.0.0.10.in-addr.arpa``; ``None`` for other names."""
    head, dot, tail = name.partition(".in-addr.arpa")
    if not dot or tail:
        return None
    try:
        return str(IPv4Address(".".join(reversed(head.split(".")))))
    except ValueError:
        return None
