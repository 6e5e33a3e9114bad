"""A connection through a program's standard streams (``ProxyCommand`` of ssh_config(5))."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import tempfile

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
        command = ["/bin/sh", "-c", f"exec {fill_in(endpoint)}"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:
            self.socket.close()
            self._errors.close()
            raise SSHError(f"cannot start the proxy command: {error.strerror or error}") from error
        finally:
            theirs.close()

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
