"""The SSH session by paramiko: one connection in this process for all commands and files of an operation.

paramiko takes 150 ms to import, so this module is imported only once a server has answered.
Algorithms: host and user keys ed25519, ecdsa and RSA with SHA-2 (RFC 8332); no compression.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

import paramiko

from pymachine.machine.errors import DeadlineExceeded, MissingRequirement, RemoteCommandFailed, SSHError
from pymachine.machine.ssh.base import Result, SSHEndpoint
from pymachine.machine.ssh.connect import Attempt, Unready
from pymachine.machine.ssh.identities import log_in
from pymachine.machine.ssh.known_hosts import KnownHosts
from pymachine.machine.ssh.sockets import EagerSocket
from pymachine.machine.ssh.streams import converse
from pymachine.machine.ssh.sudo import Root, refusal
from pymachine.machine.ssh.upload import Source, upload_command

# paramiko tells its troubles to a logger too; without this Python would print them on the user's terminal
logging.getLogger("paramiko").addHandler(logging.NullHandler())

WINDOW = 4 << 20
"""Bytes the server may send ahead of our reading."""
PACKET = 1 << 15
"""Bytes in one packet, the most that OpenSSH takes."""
STEP = 30.0
"""Seconds that the key exchange, one login or the opening of a channel may take."""
CLOSING = 2.0
"""Seconds that the closing of a channel may take."""

_OLD_KEYS = ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"]


def exchange_keys(connection: socket.socket, attempt: Attempt) -> paramiko.Transport:
    """Agree on keys and check the host's against what is pinned; `SSHError` when it has changed."""
    known = KnownHosts(attempt.endpoint)
    disabled = {"keys": _OLD_KEYS, "pubkeys": _OLD_KEYS}
    transport = paramiko.Transport(connection, WINDOW, PACKET, disabled_algorithms=disabled)
    attempt.closing.append(lambda: _close(transport, connection))
    _prefer_pinned(transport, known)
    try:
        transport.start_client(timeout=attempt.left(STEP))
        key = transport.get_remote_server_key()
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise Unready(_one_line(error) or "the connection was lost") from None
    known.verify(key.get_name(), key.get_base64())
    return transport


def authenticate(transport: paramiko.Transport, attempt: Attempt) -> ParamikoSession:
    """Log in; the session takes over what the attempt opened."""
    transport.auth_timeout = attempt.left(STEP)
    log_in(transport, attempt.endpoint)
    closing, attempt.closing = attempt.closing, []
    return ParamikoSession(transport, attempt.endpoint, closing)


