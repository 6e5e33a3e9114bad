"""Makes the mounts of a container real: volumes, missing host directories, the image's content in new volumes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import inroot
from pymachine.engine.containers.binds import Wish
from pymachine.engine.containers.model import MountPoint
from pymachine.engine.runtime.spec import Rootfs
from pymachine.engine.volumes.base import Volumes
from pymachine.engine.volumes.copying import copy_up

Root = Callable[[], AbstractContextManager[Path]]
"""Mounts the container's root file system for the while of a block."""


def named(wishes: list[Wish]) -> list[Wish]:
    """*wishes* with names for the anonymous volumes."""
    return [
        replace(wish, point=replace(wish.point, name=secrets.token_hex(32)))
        if wish.point.type == "volume" and not wish.point.name
        else wish
        for wish in wishes
    ]


def prepare(wishes: list[Wish], container_id: str, volumes: Volumes, rootfs: Rootfs, root: Root) -> list[MountPoint]:
    """Fulfil *wishes*, all named; the caller releases them when one fails. Blocks."""
    return [_prepare(wish, container_id, volumes, rootfs, root) for wish in wishes]


def _prepare(wish: Wish, container_id: str, volumes: Volumes, rootfs: Rootfs, root: Root) -> MountPoint:
    point = wish.point
    if point.type == "bind":
        _check_bind(point.source, make=wish.make_source)
        return point
    if point.type != "volume":
        return point
    directory = volumes.ensure(point.name, labels=dict(wish.labels or {}), anonymous=point.anonymous)
    volumes.use(point.name, container_id)
    if wish.copy and not any(os.scandir(directory)) and not _surely_absent(rootfs, point.destination):
        with root() as top:
            _copy_up(top, point.destination, directory)
    source = _below(directory, wish.subpath) if wish.subpath else str(directory)
    return replace(point, source=source)


def _surely_absent(rootfs: Rootfs, path: str) -> bool:
    """Whether no layer has *path*: spares most new volumes the mount that looking into the image takes.

    Once a link is met on the way it is left to the mount to say.
    """
    if rootfs.type != "overlay":
        return False
    prefix = ""
    for part in path.strip("/").split("/"):
        prefix += f"/{part}"
        found = [f"{lower}{prefix}" for lower in rootfs.lower if os.path.lexists(f"{lower}{prefix}")]
        if not found:
            return True
        if any(os.path.islink(name) for name in found):
            return False
    return False


def _below(directory: Path, subpath: str) -> str:
    path = os.path.realpath(directory / subpath)
    if not path.startswith(f"{directory}/") or not os.path.exists(path):
        raise InvalidArgument(f"cannot access path {subpath} in the volume: no such file or directory")
    return path


def _check_bind(source: str, *, make: bool) -> None:
    if os.path.lexists(source):
        return
    if not make:
        raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {source}')
    try:
        os.makedirs(source, 0o755, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(f"error while creating mount source path '{source}': {error.strerror}") from error


def _copy_up(top: Path, where: str, volume: Path) -> None:
    """Copy what the image has at *where* into the new volume."""
    with inroot.directory(top, where) as descriptor:
        if descriptor is not None:
            # The kernel has followed every link inside the root: this is the directory's plain path.
            copy_up(volume, Path(os.readlink(f"/proc/self/fd/{descriptor}")))


def release(points: list[MountPoint], container_id: str, volumes: Volumes, *, remove: bool) -> None:
    """Forget the use of volumes; *remove* also removes the anonymous ones. Blocks."""
    for point in points:
        if point.type != "volume":
            continue
        volumes.unuse(point.name, container_id)
        if remove and point.anonymous:
            try:
                volumes.remove(point.name)
            except Exception:  # in use through --volumes-from, or gone: not ours to remove then
                continue
