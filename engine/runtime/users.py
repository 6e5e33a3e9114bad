"""Who a process runs as: Docker's ``user[:group]`` looked up in the container's own passwd and group files.

The files are the image's: hostile, perhaps huge, perhaps links; by now ``/`` is the container's root, and only
regular files of up to `_LIMIT` bytes are read. Formats: passwd(5), group(5).
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT = 8 * 2**20
_MAX_ID = 2**31 - 1


class Identity:
    """What a user specification came to."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid, self.gid, self.groups, self.home = uid, gid, groups, home


def look_up(user: str, additional_groups: tuple[str, ...], read: Callable[[str], str] | None = None) -> Identity:
    """The identity of *user*; raises `LookupError` with Docker's words when there is none.

    *read* gives a file's text, ``""`` if absent; from the root directory unless said otherwise.
    """
    read = read or read_file
    name, _, group = user.partition(":")
    uid, gid, home, login = _find_user(name, read("/etc/passwd"))
    entries = _entries(read("/etc/group"), 3) if (group or additional_groups or login) else []
    groups = []
    if group:
        gid = _find_group(group, entries)
    elif login:
        groups = [int(entry[2]) for entry in entries if len(entry) > 3 and login in entry[3].split(",")]
    groups += [_find_group(extra, entries) for extra in additional_groups]
    return Identity(uid, gid, list(dict.fromkeys([gid, *groups])), home)


def _find_user(name: str, passwd: str) -> tuple[int, int, str, str]:
    wanted = name or "0"
    for entry in _entries(passwd, 4):
        if wanted in (entry[0], entry[2]):
            return int(entry[2]), int(entry[3] or 0), entry[5] if len(entry) > 5 else "/", entry[0]
    return _number(wanted, f"unable to find user {name}: no matching entries in passwd file"), 0, "/", ""


def _find_group(name: str, entries: list[list[str]]) -> int:
    for entry in entries:
        if name in (entry[0], entry[2]):
            return int(entry[2])
    return _number(name, f"unable to find group {name}: no matching entries in group file")


def _number(text: str, message: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise LookupError(message)
    if int(text) > _MAX_ID:
        raise LookupError("uids and gids must be in range 0-2147483647")
    return int(text)


def _entries(text: str, numbers: int) -> list[list[str]]:
    """The lines whose third field (and fourth, for passwd) is a number; others are not users."""
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= numbers and fields[2].isascii() and fields[2].isdigit():
            if numbers == 4 and fields[3] and not (fields[3].isascii() and fields[3].isdigit()):
                continue
            found.append(fields)
    return found


def read_file(path: str) -> str:
    """The text of a regular file, up to the limit; ``""`` for anything else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, _LIMIT).decode(errors="replace")
    finally:
        os.close(fd)