class ParamikoSession:
    """The `pymachine.machine.ssh.base.SSHSession` over one connection."""

    def __init__(self, transport: paramiko.Transport, endpoint: SSHEndpoint, closing: list[Callable[[], None]]) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._closing = closing
        self._root = Root(endpoint, self._ask_sudo)

    def run(
        self, command: str, *, stdin: bytes | None = None, sudo: bool = False, check: bool = True, timeout: float = 600
    ) -> Result:
        """Run a shell command line; see the contract. A command ended by a signal has status -1. One that leaves
        processes behind which hold its output counts as running until they end."""
        result = self._execute(command, Source(stdin or b""), sudo=sudo, timeout=timeout)
        if check and result.status != 0:
            raise self._refusal(result, sudo) or RemoteCommandFailed(
                _first_line(command), result.status, result.stderr or result.stdout
            )
        return result

    def put(
        self, data: bytes | BinaryIO, path: str, *, mode: int = 0o644, sudo: bool = False, timeout: float = 600
    ) -> None:
        """Write a file atomically; its directory must exist. What was sent is counted at the other end, so
        that a lost connection leaves no shortened file."""
        with Source.of(data) as source:
            result = self._execute(upload_command(path, mode, source.size), source, sudo=sudo, timeout=timeout)
        if result.status != 0:
            raise self._refusal(result, sudo) or RemoteCommandFailed(f"writing {path}", result.status, result.stderr)

    def close(self) -> None:
        """End the connection; fine when it has ended."""
        while self._closing:
            with contextlib.suppress(OSError):
                self._closing.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _execute(self, command: str, source: Source, *, sudo: bool, timeout: float) -> Result:
        """By /bin/sh, since a user's login shell may be one that speaks another language."""
        line = f"/bin/sh -c {shlex.quote(command)}"
        line, source.head = self._root.wrap(line, min(timeout, STEP)) if sudo else (f"exec {line}", b"")
        return self._converse(line, source, command, timeout)

    def _ask_sudo(self, line: str, stdin: bytes, timeout: float) -> Result:
        return self._converse(line, Source(stdin), line, timeout)

    def _converse(self, line: str, source: Source, command: str, timeout: float) -> Result:
        """Run a *line* and speak with it; errors name the *command* in it."""
        end = time.monotonic() + timeout
        channel = self._open_channel(timeout, command)
        try:
            with self._watchdog(channel, min(timeout, STEP)):
                channel.exec_command(line)
            output, errors = converse(channel, source, end)
            status = channel.exit_status
            if status == -1 and not self._transport.is_active():
                raise SSHError(self._lost(command))
            return Result(status, _text(output), _text(errors))
        except SSHError:
            raise
        except TimeoutError as error:
            raise self._late(command, timeout, str(error)) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise SSHError(self._lost(command)) from error
        finally:
            self._close_channel(channel)

    @contextlib.contextmanager
    def _watchdog(self, channel: paramiko.Channel, seconds: float) -> Iterator[None]:
        """Bound what paramiko waits for without end. Over TCP the kernel does that (`sockets.SILENCE`), so only a
        stuck proxy command needs it."""
        if not self._endpoint.proxy_command:
            yield
            return
        timer = threading.Timer(seconds, self._close_channel, [channel])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _close_channel(self, channel: paramiko.Channel) -> None:
        """Close it; when even that gets stuck in a proxy command, end the connection."""
        if not self._endpoint.proxy_command:
            return channel.close()
        closer = threading.Thread(target=channel.close, daemon=True)
        closer.start()
        closer.join(CLOSING)
        if closer.is_alive():
            self.close()

    def _late(self, command: str, timeout: float, last_error: str) -> DeadlineExceeded:
        stage = f"running on {self._endpoint.host}: {_first_line(command)}"
        return DeadlineExceeded(stage, timeout, last_error=last_error)

    def _open_channel(self, timeout: float, command: str) -> paramiko.Channel:
        end = time.monotonic() + timeout
        try:
            channel = self._transport.open_session(timeout=min(timeout, STEP))
            if isinstance(self._transport.sock, EagerSocket):
                self._transport.sock.relax()
            return channel
        except (paramiko.SSHException, OSError, EOFError) as error:
            if time.monotonic() >= end and self._transport.is_active():
                raise self._late(command, timeout, "no answer") from error
            cause = _one_line(error) or "no answer"
            raise SSHError(f"the SSH connection to {self._endpoint.host} was lost: {cause}") from error

    def _refusal(self, result: Result, sudo: bool) -> MissingRequirement | None:
        return refusal(self._endpoint, result) if sudo and self._endpoint.user != "root" else None

    def _lost(self, command: str) -> str:
        cause = self._transport.get_exception()
        reason = f" ({_one_line(cause)})" if cause and _one_line(cause) else ""
        return f"the SSH connection to {self._endpoint.host} was lost{reason} while running: {_first_line(command)}"


def _prefer_pinned(transport: paramiko.Transport, known: KnownHosts) -> None:
    """Ask for the pinned key's type first: a server with several keys would otherwise look like a changed one."""
    options = transport.get_security_options()
    wanted = set(known.types())
    if "ssh-rsa" in wanted:  # the key's type; its signatures have names of their own
        wanted |= {"rsa-sha2-512", "rsa-sha2-256"}
    allowed = [name for name in options.key_types if name not in _OLD_KEYS]
    options.key_types = sorted(allowed, key=lambda name: name not in wanted)


def _close(transport: paramiko.Transport, connection: socket.socket) -> None:
    """Shut the socket down first: paramiko's thread else looks only every 100 ms whether it should end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    transport.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _first_line(command: str) -> str:
    line = command.strip().split("\n", 1)[0]
    return line if len(line) <= 100 else f"{line[:99]}…"
