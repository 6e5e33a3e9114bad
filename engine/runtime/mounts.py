"""The mounts of a container, made below its root before ``pivot_root``.

Sources are the host's, destinations the container's: each destination is opened inside the root
(`pymachine.engine.runtime.inroot`) and mounted on by descriptor, so that links in an image lead nowhere.
"""

from __future__ import annotations

import os

from pymachine.engine.runtime import cgroups, inroot, mountoptions
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pymachine.engine.runtime.spec import ContainerSpec, Mount


def open_shared(spec: ContainerSpec) -> dict[str, int]:
    """Copies of the mounts that are to stay shared with the host, by destination.

    To be taken before the container's mounts are cut off from the host's: a copy keeps its peers.
    """
    flags = sys_.OPEN_TREE_CLONE | sys_.OPEN_TREE_CLOEXEC | sys_.AT_RECURSIVE
    return {
        mount.destination: sys_.open_tree(mount.source, flags)
        for mount in spec.mounts
        if mount.type == "bind" and ("rshared" in mount.options or "shared" in mount.options)
    }


def make(root: int, mount: Mount, spec: ContainerSpec, shared: dict[str, int]) -> None:
    """Make one mount; `OSError` with the destination."""
    try:
        if mount.type == "bind":
            _bind(root, mount, shared.get(mount.destination))
        elif mount.type == "cgroup":
            cgroups.mount_inside(root, mount, spec)
        else:
            _file_system(root, mount)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"mounting {mount.source} at {mount.destination}") from error


def _file_system(root: int, mount: Mount) -> None:
    flags, propagation, data = mountoptions.parse(mount.options)
    target = inroot.ensure_folder(root, mount.destination)
    try:
        sys_.mount(mount.source, inroot.name_of(target), mount.type, flags, data)
    finally:
        os.close(target)
    if propagation:
        _set_propagation(root, mount.destination, propagation)


def _bind(root: int, mount: Mount, shared: int | None) -> None:
    flags, propagation, _ = mountoptions.parse(mount.options)
    clone = sys_.OPEN_TREE_CLONE | sys_.OPEN_TREE_CLOEXEC
    tree = shared if shared is not None else sys_.open_tree(mount.source, clone | _recursion(flags))
    try:
        ensure = inroot.ensure_folder if inroot.is_folder(tree) else inroot.ensure_file
        target = ensure(root, mount.destination)
        try:
            sys_.move_mount(tree, target, mount.destination)
        finally:
            os.close(target)
        _restrict(tree, flags)
    finally:
        os.close(tree)
    if shared is None:
        _set_propagation(root, mount.destination, propagation or sys_.MS_PRIVATE | sys_.MS_REC)


def _recursion(flags: int) -> int:
    return sys_.AT_RECURSIVE if flags & sys_.MS_REC else 0


# MOUNT_ATTR_ has the same values as MS_ for these four, and another for noatime.
_ATTRIBUTES = sys_.MS_RDONLY | sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC


def _restrict(tree: int, flags: int) -> None:
    """Apply ``ro`` and the like, to the mounts below as well when the bind is recursive (as Docker 25+)."""
    if flags & _ATTRIBUTES:
        sys_.mount_setattr(tree, "", add=flags & _ATTRIBUTES, recursive=bool(flags & sys_.MS_REC))


def _set_propagation(root: int, destination: str, propagation: int) -> None:
    target = inroot.open_path(root, destination)
    try:
        sys_.mount("none", inroot.name_of(target), None, propagation)
    finally:
        os.close(target)
