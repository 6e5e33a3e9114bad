"""mount(2) and umount2(2) for volumes of the local driver with ``type``, ``device`` and ``o`` options."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

from pymachine.dockerapi.errors import EngineError, InvalidArgument

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_FLAGS = {  # linux/mount.h
    "ro": 0x1,
    "nosuid": 0x2,
    "nodev": 0x4,
    "noexec": 0x8,
    "sync": 0x10,
    "remount": 0x20,
    "mand": 0x40,
    "dirsync": 0x80,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "bind": 0x1000,
    "rbind": 0x1000 | 0x4000,
    "relatime": 0x200000,
    "strictatime": 0x1000000,
}
_NO_FLAG = {"rw", "defaults", "async", "atime", "suid", "dev", "exec", "diratime"}
_MS_BIND, _MS_REMOUNT = 0x1000, 0x20
KNOWN = ("type", "device", "o", "size")


def check(options: Mapping[str, str]) -> None:
    """Raise `InvalidArgument` for options that no volume can have."""
    for name in options:
        if name not in KNOWN:
            raise InvalidArgument(f'invalid option: "{name}"')
    if "size" in options:
        raise InvalidArgument(
            "quota size requested but no quota support: use type=tmpfs and o=size=… for a bounded one"
        )
    if not options:
        return
    if not options.get("device"):
        raise InvalidArgument('missing device in volume options: "device" says what to mount')
    flags, _ = _parse(options.get("o", ""))
    if not flags & _MS_BIND and not options.get("type"):
        raise InvalidArgument('missing type in volume options: "type" says what file system it is')


def mount(options: Mapping[str, str], target: Path) -> None:
    """Mount what *options* describe on *target*; raises `EngineError` with the kernel's reason."""
    flags, data = _parse(options.get("o", ""))
    device, kind = options["device"], options.get("type", "none")
    if flags & _MS_BIND and not os.path.isdir(device):
        raise EngineError(f"failed to mount local volume: mount {device}:{target}: no such directory")
    _mount(device, target, kind, flags, data)
    if flags & _MS_BIND and flags & ~(_MS_BIND | 0x4000):
        _mount("none", target, kind, flags | _MS_REMOUNT, "")  # a bind ignores ro and the like at first


def is_mounted(target: Path) -> bool:
    """Whether something is mounted on *target*. (``os.path.ismount`` misses binds within one file system.)"""
    wanted = os.path.realpath(target)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return any(_unescaped(line.split(" ", 5)[4]) == wanted for line in file)


def unmount(target: Path) -> None:
    """Unmount all that is mounted on *target*; what still uses it keeps it until it ends."""
    while _libc.umount2(os.fsencode(target), _MNT_DETACH) == 0:
        pass
    if (code := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOENT):  # not a mount point; not there
        raise EngineError(f"cannot unmount {target}: {os.strerror(code)}")


def _unescaped(text: str) -> str:
    """A path as proc(5) writes it: blanks and backslashes are octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mount(device: str, target: Path, kind: str, flags: int, data: str) -> None:
    arguments = (os.fsencode(device), os.fsencode(target), os.fsencode(kind))
    if _libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(data) or None) != 0:
        reason = os.strerror(ctypes.get_errno()).lower()
        raise EngineError(f"failed to mount local volume: mount {device}:{target}, flags: {flags:#x}: {reason}")


def _parse(text: str) -> tuple[int, str]:
    """The flags and the file system's own data of a mount(8) option string."""
    flags, data = 0, []
    for option in filter(None, text.split(",")):
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option not in _NO_FLAG:
            data.append(option)
    return flags, ",".join(data)
