"""An engine's socket, forwarded to this computer by ssh(1): docker without an open port on the host.

ssh goes into the background by itself (``-f``) and is told to end through its control socket (``ControlPath``), so no
process of ours has to stay. It also ends when the host goes away; whoever needs it opens it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from pymachine.machine.context.opened import SOCKET
from pymachine.machine.context.place import CONTROL, excess, short_place
from pymachine.machine.errors import MachineError, SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.connect import check_words
from pymachine.machine.ssh.openssh import command_line, options, require

OPENING = 30.0
"""Seconds that opening may take."""
LARGEST_ANSWER = 1 << 20
"""Bytes that are read of its version."""
ANSWER = 10.0
"""Seconds within which the engine must answer through the tunnel."""


class Tunnel:
    """The tunnel of a machine, whose directory has its sockets, or a link to them (`place`). Making the object opens
    nothing."""

    def __init__(self, directory: Path) -> None:
        self._link = directory / SOCKET

    @property
    def socket(self) -> Path:
        """The socket itself, by a path that a socket may have."""
        return Path(os.readlink(self._link)) if self._link.is_symlink() else self._link

    @property
    def _control(self) -> Path:
        return self.socket.with_name(CONTROL)

    @property
    def url(self) -> str:
        """What ``DOCKER_HOST`` would be."""
        return f"unix://{self.socket}"

    def open(self, endpoint: SSHEndpoint) -> None:
        """Open it anew, and see to it that the engine answers. Raises `SSHError` or `MachineError`."""
        if not hasattr(socket, "AF_UNIX"):
            raise MachineError("contexts by SSH need Unix sockets, which Python does not have on this system")
        self.close()
        if excess(self._link.parent):
            self._link.symlink_to(short_place(self._link.parent) / SOCKET)
        try:
            words = [*self._command(endpoint), "-f", "-N", "-T", "-L", f"{self.socket}:{_engine_socket(endpoint)}"]
            _run([*words, "-o", "BatchMode=yes", f"{endpoint.user}@{endpoint.host}"])
            self._check_engine(endpoint)
        except MachineError:
            self.close()
            raise

    def answers(self) -> bool:
        """Whether an engine answers through it now."""
        return bool(self.version())

    def version(self) -> str:
        """The version of the engine that answers through it; empty when none does."""
        if sys.platform == "win32" or not self.socket.exists():
            return ""
        from http.client import HTTPConnection, HTTPException

        request = HTTPConnection("docker")
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(ANSWER)
                connection.connect(str(self.socket))
                request.sock = connection
                request.request("GET", "/version")
                version = json.loads(request.getresponse().read(LARGEST_ANSWER))["Version"]
                return version if isinstance(version, str) else ""
        except (OSError, HTTPException, ValueError, LookupError, TypeError):
            return ""

    def close(self) -> None:
        """End it; fine when it is not open."""
        if self._control.exists():
            with contextlib.suppress(OSError, subprocess.SubprocessError, MachineError):
                # The destination is not used, but must be there.
                command = [require("ssh"), "-F", "none", "-S", str(self._control), "-O", "exit", "host"]
                subprocess.run(command, timeout=ANSWER, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        for path in (self.socket, self._control):
            path.unlink(missing_ok=True)
        if self._link.is_symlink():
            with contextlib.suppress(OSError):
                self.socket.parent.rmdir()
            self._link.unlink()

    def _command(self, endpoint: SSHEndpoint) -> list[str]:
        """The program and its options; of several the first of a name counts (ssh_config(5))."""
        check_words(endpoint)
        own = {
            "ControlMaster": "yes",
            "ControlPath": _escape(self._control),
            "ControlPersist": "no",
            "ExitOnForwardFailure": "yes",
            "StreamLocalBindUnlink": "yes",
            "StreamLocalBindMask": "0177",
        }
        return [
            require("ssh"),
            *(word for key, value in own.items() for word in ("-o", f"{key}={value}")),
            *options(endpoint),
        ]

    def _check_engine(self, endpoint: SSHEndpoint) -> None:
        if not self.answers():
            raise MachineError(
                f"the engine does not answer through SSH: user {endpoint.user} may not use its socket on the host, "
                "or nobody listens there",
                hint=f"On the host: sudo usermod -aG docker {endpoint.user}; see also: pymachine logs",
            )


def _engine_socket(endpoint: SSHEndpoint) -> str:
    """Where our engine listens on the host: beside a Docker that was there before, it has a socket of its own."""
    from pymachine.provisioners.neighbours import SOCKET_BESIDE, UNIX_SOCKET

    usual, beside = (url.removeprefix("unix://") for url in (UNIX_SOCKET, SOCKET_BESIDE))
    question = command_line(endpoint, [f"if [ -S {beside} ]; then echo {beside}; fi"], interactive=False)
    try:
        done = subprocess.run(question, stdin=subprocess.DEVNULL, capture_output=True, timeout=OPENING, text=True)
    except subprocess.TimeoutExpired:
        raise SSHError(f"{endpoint.host} did not answer by SSH within {OPENING:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise SSHError(f"cannot reach {endpoint.host} by SSH: {said[-1] if said else 'ssh failed'}")
    return beside if done.stdout.strip() == beside else usual


def _run(words: list[str]) -> None:
    """Run ssh until it has gone into the background. Its messages go to a file: a pipe would stay open with it."""
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, timeout=OPENING, check=False
            )
        except subprocess.TimeoutExpired:
            raise SSHError(f"the SSH connection was not made within {OPENING:g} s") from None
        said.seek(0)
        lines = said.read(65536).decode("utf-8", errors="replace").strip().splitlines()
    if done.returncode:
        raise SSHError(f"cannot forward the engine's socket by SSH: {lines[-1] if lines else 'ssh failed'}")


def _escape(path: Path) -> str:
    return f'"{str(path).replace("%", "%%")}"'
