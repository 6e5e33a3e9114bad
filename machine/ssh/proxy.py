"""A connection through a program's standard streams (``ProxyCommand`` of ssh_config(5)).

On Windows a socket cannot be a program's stream, so two threads carry the bytes between them; and there is no
``/bin/sh``, so the command line is split by us, backslashes being letters of paths.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import IO

from pymachine.machine.errors import SSHError
from pymachine.machine.ssh.base import SSHEndpoint


def fill_in(endpoint: SSHEndpoint) -> str:
    """The endpoint's proxy command with ``%h``, ``%p``, ``%r`` and ``%%`` replaced, quoted for the shell."""
    values = {"h": shlex.quote(endpoint.host), "p": str(endpoint.port), "r": shlex.quote(endpoint.user), "%": "%"}
    return re.sub(r"%(.)", lambda match: values.get(match[1], match[0]), endpoint.proxy_command)


LAST_WORDS = 0.5
"""Seconds that a program may take to end after it has closed the connection."""
HOPELESS = ("permission denied", "host key verification failed", "not found", "no such file", "bad configuration")
"""What programs say when trying again will hardly help."""


class ProxyProcess:
    """A running proxy command; `socket` is its standard input and output."""

    def __init__(self, endpoint: SSHEndpoint) -> None:
        self.socket, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        start = _start_with_pipes if sys.platform == "win32" else _start_with_socket
        try:
            self._process = start(fill_in(endpoint), theirs, self._errors)
        except (OSError, ValueError) as error:  # ValueError: quotes that do not end
            self.socket.close()
            theirs.close()
            self._errors.close()
            reason = error.strerror if isinstance(error, OSError) else None
            raise SSHError(f"cannot start the proxy command: {reason or error}") from error

    def said(self) -> str:
        """The last line of its error output, for the error about a connection that it closed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WORDS)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "".join(letter for letter in said if letter.isprintable())

    def close(self) -> None:
        """End the program and reap it."""
        self.socket.close()
        self._errors.close()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
                return
            self._process.kill()
            self._process.wait()


def _start_with_socket(command: str, theirs: socket.socket, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    with theirs:
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=errors,
            start_new_session=True,
        )


def _start_with_pipes(command: str, theirs: socket.socket, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        words_of(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for carry, pipe in ((_carry_in, process.stdin), (_carry_out, process.stdout)):
        threading.Thread(target=carry, args=(theirs, pipe), daemon=True).start()
    return process


def words_of(command: str) -> Sequence[str]:
    """A command line's words, for a system whose paths have backslashes."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    return list(lexer)


def _carry_in(theirs: socket.socket, pipe: IO[bytes]) -> None:
    """Until the connection is closed at our end, or the program's is."""
    with contextlib.suppress(OSError, ValueError), pipe:
        while data := theirs.recv(1 << 16):
            rest = memoryview(data)
            while rest:
                rest = rest[pipe.write(rest) :]


def _carry_out(theirs: socket.socket, pipe: IO[bytes]) -> None:
    """Until the program ends; then the connection does too."""
    with contextlib.suppress(OSError, ValueError), pipe:
        while data := pipe.read(1 << 16):
            theirs.sendall(data)
    with contextlib.suppress(OSError):
        theirs.shutdown(socket.SHUT_RDWR)
    theirs.close()
