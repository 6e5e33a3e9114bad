"""Python programs run beside the test, all ended with it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator


class Crew:
    """Processes that are killed and reaped when the test ends."""

    def __init__(self) -> None:
        self.members: list[subprocess.Popen[str]] = []

    def start(self, program: str, *arguments: object) -> subprocess.Popen[str]:
        """Run Python source text with arguments; its output is piped."""
        command = [sys.executable, "-c", program, *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.members.append(process)
        return process


@contextlib.contextmanager
def crew() -> Iterator[Crew]:
    """For the length of a test."""
    team = Crew()
    try:
        yield team
    finally:
        for process in team.members:
            process.kill()
            process.communicate()


def wait_for_line(process: subprocess.Popen[str]) -> str:
    """The next line the process prints; fails when it has ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr and process.stderr.read()
    return line.strip()
