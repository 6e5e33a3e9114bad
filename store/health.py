"""What is amiss with a file store, found out by looking; nothing is changed."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pymachine.store.names import is_valid
from pymachine.store.schema import read_file

OPEN_TO_ALL = ("ca.pem", "cert.pem", "server.pem")
"""Certificates are no secret; everything else in the store may be."""
FAST = 120.0
"""Seconds that a file may be from the future before the clock is to blame."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """One thing that is amiss."""

    level: Literal["warning", "problem"]
    text: str
    remedy: str = ""


def examine(root: Path) -> list[Ailment]:
    """Everything amiss with the store in *root*; nothing when there is no store."""
    if not root.is_dir():
        return []
    return [*_openness(root), *_leftovers(root), *_leases(root), *_clock(root)]


def _openness(root: Path) -> Iterator[Ailment]:
    """What others may read or write, or what is not ours."""
    if sys.platform == "win32":  # modes say nothing there of who may read
        return
    for path in _everything(root):
        try:
            status = path.lstat()
        except OSError:
            continue
        private = stat.S_ISDIR(status.st_mode) or (
            stat.S_ISREG(status.st_mode) and path.name not in OPEN_TO_ALL and path.suffix != ".pub"
        )
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.geteuid():
            yield Ailment("problem", f"{path} belongs to another user", f"sudo chown -R $(id -un) '{root}'")
            return  # the remedy is for all of the store
        if private and mode & 0o077:
            right = "700" if stat.S_ISDIR(status.st_mode) else "600"
            yield Ailment("problem", f"{path} is open to others (mode {mode:04o})", f"chmod {right} '{path}'")


def _everything(root: Path) -> Iterator[Path]:
    yield root
    for directory in (root / "certs", root / "machines"):
        for place, _, files in os.walk(directory):
            yield from (Path(place, name) for name in (".", *files))


def _leftovers(root: Path) -> Iterator[Ailment]:
    """What killed commands left."""
    try:
        entries = sorted(os.scandir(root / "machines"), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".removed-"):
            yield Ailment("warning", f"{entry.path} was left by a remove that was killed", f"rm -r '{entry.path}'")
        elif is_valid(entry.name) and entry.is_dir() and not os.path.lexists(f"{entry.path}/record.json"):
            if os.path.exists(f"{entry.path}/config.json"):
                text, remedy = "is a machine of docker-machine's", "pymachine import-docker-machine"
            else:
                text, remedy = "is no machine: it has no record", "the next pymachine rm clears it away"
            yield Ailment("warning", f"{entry.path} {text}", remedy)


def _leases(root: Path) -> Iterator[Ailment]:
    """Notes of holders that are gone. The locks themselves went with their processes."""
    for note in sorted((root / "locks").rglob("*.holder")):
        try:
            holder = json.loads(read_file(note))
            pid, host, purpose = int(holder["pid"]), str(holder["host"]), str(holder["purpose"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if host == _this_host() and not _is_alive(pid):
            what = note.name.removesuffix(".lock.holder")
            text = f'process {pid} was killed while it had "{what}" ({purpose}); nothing is locked'
            yield Ailment("warning", text, f"rm '{note}'")


def _this_host() -> str:
    import platform

    return platform.node()


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # there signal 0 would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _clock(root: Path) -> Iterator[Ailment]:
    """Files from the future: then certificates seem not to be valid yet."""
    now = time.time()
    newest = max((_changed(path) for path in _everything(root)), default=0.0)
    if newest > now + FAST:
        yield Ailment(
            "problem",
            f"this computer's clock is wrong: something in the store was written {newest - now:.0f} s from now",
            "set the clock; with systemd: timedatectl set-ntp true",
        )


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
