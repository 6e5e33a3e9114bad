"""mount(2) and umount2(2), and the overlay mounts that the daemon makes for itself.

Flags are those of ``<sys/mount.h>`` (mount(2)); overlay options are those of the kernel's
Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

MS_RDONLY = 1
MS_BIND = 4096
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
CLONE_FS = 0x200

_ESCAPED = re.compile(rb"\\([0-7]{3})")  # how the kernel writes spaces and the like
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str, path: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}", path)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2); raises `OSError`."""
    data = options.encode() if options else None
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data)
    _check(result, f"mount {kind}", target)


def unmount(target: str) -> None:
    """Detach a mount now; the kernel ends it when its last user is gone (umount2(2), MNT_DETACH)."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), "umount", target)


def mount_overlay(base: Path, target: str, lower: Sequence[str], upper: str, work: str) -> None:
    """Mount an overlay; all paths are relative to *base*, which keeps the options within one page.

    A thread of its own with its own working directory does it: the daemon's must not change.
    """
    options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"

    def work_there() -> None:
        _check(_libc.unshare(CLONE_FS), "unshare", str(base))
        os.chdir(base)
        mount("overlay", target, "overlay", 0, options)

    _in_thread(work_there)


def mounts_below(folder: Path) -> list[str]:
    """Mount points strictly below *folder*, deepest first (proc(5), mountinfo)."""
    prefix = os.path.realpath(folder) + "/"
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        point = os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4]))
        if point.startswith(prefix):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def _in_thread(function: Callable[[], None]) -> None:
    failure: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="mount")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
