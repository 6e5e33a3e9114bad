"""The digest of a file tree: names, kinds, modes, owners and contents, but not times."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def tree_digest(top: Path) -> tuple[str, int]:
    """SHA-256 over a tree in name order, and the bytes of its files. Links are not followed."""
    total = hashlib.sha256()
    size = 0
    for directory, names, files in os.walk(top):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(directory, name)
            found = os.lstat(path)
            total.update(_entry(os.path.relpath(path, top), path, found))
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total.hexdigest(), size


def _entry(name: str, path: str, found: os.stat_result) -> bytes:
    """One entry's part; every field ends with a byte that cannot be in it, so no two trees read alike."""
    if stat.S_ISREG(found.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    else:
        content = str(found.st_rdev)
    fields = (name, f"{found.st_mode:o}", str(found.st_uid), str(found.st_gid), content)
    return b"".join(os.fsencode(field) + b"\0" for field in fields)
