"""What the user who called the helper may touch with it.

Sources: sudo(8) for ``SUDO_UID``, credentials(7), path_resolution(7).
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pymachine.drivers.local import jsonfile
from pymachine.drivers.local.layout import DEFAULT_ROOT, Layout, MachinePaths
from pymachine.drivers.local.options import Mount, Options
from pymachine.machine.errors import DriverError, InvalidOption, MissingRequirement

_ID = re.compile(r"[0-9a-f-]{36}\n?")
_MAY = """
import os, sys
for path, mode in zip(sys.argv[1::2], sys.argv[2::2]):
    real = os.path.realpath(path)
    wanted = os.R_OK | (os.W_OK if mode == "rw" else 0) | (os.X_OK if os.path.isdir(real) else 0)
    mine = os.access(real, wanted) and os.stat(real).st_uid == os.getuid()
    print(real if mine and "\\n" not in real else "")
"""
"""Run as the caller: the real path of each mount's source, or nothing when it is not the caller's to give away."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who ran sudo."""

    uid: int
    gid: int
    name: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Caller:
        """As sudo says; raises `MissingRequirement` when it was not sudo that started us, for then nobody says."""
        try:
            account = pwd.getpwuid(int(environ["SUDO_UID"]))
        except (KeyError, ValueError):
            raise MissingRequirement("pymachine's helper is to be run by sudo, and by nothing else") from None
        return cls(account.pw_uid, account.pw_gid, account.pw_name)


def layout(roots: tuple[str, str]) -> Layout:
    """Where machines and images are. Other places than the default were made by root, and only root can change them;
    raises `DriverError` for any else."""
    root = Path(roots[0] or DEFAULT_ROOT)
    images = Path(roots[1]) if roots[1] else root / "images"
    if root != DEFAULT_ROOT:
        _require(root, "PYMACHINE_LOCAL_ROOT", _has_id(root))
    if images != root / "images":
        _require(images, "PYMACHINE_IMAGE_ROOT", _is_roots(images / "names") and _is_roots(images / ".lock"))
    return Layout(root, images)


def _require(path: Path, variable: str, marked: bool) -> None:
    if marked and all(_is_roots(place) for place in (path, *path.parents)):
        return
    raise DriverError(
        f"{path} is no folder that root has made for local machines",
        hint=f"unset {variable}, or let root use the folder first, with: sudo {variable}={path} pymachine create NAME",
    )


def _is_roots(path: Path) -> bool:
    """Whether only root can change or replace what is at *path*; a sticky folder keeps others from root's entries."""
    if not path.is_absolute() or ".." in path.parts:
        return False
    try:
        found = os.lstat(path)
    except OSError:
        return False
    closed = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or bool(found.st_mode & stat.S_ISVTX)
    return found.st_uid == 0 and closed and not stat.S_ISLNK(found.st_mode)


def _has_id(root: Path) -> bool:
    path = root / "id"
    return _is_roots(path) and _ID.fullmatch(path.read_text(errors="replace")) is not None


def check_owner(paths: MachinePaths, caller: Caller) -> None:
    """Raise `DriverError` unless the machine is the caller's, or there is none: its folder is empty until the record
    of whose it is has been written (`jsonfile.write`), and once that is removed, as the last of all."""
    if caller.uid == 0 or not os.path.lexists(paths.directory):
        return
    record = jsonfile.read(paths.record)
    if record.get("owner") == caller.uid or not (record or _has_more(paths)):
        return
    raise DriverError(f"the machine {paths.directory.name} is another user's")


def _has_more(paths: MachinePaths) -> bool:
    """Whether there is anything in the folder but what a killed process was about to make the record."""
    return any(not entry.name.startswith(f".{paths.record.name}.") for entry in paths.directory.iterdir())


def own_mounts(options: Options, caller: Caller) -> Options:
    """The options, with mounts by their real paths: only what the caller owns, and may read (and write).

    Raises `InvalidOption` naming all others.
    """
    mounts = options.mounts()
    if not mounts or caller.uid == 0:
        return options
    found = _real_paths(mounts, caller)
    if wrong := [mount.source for mount, path in zip(mounts, found, strict=True) if not path]:
        raise InvalidOption(
            "; ".join(f"--local-mount: {source} is not a place that {caller.name} owns" for source in wrong),
            hint="without root, only your own files and directories can be mounted",
        )
    resolved = [
        f"{path}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount, path in zip(mounts, found, strict=True)
    ]
    changed = replace(options, mount=tuple(resolved))
    changed.mounts()  # a real path may have a colon
    return changed


def _real_paths(mounts: list[Mount], caller: Caller) -> list[str]:
    words = [word for mount in mounts for word in (mount.source, "ro" if mount.read_only else "rw")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MAY, *words],
        user=caller.uid,
        group=caller.gid,
        extra_groups=os.getgrouplist(caller.name, caller.gid),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=30,
    )
    lines = done.stdout.split("\n")[:-1]
    return lines if done.returncode == 0 and len(lines) == len(mounts) else [""] * len(mounts)
