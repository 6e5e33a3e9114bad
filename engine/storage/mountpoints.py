"""What the runtime makes in a container's root to mount on.

As long as it is empty it is no change that the container's user made: ``diff`` and ``commit`` leave it out.
"""

from __future__ import annotations

import stat

_FILES = frozenset(("etc/hostname", "etc/hosts", "etc/resolv.conf", "dev/console"))
_FOLDERS = frozenset(("dev", "dev/mqueue", "dev/pts", "dev/shm", "etc", "proc", "sys"))


def is_made(path: str, mode: int, size: int) -> bool:
    """Whether *path* (from the root, without a leading slash) is such a mount point.

    *size* is a file's in bytes, or the number of a folder's entries that are no mount points themselves.
    """
    known = _FOLDERS if stat.S_ISDIR(mode) else _FILES if stat.S_ISREG(mode) else ()
    return size == 0 and path in known
