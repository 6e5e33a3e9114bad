"""The SSH contract: where a host is, and a session to run commands and put files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self


@dataclass(frozen=True, slots=True)
class SSHEndpoint:
    """How to reach a host's SSH server."""

    host: str
    user: str = "root"
    port: int = 22
    key_path: Path | None = None
    """Private key; ``None`` for the user's own agent and default keys."""
    known_hosts: Path | None = None
    """The machine's own known_hosts file, where its host key is pinned at first contact."""
    proxy_command: str = ""
    """A program whose standard streams are the connection (``ssh -W``-like); ``%h`` and ``%p`` are replaced."""
    sudo_password: Callable[[int], str] | None = field(default=None, repr=False, compare=False)
    """Where sudo's password comes from when it wants one; ``None``: nobody to ask. Called with the number of
    passwords that were wrong before; raises `MissingRequirement` when there is none (left)."""


@dataclass(frozen=True, slots=True)
class Result:
    """A finished remote command."""

    status: int
    stdout: str
    stderr: str


class SSHSession(Protocol):
    """One connection, reused for a whole operation. Not safe for several threads at once."""

    def run(
        self, command: str, *, stdin: bytes | None = None, sudo: bool = False, check: bool = True, timeout: float = 600
    ) -> Result:
        """Run a shell command line. Secrets go by *stdin*, never in *command*. With *sudo* as root
        (nothing is added when the user is root). Raises `RemoteCommandFailed` when *check* and the status
        is not 0, `SSHError` when the connection is lost, `DeadlineExceeded` after *timeout* seconds."""
        ...

    def put(
        self, data: bytes | BinaryIO, path: str, *, mode: int = 0o644, sudo: bool = False, timeout: float = 600
    ) -> None:
        """Write a file atomically, with *mode* from its first byte on. Raises as `run` does."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
