"""The mount table of this process, read (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mounted:
    """One line of the table."""

    target: str
    kind: str
    """File system type."""
    options: frozenset[str]
    """Of the mount and of its file system: ``rw``, and for cgroup v1 the controllers."""


def table(text: str | None = None) -> Iterator[Mounted]:
    """All mounts, in the order they were made."""
    for line in (MOUNTINFO.read_text() if text is None else text).splitlines():
        left, _, right = line.partition(" - ")
        fields, after = left.split(), right.split()
        yield Mounted(_unescape(fields[4]), after[0], frozenset(fields[5].split(",")) | frozenset(after[2].split(",")))


def below(directory: str, text: str | None = None) -> list[str]:
    """Mount points at or under a directory, the deepest last made first."""
    real = os.path.realpath(directory)
    return [
        mounted.target
        for mounted in reversed(list(table(text)))
        if mounted.target == real or mounted.target.startswith(real + "/")
    ]


def _unescape(text: str) -> str:
    """Blank, tab, newline and backslash are written as octal numbers."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
