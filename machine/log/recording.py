"""Note what an operation does, while it does it: its progress, each command on the host, and how it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pymachine.machine.errors import MachineError, RemoteCommandFailed
from pymachine.machine.log.file import WorkLog
from pymachine.machine.operations.report import Report
from pymachine.machine.ssh.base import Result, SSHSession

TAIL = 10
"""Lines that are kept of what a failed command said."""


class RecordingReport:
    """Passes progress on, and notes it."""

    def __init__(self, report: Report, log: WorkLog) -> None:
        self._report = report
        self._log = log

    def stage(self, text: str) -> None:
        """Noted as it is."""
        self._log.write(text)
        self._report.stage(text)

    def note(self, text: str) -> None:
        """Noted as a detail."""
        self._log.write(f"  {text}")
        self._report.note(text)

    def say(self, text: str) -> None:
        """Noted as it is."""
        self._log.write(text)
        self._report.say(text)

    def warn(self, text: str) -> None:
        """Noted as a warning."""
        self._log.write(f"warning: {text}")
        self._report.warn(text)


class RecordingSession:
    """Passes commands and files on, and notes them: command lines, which hold no secrets by rule; of standard input
    and files the size alone."""

    def __init__(self, session: SSHSession, log: WorkLog) -> None:
        self._session = session
        self._log = log

    def run(
        self, command: str, *, stdin: bytes | None = None, sudo: bool = False, check: bool = True, timeout: float = 600
    ) -> Result:
        """Note the command before it runs, and its end."""
        fed = f" <<< {len(stdin)} bytes" if stdin is not None else ""
        self._log.write(f"run {command}{fed}")
        started = time.monotonic()
        try:
            result = self._session.run(command, stdin=stdin, sudo=sudo, check=check, timeout=timeout)
        except RemoteCommandFailed as error:
            self._ended(error.status, time.monotonic() - started, error.output)
            raise
        self._ended(result.status, time.monotonic() - started, result.stderr if result.status else "")
        return result

    def put(
        self, data: bytes | BinaryIO, path: str, *, mode: int = 0o644, sudo: bool = False, timeout: float = 600
    ) -> None:
        """Note name and mode."""
        size = f", {len(data)} bytes" if isinstance(data, bytes) else ""
        self._log.write(f"put {path} mode {mode:04o}{size}")
        self._session.put(data, path, mode=mode, sudo=sudo, timeout=timeout)

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ended(self, status: int, seconds: float, output: str) -> None:
        self._log.write(f"-> status {status} after {seconds:.2f} s")
        for line in output.strip().splitlines()[-TAIL:]:
            self._log.write(f"-> {line}")


@contextlib.contextmanager
def recording(directory: Path, report: Report, what: str) -> Iterator[Report]:
    """Note *what* is done in the machine's *directory* while the block runs, and how it ends; progress told to the
    report that is yielded is noted as well."""
    log = WorkLog(directory)
    log.write(f"=== {what}")
    started = time.monotonic()
    try:
        yield RecordingReport(report, log)
    except MachineError as error:
        log.write(f"=== {what} failed after {time.monotonic() - started:.1f} s: {error}")
        raise
    except BaseException as error:
        log.write(f"=== {what} was broken off after {time.monotonic() - started:.1f} s: {error!r}")
        raise
    log.write(f"=== {what} ended well after {time.monotonic() - started:.1f} s")
