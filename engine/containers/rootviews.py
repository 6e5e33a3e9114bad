"""The file system of a container as the daemon can reach it, for cp, export and diff."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pymachine.engine.containers import inroot
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container, MountPoint


@contextmanager
def opened(context: Context, container: Container) -> Iterator[int]:
    """The container's root, open for the while of a block. Blocks.

    Of a running container it is what its own processes see, volumes and tmpfs included.
    """
    if container.state.running:
        with inroot.top(f"/proc/{container.state.pid}/root") as descriptor:
            yield descriptor
        return
    with context.graph.mounted(container.id) as path, inroot.top(path) as descriptor:
        yield descriptor


@contextmanager
def holding(context: Context, container: Container, path: str) -> Iterator[tuple[int, str]]:
    """A root and the path below it that lead to *path* in the container.

    While the container does not run its volumes are not mounted: a path in one of them is found in the
    volume's own directory.
    """
    point = None if container.state.running else _volume_of(container, path)
    if point is None:
        with opened(context, container) as root:
            yield root, path
        return
    source, below = point.source, path[len(point.destination) :]
    if not os.path.isdir(source):  # one file is mounted
        source, name = os.path.split(source)
        below = f"/{name}{below}"
    with inroot.top(source) as root:
        yield root, below or "/"


def _volume_of(container: Container, path: str) -> MountPoint | None:
    """The innermost mount point that *path* lies in."""
    found = [
        point
        for point in container.mounts
        if point.source and (path == point.destination or path.startswith(f"{point.destination}/"))
    ]
    return max(found, key=lambda point: len(point.destination), default=None)
