"""/dev of a container: its nodes, its links, and the terminal of a process."""

from __future__ import annotations

import os
import stat

from pymachine.engine.runtime import inroot
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pymachine.engine.runtime.spec import Device

_NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)
_TIOCSWINSZ, _TIOCSCTTY, _TIOCSPTLCK, _TIOCGPTN = 0x5414, 0x540E, 0x40045431, 0x80045430


def populate(root: int) -> None:
    """Make the standard nodes and links in /dev of *root*, where they are missing."""
    folder = inroot.ensure_folder(root, "/dev")
    try:
        for name, major, minor in _NODES:
            _make_node(folder, name, stat.S_IFCHR, os.makedev(major, minor), 0o666, f"/dev/{name}")
        for name, target in _LINKS:
            try:
                os.symlink(target, name, dir_fd=folder)
            except FileExistsError:
                pass
    finally:
        os.close(folder)


def add_device(root: int, device: Device) -> None:
    """Make a node like the host's at the place in the container that *device* says."""
    _copy_node(root, device.path_on_host, device.path_in_container)


def _copy_node(root: int, host: str, inside: str) -> None:
    found = os.stat(host)
    head, _, name = inside.rpartition("/")
    folder = inroot.ensure_folder(root, head or "/")
    try:
        kind, mode = stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)
        if _make_node(folder, name, kind, found.st_rdev, mode, host):
            os.chown(name, found.st_uid, found.st_gid, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def add_all_devices(root: int) -> None:
    """Every device node of the host's /dev (privileged containers)."""
    for path in _host_devices("/dev"):
        try:
            _copy_node(root, path, path)
        except OSError:
            continue  # a device that vanished meanwhile, or whose folder the image has as a file


def _host_devices(folder: str) -> list[str]:
    found = []
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in ("pts", "shm", "fd", "mqueue", ".lxc", ".udev"):
                found += _host_devices(entry.path)
        elif entry.name not in ("console", "ptmx") and not entry.is_symlink():
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                found.append(entry.path)
    return found


def _make_node(folder: int, name: str, kind: int, number: int, mode: int, host: str) -> bool:
    """Make a node; where that is not allowed (in a user namespace) mount the host's. False if it was there."""
    try:
        os.mknod(name, kind | mode, number, dir_fd=folder)
    except FileExistsError:
        return False
    except PermissionError:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=folder))
        sys_.mount(host, f"{inroot.name_of(folder)}/{name}", None, sys_.MS_BIND)
        return False
    os.chmod(name, mode, dir_fd=folder)  # the umask took part above
    return True


def open_terminal(size: tuple[int, int]) -> tuple[int, int]:
    """A new pseudo-terminal of the container's own devpts: its master and the slave."""
    from fcntl import ioctl

    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    ioctl(master, _TIOCSPTLCK, (0).to_bytes(4, "little"))
    number = int.from_bytes(ioctl(master, _TIOCGPTN, bytes(4)), "little")
    resize_terminal(master, *size)
    return master, os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def resize_terminal(fd: int, rows: int, columns: int) -> None:
    """Set the size of the terminal *fd*."""
    from fcntl import ioctl

    if rows or columns:
        ioctl(fd, _TIOCSWINSZ, rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4))


def take_terminal(fd: int) -> None:
    """Make the terminal *fd* the controlling one of the calling session leader, and its streams."""
    from fcntl import ioctl

    ioctl(fd, _TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(fd, stream, inheritable=True)


def mount_console(slave: int) -> None:
    """Make *slave* the container's /dev/console."""
    number = os.readlink(f"/proc/self/fd/{slave}")
    try:
        os.close(os.open("/dev/console", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY, 0o666))
    except OSError:
        return  # an image with something else there, on a read-only root: the container can do without
    sys_.mount(number, "/dev/console", None, sys_.MS_BIND)
