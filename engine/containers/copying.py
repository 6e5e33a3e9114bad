"""``docker cp`` and ``docker export``: what a path is, reading it, writing below it."""

from __future__ import annotations

import base64
import json
import os
import posixpath
import stat
from typing import IO, Any

from pymachine.dockerapi.errors import Forbidden, InvalidArgument, NotFound
from pymachine.engine.containers import inroot, rootviews
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.tarin import TreeReader
from pymachine.engine.containers.tarout import TreeWriter
from pymachine.engine.containers.times import stamp_nanoseconds

_GO_KINDS = {
    stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24, stat.S_IFCHR: 1 << 26 | 1 << 21,
}  # fmt: skip
"""File kinds as the bits that the API's ``mode`` has them in (those of Go's ``fs.FileMode``)."""


def clean(path: str) -> str:
    """An absolute, normalised path in the container. A relative one counts from its root, as with Docker."""
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")
    if "\0" in path:
        raise InvalidArgument("bad parameter: path holds a null byte")
    return posixpath.normpath("/" + path.lstrip("/"))


def describe(context: Context, container: Container, path: str) -> str:
    """The value of ``X-Docker-Container-Path-Stat``; raises `NotFound`. Blocks."""
    with rootviews.holding(context, container, clean(path)) as (root, inside):
        view = _describe(root, inside, clean(path), follow=path.endswith(("/", "/.")))
    return base64.b64encode(json.dumps(view).encode()).decode()


def _describe(root: int, inside: str, shown: str, *, follow: bool) -> dict[str, Any]:
    flags = os.O_PATH if follow else os.O_PATH | os.O_NOFOLLOW
    try:
        with inroot.opened(root, inside, flags) as descriptor:
            status = os.fstat(descriptor)
            target = ""
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink("", dir_fd=descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Could not find the file {shown} in the container") from None
    return {
        "name": posixpath.basename(shown) or "/",
        "size": status.st_size,
        "mode": _go_mode(status.st_mode),
        "mtime": stamp_nanoseconds(status.st_mtime_ns),
        "linkTarget": posixpath.normpath(posixpath.join(posixpath.dirname(shown), target)) if target else "",
    }


def _go_mode(mode: int) -> int:
    special = (stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20)
    bits = sum(bit for flag, bit in special if mode & flag)
    return mode & 0o777 | _GO_KINDS.get(stat.S_IFMT(mode), 0) | bits


def read(context: Context, container: Container, path: str, output: IO[bytes]) -> None:
    """Write *path* as a tar whose only top entry is its name. Blocks."""
    shown = clean(path)
    with rootviews.holding(context, container, shown) as (root, inside):
        writer = TreeWriter(output)
        parent, name = posixpath.split(inside)
        if path.endswith(("/", "/.")) or not name:
            with inroot.opened(root, inside, os.O_PATH | os.O_DIRECTORY) as descriptor:
                writer.add(descriptor, ".", posixpath.basename(shown) or "/")
        else:
            with inroot.opened(root, parent, os.O_PATH | os.O_DIRECTORY) as descriptor:
                writer.add(descriptor, name, posixpath.basename(shown))
        writer.close()


def export(context: Context, container: Container, output: IO[bytes]) -> None:
    """Write the whole root file system, without what is mounted in it. Blocks."""
    with rootviews.opened(context, container) as root, inroot.opened(root, "/", os.O_RDONLY | os.O_DIRECTORY) as top:
        writer = TreeWriter(output)
        writer.add_contents(top, "", os.fstat(top).st_dev)
        writer.close()


def write(
    context: Context, container: Container, path: str, source: IO[bytes], *, keep_owners: bool, keep_kinds: bool
) -> None:
    """Unpack an archive into the directory *path*; raises `NotFound`, `InvalidArgument`, `Forbidden`. Blocks."""
    shown = clean(path)
    _check_writable(container, shown)
    with rootviews.holding(context, container, shown) as (root, inside):
        try:
            with inroot.opened(root, inside, os.O_PATH | os.O_DIRECTORY):
                pass
        except FileNotFoundError:
            raise NotFound(f"Could not find the file {shown} in container {container.name}") from None
        except NotADirectoryError:
            raise InvalidArgument("extraction point is not a directory") from None
        TreeReader(root, inside, keep_owners=keep_owners, keep_kinds=keep_kinds).unpack(source)


def _check_writable(container: Container, path: str) -> None:
    """A running container's read-only mounts refuse by themselves; a stopped one's have to be looked up."""
    for point in container.mounts:
        if point.read_only and (path == point.destination or path.startswith(f"{point.destination}/")):
            raise Forbidden("mounted volume is marked read-only")
    if container.host_config.get("ReadonlyRootfs") and not any(
        path == point.destination or path.startswith(f"{point.destination}/") for point in container.mounts
    ):
        raise Forbidden("container rootfs is marked read-only")
