"""Certificates and keys on disk: private, atomic, and never half of a pair.

Two files cannot change by one rename. So a new pair is first written whole to one pending file; whoever finds that
file after a crash finishes the work (`recover`).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pymachine.machine.errors import CertificateError, MachineError
from pymachine.store.atomic import replace_file, storage_errors, sweep, sync_directory
from pymachine.store.schema import read_file

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from pymachine.machine.certs.issue import PrivateKey

_END = b"-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Where a pair lies."""

    what: str
    """For messages: ``CA``, ``client certificate``."""
    cert: Path
    key: Path

    @property
    def pending(self) -> Path:
        """A pair on its way into its two files."""
        return self.cert.with_name(f".{self.cert.name}.pending")

    def is_pending(self) -> bool:
        """Whether a pair is on its way, or was when a process died."""
        with storage_errors("cannot read", self.pending):
            return self.pending.exists()

    def load(self) -> Pair | None:
        """The pair; ``None`` when there is neither file. Raises `CertificateError` when there is only one, or one
        cannot be read."""
        with storage_errors("cannot read", self.cert):
            found = [path for path in (self.cert, self.key) if path.exists()]
        if not found:
            return None
        if len(found) == 1:
            missing = self.key if found[0] == self.cert else self.cert
            raise CertificateError(
                f"the {self.what} is incomplete: there is {found[0]} but no {missing.name}",
                hint=f"restore {missing}, or remove {found[0]} to have a new {self.what} made",
            )
        return Pair(load_certificate(self.cert), load_key(self.key))

    def save(self, certificate: bytes, key: bytes) -> None:
        """Replace both files; a crash at any point leaves the old pair or, after `recover`, the new one."""
        with storage_errors("cannot write", self.cert):
            replace_file(self.pending, certificate + key)
            self._spread(certificate, key)

    def recover(self) -> None:
        """Finish what a crash interrupted, and remove what it had not written whole. As `save`, for one at a time."""
        with storage_errors("cannot write", self.cert), contextlib.suppress(FileNotFoundError):
            for path in (self.pending, self.key, self.cert):
                sweep(path)
            content = read_file(self.pending)
            end = content.index(_END) + len(_END)
            self._spread(content[:end], content[end:])

    def _spread(self, certificate: bytes, key: bytes) -> None:
        replace_file(self.key, key)
        replace_file(self.cert, certificate, mode=0o644)
        os.unlink(self.pending)
        sync_directory(self.cert.parent)


def load_certificate(path: Path) -> Certificate:
    """Raises `CertificateError`, its text one line with the path."""
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(_read(path))
    except ValueError as error:
        raise CertificateError(f"{path} is not a certificate: {_first_line(error)}") from error


def load_key(path: Path) -> PrivateKey:
    """Raises `CertificateError`, its text one line with the path."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from pymachine.machine.certs.issue import KEY_CLASSES

    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} is not a private key that can be used: {_first_line(error)}") from error
    if not isinstance(key, KEY_CLASSES):
        raise CertificateError(f"{path} is a private key of a kind that cannot be used")
    return key


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except FileNotFoundError:
        raise CertificateError(f"there is no {path}") from None
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}") from error


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".") or "unreadable"
