"""Ask an engine for its version over mutual TLS: the proof that address, certificates and engine fit together.

With TLS 1.3 a client is told only after the handshake that its certificate is refused, so a request is made and its
answer read. Every failure is one line with the cause; only certificate problems are `CertificateError`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pymachine.machine.certs.answer import split
from pymachine.machine.errors import CertificateError, MachineError
from pymachine.machine.ssh.dial import connect_within

if TYPE_CHECKING:
    import ssl

_CONTEXTS: dict[tuple[bytes, ...], ssl.SSLContext] = {}
"""By the contents of the files."""
_LOADING = threading.Lock()

LARGEST_ANSWER = 1 << 20
"""Bytes; an engine's version is about one kB."""

_REQUEST = "GET /version HTTP/1.1\r\nHost: {host}\r\nUser-Agent: pymachine\r\nConnection: close\r\n\r\n"
_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR", "HANDSHAKE_FAILURE")


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """What an engine says of itself."""

    version: str
    api_version: str
    min_api_version: str = ""
    os: str = ""
    arch: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    certs: Path
    end: float

    @property
    def label(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def left(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def failed(self, why: str) -> MachineError:
        return MachineError(f"the engine at {self.label} {why}")

    def misfit(self, why: str) -> CertificateError:
        return CertificateError(
            f"the engine at {self.label} {why}", hint=f'Run "pymachine regenerate-certs {self.certs.name}".'
        )


def check_engine(url: str, cert_dir: Path, timeout: float) -> EngineVersion:
    """The version of the engine at *url* (``tcp://HOST:PORT``), asked with the certificates in *cert_dir*.

    Takes *timeout* seconds at most. Raises `CertificateError`, with the remedy as hint, when a certificate is at
    fault, else `MachineError`.
    """
    target = _parse(url, cert_dir, time.monotonic() + timeout)
    try:
        # Connecting comes first: a host that is gone costs neither TLS nor the reading of certificates.
        with connect_within(target.host, target.port, target.left()) as plain:
            answer = _ask(target, plain)
    except TimeoutError:
        raise target.failed(f"does not answer within {timeout:g} s") from None
    except socket.gaierror as error:
        raise target.failed(f"cannot be found: {error.strerror}") from error
    except UnicodeError:
        raise target.failed("cannot be found: it is no host name") from None
    except OSError as error:
        raise target.failed(f"cannot be reached: {error.strerror or error}") from error
    return _parse_version(answer, target)


def _parse(url: str, certs: Path, end: float) -> _Target:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("tcp", "https") and parts.hostname:
            return _Target(parts.hostname, parts.port or 2376, certs, end)
    except ValueError:
        pass
    raise MachineError(f"{url!r} is no engine address of the form tcp://HOST:PORT")


def _context(target: _Target) -> ssl.SSLContext:
    """The context for the certificates; kept, since a store's machines have the same and loading takes 1.5 ms."""
    import ssl

    try:
        content = _content(target)
        with _LOADING:
            if content not in _CONTEXTS:
                _CONTEXTS[content] = _load(target)
            return _CONTEXTS[content]
    except ssl.SSLError as error:
        hint = f'Run "pymachine regenerate-certs --client-certs {target.certs.name}".'
        why = "the key is another" if error.reason == "KEY_VALUES_MISMATCH" else error.reason or "damaged"
        raise CertificateError(f"the certificates in {target.certs} cannot be used: {why}", hint=hint) from error
    except OSError as error:
        raise MachineError(f"cannot read the certificates in {target.certs}: {error.strerror}") from error


def _content(target: _Target) -> tuple[bytes, ...]:
    """What is in all three files."""
    try:
        return tuple((target.certs / name).read_bytes() for name in ("ca.pem", "cert.pem", "key.pem"))
    except FileNotFoundError as error:
        hint = f'Run "pymachine regenerate-certs {target.certs.name}".'
        raise CertificateError(f"there is no {error.filename}", hint=hint) from None


def _load(target: _Target) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(target.certs / "ca.pem")
    context.load_cert_chain(target.certs / "cert.pem", target.certs / "key.pem")
    return context


def _ask(target: _Target, plain: socket.socket) -> bytes:
    """The whole answer."""
    import ssl

    context = _context(target)
    try:
        plain.settimeout(target.left())
        with context.wrap_socket(plain, server_hostname=target.host) as connection:
            return _exchange(target, connection)
    except ssl.SSLCertVerificationError as error:
        raise target.misfit(f"shows a certificate that cannot be trusted: {_explain(error)}") from error
    except ssl.SSLError as error:
        raise _tls_failure(target, error) from error


def _exchange(target: _Target, connection: ssl.SSLSocket) -> bytes:
    """Read with one deadline: a socket's own timeout begins anew with every byte."""
    import ssl

    with contextlib.suppress(ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):
        # a server that has hung up on us said why before: that is still to be read
        connection.sendall(_REQUEST.format(host=target.label).encode())
    answer = bytearray()
    while len(answer) <= LARGEST_ANSWER:
        connection.settimeout(target.left())
        chunk = connection.recv(65536)
        if not chunk:
            return bytes(answer)
        answer += chunk
    raise target.failed("answers with more than a version")


def _parse_version(answer: bytes, target: _Target) -> EngineVersion:
    try:
        status, body = split(answer)
    except ValueError as error:
        raise target.failed("gives no HTTP answer" if answer else "closes the connection") from error
    document = _json_object(body)
    if status != 200:
        message = _printable(" ".join(str(document.get("message", "")).split())[:200])
        raise target.failed(f"answers HTTP {status}{': ' if message else ''}{message}")
    if not isinstance(document.get("Version"), str):
        raise target.failed("is no container engine: its answer holds no version")
    fields = ("Version", "ApiVersion", "MinAPIVersion", "Os", "Arch")
    return EngineVersion(*(_printable(str(document.get(field, ""))) for field in fields))


def _printable(text: str) -> str:
    """Without what could steer the user's terminal."""
    return "".join(letter for letter in text if letter.isprintable())


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _explain(error: ssl.SSLCertVerificationError) -> str:
    return " ".join(str(error.verify_message or error).split()).rstrip(".")


def _tls_failure(target: _Target, error: ssl.SSLError) -> MachineError:
    reason = error.reason or ""
    if "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS):
        alert = reason.split("ALERT_", 1)[1].replace("_", " ").lower()
        return target.misfit(f"refuses the client certificate: {alert}")
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE"):
        return target.failed("does not speak TLS")
    return target.failed(f"breaks off the TLS handshake: {reason.replace('_', ' ').lower() or error.strerror}")
