"""A connection through a program's standard streams (``ProxyCommand`` of ssh_config(5))."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess

from pymachine.machine.errors import SSHError
from pymachine.machine.ssh.base import SSHEndpoint


def fill_in(endpoint: SSHEndpoint) -> str:
    """The endpoint's proxy command with ``%h``, ``%p``, ``%r`` and ``%%`` replaced, quoted for the shell."""
    values = {"h": shlex.quote(endpoint.host), "p": str(endpoint.port), "r": shlex.quote(endpoint.user), "%": "%"}
    return re.sub(r"%(.)", lambda match: values.get(match[1], match[0]), endpoint.proxy_command)


class ProxyProcess:
    """A running proxy command; `socket` is its standard input and output."""

    def __init__(self, endpoint: SSHEndpoint) -> None:
        self.socket, theirs = socket.socketpair()
        command = ["/bin/sh", "-c", f"exec {fill_in(endpoint)}"]
        try:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
            )
        except OSError as error:
            self.socket.close()
            raise SSHError(f"cannot start the proxy command: {error.strerror or error}") from error
        finally:
            theirs.close()

    def close(self) -> None:
        """End the program and reap it."""
        self.socket.close()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
                return
            self._process.kill()
            self._process.wait()
