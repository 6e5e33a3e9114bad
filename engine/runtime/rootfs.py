"""A container's root file system: mounted, entered, and shut off from the host's.

All happens in the container's own mount namespace, on a small tmpfs laid over its bundle directory there:

    <bundle>      tmpfs, only in this namespace
      ├ u, w      links to the overlay's upper and work directories
      ├ 0, 1, …   links to its lower directories, top layer first
      └ r         the root is mounted here, and everything else below it; then ``pivot_root``

The links keep the options of the overlay in the one page that mount(2) takes, however many layers there are and
whatever characters their paths hold, and the container's /proc/mounts free of the host's paths.
"""

from __future__ import annotations

import os

from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pymachine.engine.runtime.spec import Rootfs


def isolate() -> None:
    """Let no mount made from here on reach the host (mounts of the host still come in, for ``rslave``)."""
    sys_.mount("none", "/", None, sys_.MS_SLAVE | sys_.MS_REC)


def mount_root(rootfs: Rootfs, bundle: str) -> int:
    """Mount the root; an O_PATH descriptor of it. The working directory becomes its parent."""
    sys_.mount("pyengine", bundle, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=700,size=1m")
    os.chdir(bundle)
    os.mkdir("r", 0o755)
    if rootfs.type == "overlay":
        _mount_overlay(rootfs)
    else:
        sys_.mount(rootfs.source, "r", None, sys_.MS_BIND | sys_.MS_REC)
        sys_.mount("none", "r", None, sys_.MS_PRIVATE | sys_.MS_REC)
    return os.open("r", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _mount_overlay(rootfs: Rootfs) -> None:
    for index, lower in enumerate(rootfs.lower):
        os.symlink(lower, str(index))
    os.symlink(rootfs.upper, "u")
    os.symlink(rootfs.work, "w")
    lower = ":".join(map(str, range(len(rootfs.lower))))
    # index=off: the same upper directory may be mounted elsewhere for a moment (docker cp, diff, commit).
    sys_.mount("overlay", "r", "overlay", 0, f"index=off,lowerdir={lower},upperdir=u,workdir=w")


class _Surroundings:
    """What is found out once, before the first shim is forked."""

    chrooted = False


def look_around() -> None:
    """Find out whether the daemon was started in a chroot: its root is then not its mount namespace's.

    Joining a mount namespace, be it one's own, leads to that one's root (setns(2)); the way back is by descriptors.
    """
    root, cwd = (os.open(path, os.O_PATH | os.O_CLOEXEC) for path in ("/", "."))
    try:
        ours = _mount_of(root)
        _to_the_namespaces_root()
        top = os.open("/", os.O_PATH | os.O_CLOEXEC)
        _Surroundings.chrooted = _mount_of(top) != ours
        os.close(top)
        os.fchdir(root)
        os.chroot(".")
        os.fchdir(cwd)
    finally:
        os.close(root)
        os.close(cwd)


def _mount_of(descriptor: int) -> str:
    """Which mount it is on (proc_pid_fdinfo(5)); the root of a bind mount has its origin's device and number."""
    fd = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return next(line for line in os.read(fd, 4096).decode().splitlines() if line.startswith("mnt_id:"))
    finally:
        os.close(fd)


def _to_the_namespaces_root() -> None:
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        sys_.setns(namespace, sys_.CLONE_NEWNS)
    finally:
        os.close(namespace)


def enter(root: int) -> None:
    """Make *root* the root and let go of everything outside it.

    ``pivot_root(".", ".")`` stacks the old root on the new one (pivot_root(2), Notes): no folder is needed for it.
    In a chroot it would exchange the chroot alone: the namespace's root, which is where a later ``exec`` arrives,
    would stay the computer's. So the namespace's own root is gone to first.
    """
    if _Surroundings.chrooted:
        _to_the_namespaces_root()
    os.fchdir(root)
    sys_.pivot_root(".", ".")
    sys_.umount2(".", sys_.MNT_DETACH)
    os.chdir("/")


def make_read_only() -> None:
    """Make the root mount itself read-only; volumes and tmpfs mounted below stay as they are."""
    sys_.mount_setattr(sys_.AT_FDCWD, "/", add=sys_.MOUNT_ATTR_RDONLY, recursive=False)


def mask(path: str) -> None:
    """Put nothing over *path*: /dev/null over a file, an empty read-only tmpfs over a folder."""
    try:
        sys_.mount("/dev/null", path, None, sys_.MS_BIND)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if os.path.isdir(path):
            sys_.mount("tmpfs", path, "tmpfs", sys_.MS_RDONLY, "size=0k")


def protect(path: str) -> None:
    """Make *path* and what is mounted below read-only."""
    try:
        sys_.mount(path, path, None, sys_.MS_BIND | sys_.MS_REC)
    except FileNotFoundError:
        return
    sys_.mount_setattr(sys_.AT_FDCWD, path, add=sys_.MOUNT_ATTR_RDONLY, recursive=True)
