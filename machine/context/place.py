"""Where a tunnel's sockets are: in the machine's directory, unless that path is too long for a socket.

Then in a private directory (0700) with a short name, below the user's runtime directory (XDG Base Directory
Specification) or the one for temporary files. Source for lengths: unix(7), ``sun_path`` without its final zero.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from pymachine.machine.context.opened import SOCKET
from pymachine.machine.errors import MachineError

CONTROL = "ssh.ctl"
"""ssh's own socket, by which it is told to end."""
LONGEST_PATH = 103 if sys.platform == "darwin" else 107
"""Bytes of a socket's path."""
_SUFFIX = 17
"""ssh makes its control socket under a name with a dot and 16 letters more, and renames it."""


def excess(directory: Path) -> int:
    """Bytes by which the sockets' paths would be too long in *directory*; 0 when they fit."""
    longest = max(len(bytes(directory / SOCKET)), len(bytes(directory / CONTROL)) + _SUFFIX)
    return max(longest - LONGEST_PATH, 0)


def short_place(directory: Path) -> Path:
    """The short directory of a machine's *directory*, made when missing; always the same while the environment is.

    Raises `MachineError` when it cannot be made, is somebody else's, or is too long itself.
    """
    place = _base() / f"pymachine-{hashlib.sha256(bytes(directory)).hexdigest()[:16]}"
    if over := excess(place):
        raise MachineError(
            f"the path {directory / SOCKET} is too long for a socket by {excess(directory)} characters, and {place} by "
            f"{over}",
            hint="Choose a shorter directory with --storage-path or MACHINE_STORAGE_PATH, or with TMPDIR.",
        )
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise MachineError(f"cannot make {place} for the engine's socket: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or not _is_ours(found) or found.st_mode & 0o077:
        raise MachineError(
            f"{place}, which is to have the engine's socket, is not this user's alone",
            hint="Set TMPDIR to a directory of your own, or choose a shorter one with --storage-path.",
        )
    return place


def _base() -> Path:
    """The runtime directory counts if it is the user's: sudo may have kept another one's variable."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        if runtime and _is_ours(os.stat(runtime)):
            return Path(os.path.abspath(runtime))
    except OSError:
        pass
    return Path(os.path.abspath(tempfile.gettempdir()))


def _is_ours(found: os.stat_result) -> bool:
    return sys.platform == "win32" or found.st_uid == os.geteuid()
