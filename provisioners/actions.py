"""What can be done to a host, as values: run a command, write a file. They print safely and know their quoting."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """A program with arguments (quoted by us), or with ``shell`` a script of ours without foreign values."""

    argv: tuple[str, ...] = ()
    shell: str = ""
    stdin: bytes | None = None
    attempts: int = 1
    """Tries in all, for commands that depend on the network."""
    lock: str = ""
    """A regular expression for what a command says that has met somebody else's lock: it is tried again for as long
    as there is time, and such tries do not count."""

    def line(self) -> str:
        """The command line as the host's shell reads it."""
        return self.shell or shlex.join(self.argv)

    def describe(self) -> str:
        """For logs and golden tests; the standard input is not shown."""
        return f"run {self.line()}" + (f" <<< {len(self.stdin)} bytes" if self.stdin is not None else "")


@dataclass(frozen=True, slots=True)
class Put:
    """A file, written atomically as root."""

    path: str
    data: bytes
    mode: int = 0o644

    def describe(self) -> str:
        """For logs and golden tests: never the content, which may be a key."""
        return f"put {self.path} mode {self.mode:04o}"


Action = Run | Put


def digest(data: bytes) -> str:
    """The SHA-256 of *data*, as ``sha256sum`` prints it: files on a host are compared by it."""
    return hashlib.sha256(data).hexdigest()
