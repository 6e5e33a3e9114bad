"""Mutual TLS as Docker uses it: one CA, a server certificate a host, a client certificate a user.

TLS 1.2 and later; a server refuses clients whose certificate its CA did not sign. Certificates can be
exchanged while connections live: each new connection takes the context of the moment.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from pymachine.dockerapi.tls_session import TLSSession


class CertificateError(Exception):
    """A certificate, key or CA file cannot be used; the message names the file and says why."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM files. Without *ca* the peer is not asked for a certificate (server), or the system's CAs count (client)."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def server_context(files: TLSFiles) -> ssl.SSLContext:
    """A server's context; clients need a certificate of ``files.ca`` when it is given. Raises `CertificateError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    if files.certificate is None or files.key is None:
        raise CertificateError("a TLS server needs a certificate and a key (tlscert, tlskey)")
    _load_pair(context, files.certificate, files.key)
    if files.ca is not None:
        _load_ca(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: TLSFiles | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """A client's context: the server must be of ``files.ca``, or of one of the system's CAs without it."""
    files = files or TLSFiles()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif files.ca is not None:
        _load_ca(context, files.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if files.certificate is not None and files.key is not None:
        _load_pair(context, files.certificate, files.key)
    return context


class ServerTLS:
    """A server's TLS, whose certificates can be read again while it serves."""

    def __init__(self, files: TLSFiles) -> None:
        """Raises `CertificateError`."""
        self._files = files
        self._context = server_context(files)

    def reload(self) -> None:
        """Read the files again. Raises `CertificateError`, and then the old certificates stay in use."""
        self._context = server_context(self._files)

    def session(self) -> TLSSession:
        """A new connection's TLS."""
        return TLSSession(self._context, server_side=True)


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_ca(context: ssl.SSLContext, path: Path) -> None:
    _readable(path, "CA file")
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError):
        raise CertificateError(f"CA file {path}: no certificate in PEM format in it") from None


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _readable(certificate, "certificate")
    _readable(key, "key")

    def no_password() -> str:
        raise CertificateError(f"key {key}: it is encrypted; a server's key must not need a password")

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        reason = "does not belong to the key" if "MISMATCH" in (error.reason or "") else "is not a usable PEM file"
        raise CertificateError(f"certificate {certificate} (key {key}): it {reason}") from None


def _readable(path: Path, what: str) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise CertificateError(f"{what} {path}: {error.strerror}") from None
