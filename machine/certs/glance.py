"""A certificate's end, names and public key, read at a glance: `ls` and `env` look at every certificate, and importing
cryptography alone takes longer than they may.

Only as much of DER (X.690) as leads to these fields of RFC 5280, section 4.1. Nothing is verified: for decisions that
trust depends on there is `pymachine.machine.certs.server`.
"""

from __future__ import annotations

import binascii
import functools
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pymachine.machine.errors import CertificateError, MachineError
from pymachine.store.schema import read_file

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_SEQUENCE, _OCTETS, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x04, 0x17, 0x18
_VERSION, _EXTENSIONS, _DNS_NAME, _IP_ADDRESS = 0xA0, 0xA3, 0x82, 0x87
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
"""The object identifier 2.5.29.17."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a certificate says of itself."""

    end: datetime
    """When it expires, UTC."""
    names: frozenset[str]
    """Its alternative names: DNS names in lower case, and addresses as `ipaddress` writes them."""
    public_key: bytes
    """DER; two editions of one CA have the same."""
    serial: str
    """The serial number, hexadecimal."""


def glance(path: Path) -> Glance | None:
    """What the certificate file *path* says; ``None`` when there is none. Raises `CertificateError` for a damaged one,
    `MachineError` for one that cannot be read."""
    try:
        content = read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return _parse(content)
    except (ValueError, IndexError, StopIteration, RuntimeError):
        raise CertificateError(f"{path} is not a certificate") from None


def host_name(host: str) -> str:
    """*host* as `Glance.names` has it."""
    try:
        return str(ipaddress.ip_address(host.split("%", 1)[0]))
    except ValueError:
        return host.lower()


@functools.lru_cache(maxsize=64)
def _parse(pem: bytes) -> Glance:
    """Kept, since a store's machines have the same CA and client certificate."""
    start = pem.index(_BEGIN) + len(_BEGIN)
    der = binascii.a2b_base64(pem[start : pem.index(_END, start)])
    (_, certificate), *_ = _elements(der)
    (_, body), *_ = _elements(certificate)
    fields = [(tag, value) for tag, value in _elements(body) if tag != _VERSION]
    serial, _algorithm, _issuer, validity, _subject, key, *rest = fields
    extensions = next((value for tag, value in rest if tag == _EXTENSIONS), b"")
    _, end = list(_elements(validity[1]))
    return Glance(_time(*end), frozenset(_names(extensions)), key[1], serial[1].hex())


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of a DER encoding: tag and content (X.690, 8.1 and 10.1)."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length >= 0x80:
            width = length & 0x7F
            if not 0 < width <= 4:
                raise ValueError("no definite length")
            length, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + length > len(data):
            raise ValueError("cut short")
        yield tag, data[at : at + length]
        at += length


def _time(tag: int, value: bytes) -> datetime:
    """RFC 5280, 4.1.2.5: years before 2050 have two digits, which count from 1950."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    if len(text) != 15 or not text.endswith("Z"):
        raise ValueError("no time")
    # By hand: strptime takes 5 ms to import.
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)


def _names(extensions: bytes) -> Iterator[str]:
    """The alternative names (RFC 5280, 4.2.1.6) that are DNS names or addresses."""
    for _, sequence in _elements(extensions):
        for _, extension in _elements(sequence):
            (_, identifier), *_, (tag, value) = _elements(extension)
            if identifier != _ALTERNATIVE_NAMES or tag != _OCTETS:
                continue
            ((_, names),) = _elements(value)
            for kind, name in _elements(names):
                if kind == _DNS_NAME:
                    yield name.decode("ascii").lower()
                elif kind == _IP_ADDRESS:
                    yield str(ipaddress.ip_address(name))
