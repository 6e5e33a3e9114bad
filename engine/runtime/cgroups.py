"""A container's control group, of either version, behind one interface.

The computer has version 2 alone (``/sys/fs/cgroup`` is it), version 1 alone, or both side by side with the
controllers in version 1 (``hybrid``); then version 1 is used. Everything goes by the mount table of the calling
process, read once: the spawner reads it before any shim is forked.

Sources: cgroups(7), Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import os

from pymachine.engine.runtime import inroot
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from pymachine.engine.runtime.spec import ContainerSpec, Mount, Resources

    class Cgroup(Protocol):
        """One container's control group."""

        def create(self, resources: Resources, devices: tuple[str, ...] | None) -> list[str]:
            """Make it with these limits (*devices* are the allowed ones, ``None`` for all); warnings."""
            ...

        def update(self, resources: Resources) -> list[str]:
            """Change the limits that *resources* sets; warnings about those that this computer can't."""
            ...

        def add(self, pid: int) -> None:
            """Move a process into it; 0 is the calling one."""
            ...

        def set_frozen(self, frozen: bool) -> None:
            """Stop, or let go on, all its processes; returns when it is so."""
            ...

        def processes(self) -> list[int]:
            """The pids in it and below it."""
            ...

        def kill(self) -> None:
            """Send SIGKILL to all of them."""
            ...

        def oom_kills(self) -> int:
            """How many processes the kernel killed for want of memory."""
            ...

        def remove(self) -> None:
            """Remove it and those below; fine when absent. `OSError` EBUSY while processes are in it."""
            ...


V1_CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "blkio", "devices", "freezer", "cpuset")


class Hierarchies:
    """Where control groups are mounted here."""

    def __init__(self, mountinfo: str) -> None:
        self.unified = ""
        self.legacy: dict[str, str] = {}
        """Mount points of version 1, by controller."""
        for line in mountinfo.splitlines():
            fields, _, tail = line.partition(" - ")
            kind, _, options = tail.partition(" ")
            point = fields.split(" ")[4]
            if kind == "cgroup2" and not self.unified:
                self.unified = point
            elif kind == "cgroup":
                for controller in options.rsplit(" ", 1)[-1].split(","):
                    if controller in V1_CONTROLLERS:
                        self.legacy.setdefault(controller, point)


_found: Hierarchies | None = None


def hierarchies() -> Hierarchies:
    """This computer's hierarchies, read once a process and inherited by those it forks."""
    global _found
    if _found is None:
        with open("/proc/self/mountinfo", "rb") as file:
            _found = Hierarchies(os.fsdecode(file.read()))
    return _found


def of(path: str) -> Cgroup:
    """The control group *path* (``pyengine/<id>``); nothing is made yet."""
    found = hierarchies()
    if found.legacy:
        from pymachine.engine.runtime.cgroup1 import CgroupV1

        return CgroupV1(path, found.legacy)
    from pymachine.engine.runtime.cgroup2 import CgroupV2

    return CgroupV2(path, found.unified)


def join_beside(path: str, pid: int) -> None:
    """Move the calling process into the control group *path*, or (version 2) to where process *pid* is now.

    A container whose own init divides its group (systemd does) has moved itself further down: its former group
    then passes controllers on, and such a one takes no process.
    """
    try:
        of(path).add(0)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        present = read(f"/proc/{pid}/cgroup").rpartition("0::/")[2].strip()
        write(f"{hierarchies().unified}/{present}/cgroup.procs", "0")


def write(path: str, value: str) -> None:
    """Write *value* to the control file *path* in one write(2); `OSError` with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def read(path: str) -> str:
    """The content of the control file *path*."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts).decode()
    finally:
        os.close(fd)


def field(path: str, name: str) -> int:
    """The number after *name* in a file of ``name number`` lines; 0 when it isn't there."""
    try:
        for line in read(path).splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


def try_settings(settings: list[tuple[str, str, str]]) -> list[str]:
    """Write each (file, value, what it is for), and return a warning for each that can't be."""
    warnings = []
    for path, value, purpose in settings:
        try:
            write(path, value)
        except OSError as error:
            warnings.append(f"{purpose}: {error.strerror}: {path} = {value}")
    return warnings


def folders_below(folder: str) -> list[str]:
    """*folder* and all below it, deepest first."""
    found: list[str] = []
    try:
        names = [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    for name in names:
        found += folders_below(name)
    return [*found, folder]


def remove_tree(folder: str) -> None:
    """Remove a control group and those below it."""
    for path in folders_below(folder):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass


def kill_all(cgroup: Cgroup) -> None:
    """Send SIGKILL to each process of *cgroup*."""
    for pid in cgroup.processes():
        try:
            os.kill(pid, sys_.SIGKILL)
        except ProcessLookupError:
            pass


def mount_inside(root: int, mount: Mount, spec: ContainerSpec) -> None:
    """Mount the container's view of its control group at *mount*'s destination."""
    found = hierarchies()
    flags = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
    read_only = sys_.MS_RDONLY if "ro" in mount.options else 0
    target = inroot.ensure_folder(root, mount.destination)
    try:
        place = inroot.name_of(target)
        if found.legacy:
            sys_.mount("tmpfs", place, "tmpfs", flags, "mode=755,size=64k")
        elif spec.namespaces.cgroup == "private":
            sys_.mount("cgroup", place, "cgroup2", flags)
        else:
            sys_.mount(f"{found.unified}/{spec.cgroup}", place, None, sys_.MS_BIND)
    finally:
        os.close(target)
    base = inroot.open_path(root, mount.destination)  # again: the descriptor above is of what is below the mount
    try:
        if found.legacy:
            _mount_legacy(found.legacy, base, spec, flags, read_only)
        if read_only:
            sys_.mount_setattr(base, "", add=sys_.MOUNT_ATTR_RDONLY, recursive=False)
    finally:
        os.close(base)


def _mount_legacy(legacy: dict[str, str], base: int, spec: ContainerSpec, flags: int, read_only: int) -> None:
    for point in dict.fromkeys(legacy.values()):
        controllers = [name for name, where in legacy.items() if where == point]
        name = ",".join(controllers)
        os.mkdir(name, 0o755, dir_fd=base)
        folder = f"{inroot.name_of(base)}/{name}"
        if spec.namespaces.cgroup == "private":
            sys_.mount("cgroup", folder, "cgroup", flags | read_only, name)
        else:
            _bind_own(f"{point}/{spec.cgroup}", folder, read_only)
        for alias in controllers if len(controllers) > 1 else []:
            os.symlink(name, alias, dir_fd=base)


def _bind_own(source: str, target: str, read_only: int) -> None:
    sys_.mount(source, target, None, sys_.MS_BIND)
    if read_only:
        sys_.mount_setattr(sys_.AT_FDCWD, target, add=sys_.MOUNT_ATTR_RDONLY, recursive=False)
