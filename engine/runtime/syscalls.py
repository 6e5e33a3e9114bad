"""The kernel's calls that Python 3.11 lacks, under their kernel names, by ctypes.

Each raises `OSError` with the path it was about. The library is loaded as ``PyDLL``: the runtime's processes
have one thread, so giving the interpreter lock away around a call of a microsecond would only cost time, and
no handler of the C library's ``fork`` runs in `clone`.

Sources: mount(2), pivot_root(2), openat2(2), open_tree(2), move_mount(2), mount_setattr(2), setns(2),
unshare(2), clone(2), prctl(2), capset(2), signalfd(2), close_range(2); numbers from asm/unistd.h.
Needs Linux 5.12 or newer (``mount_setattr``).
"""

from __future__ import annotations

import ctypes
import os

# --- mount(2), umount2(2)
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MNT_DETACH = 2
# --- open_tree(2), move_mount(2), mount_setattr(2)
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 1
# --- openat2(2)
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_IN_ROOT = 16
# --- clone(2), unshare(2), setns(2)
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
SIGCHLD = 17
SIGKILL = 9
SIGXFSZ = 25
SIGTERM = 15
SIGPIPE = 13
# --- prctl(2)
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
SFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

_NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "bpf": 321},
    "aarch64": {"clone": 220, "pivot_root": 41, "bpf": 280},
}
_NR = _NUMBERS.get(os.uname().machine, _NUMBERS["x86_64"])
_NR_open_tree, _NR_move_mount, _NR_close_range = 428, 429, 436  # one number on every architecture
_NR_openat2, _NR_mount_setattr = 437, 442

_libc = ctypes.PyDLL(None, use_errno=True)
# Looked up here, once, and not by each forked process at its first call.
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_long = ctypes.c_long
_capget = _libc.capget
_capset = _libc.capset
_mount = _libc.mount
_prctl = _libc.prctl
_prlimit64 = _libc.prlimit64
_setdomainname = _libc.setdomainname
_sethostname = _libc.sethostname
_setns = _libc.setns
_signal = _libc.signal
_signalfd = _libc.signalfd
_sigprocmask = _libc.sigprocmask
_sigwait = _libc.sigwait
_umount2 = _libc.umount2
_unshare = _libc.unshare


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def _bytes(path: str) -> bytes:
    return os.fsencode(path)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    _check(
        _mount(
            _bytes(source),
            _bytes(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None if data is None else _bytes(data),
        ),
        target,
    )


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_umount2(_bytes(target), flags), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _check(_syscall(_long(_NR["pivot_root"]), _bytes(new_root), _bytes(put_old)), new_root)


def open_tree(path: str, flags: int) -> int:
    """A descriptor of *path*'s mount, with `OPEN_TREE_CLONE` of a detached copy of it."""
    return _check(_syscall(_long(_NR_open_tree), _long(AT_FDCWD), _bytes(path), _long(flags)), path)


def move_mount(tree: int, target_fd: int, path: str) -> None:
    """Attach the detached mount *tree* on what *target_fd* refers to; *path* is for the error only."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _check(_syscall(_long(_NR_move_mount), _long(tree), b"", _long(target_fd), b"", _long(flags)), path)


def mount_setattr(fd: int, path: str, *, add: int, recursive: bool) -> None:
    """Add attributes (``MOUNT_ATTR_…``) to the mount *path*, or *fd*'s own when *path* is empty."""
    attributes = (ctypes.c_uint64 * 4)(add, 0, 0, 0)
    flags = (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    arguments = (_long(fd), _bytes(path), _long(flags), attributes, _long(32))
    _check(_syscall(_long(_NR_mount_setattr), *arguments), path or f"/proc/self/fd/{fd}")


def openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    """openat2(2), close-on-exec always."""
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, resolve)
    return _check(_syscall(_long(_NR_openat2), _long(folder), _bytes(path), how, _long(24)), path)


def clone(flags: int) -> int:
    """fork into the new namespaces *flags* asks for; 0 in the child."""
    return _check(_syscall(_long(_NR["clone"]), _long(flags | SIGCHLD), None, None, None, None))


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_unshare(flags))


def setns(fd: int, kind: int) -> None:
    """setns(2)."""
    _check(_setns(fd, kind))


def sethostname(name: str) -> None:
    """sethostname(2)."""
    data = _bytes(name)
    _check(_sethostname(data, ctypes.c_size_t(len(data))), name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    data = _bytes(name)
    _check(_setdomainname(data, ctypes.c_size_t(len(data))), name)


def prctl(option: int, argument: int = 0, argument3: int = 0) -> int:
    """prctl(2) with whole numbers."""
    return _check(_prctl(option, _long(argument), _long(argument3), _long(0), _long(0)))


def set_name(name: str) -> None:
    """The calling process's name in ps (15 bytes)."""
    _prctl(PR_SET_NAME, _bytes(name), _long(0), _long(0), _long(0))


class _SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install_seccomp(program: bytes) -> None:
    """Install a compiled BPF filter (``struct sock_filter``s of 8 bytes) on the calling thread."""
    filters = _SockFprog(len(program) // 8, program)
    _check(_prctl(PR_SET_SECCOMP, _long(SECCOMP_MODE_FILTER), ctypes.byref(filters), _long(0), _long(0)))


def bpf(command: int, attributes: ctypes.Array[ctypes.c_uint64]) -> int:
    """bpf(2); *attributes* is the union's memory."""
    return _check(_syscall(_long(_NR["bpf"]), _long(command), attributes, _long(ctypes.sizeof(attributes))))


def _words(mask: int) -> tuple[int, int]:
    return mask & 0xFFFFFFFF, mask >> 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the calling thread's capability sets, each a mask with one bit a capability."""
    header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
    low, high = zip(_words(effective), _words(permitted), _words(inheritable), strict=True)
    _check(_capset(header, (ctypes.c_uint32 * 6)(*low, *high)))


def capget() -> tuple[int, int]:
    """The calling thread's effective and permitted capabilities."""
    header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_capget(header, data))
    return data[0] | data[3] << 32, data[1] | data[4] << 32


def prlimit(resource: int, soft: int, hard: int) -> None:
    """Set one resource limit of the calling process."""
    _check(_prlimit64(0, resource, (ctypes.c_uint64 * 2)(soft & 2**64 - 1, hard & 2**64 - 1), None))


def getrlimit(resource: int) -> tuple[int, int]:
    """The soft and hard limit of the calling process; unlimited is 2**64 - 1."""
    limits = (ctypes.c_uint64 * 2)()
    _check(_prlimit64(0, resource, None, limits))
    return limits[0], limits[1]


def close_range(first: int, last: int) -> None:
    """Close every descriptor from *first* to *last*."""
    if first <= last:
        _check(_syscall(_long(_NR_close_range), _long(first), _long(last), _long(0)))


def _sigset(signals: tuple[int, ...]) -> ctypes.Array[ctypes.c_char]:
    mask = sum(1 << number - 1 for number in signals)
    return ctypes.create_string_buffer(mask.to_bytes(128, "little"), 128)  # glibc's sigset_t is 1024 bits


def sigprocmask(how: int, signals: tuple[int, ...]) -> None:
    """Block or unblock *signals*, or block exactly them (`SIG_SETMASK`)."""
    _check(_sigprocmask(how, _sigset(signals), None))


def signalfd(signals: tuple[int, ...]) -> int:
    """A descriptor that is readable while one of *signals*, which must be blocked, is pending."""
    return _check(_signalfd(-1, _sigset(signals), SFD_FLAGS))


def sigwait(signals: tuple[int, ...]) -> int:
    """Wait for one of *signals*, which must be blocked, and take it."""
    number = ctypes.c_int()
    while _sigwait(_sigset(signals), ctypes.byref(number)) != 0:
        pass
    return number.value


def ignore_signals(signals: tuple[int, ...]) -> None:
    """Ignore *signals*."""
    for number in signals:
        _signal(number, ctypes.c_void_p(1))


def default_signal(number: int) -> None:
    """Give one signal its default action."""
    _signal(number, ctypes.c_void_p(0))


def reset_all_signals() -> None:
    """Every signal's default action: whoever started the daemon may have ignored some."""
    for number in range(1, 65):
        if number not in (SIGKILL, 19, 32, 33):  # SIGKILL, SIGSTOP; 32 and 33 are glibc's own
            default_signal(number)


def reset_signals(ignored: tuple[int, ...]) -> None:
    """Default actions for *ignored*, and an empty mask: what a program must find."""
    for number in ignored:
        default_signal(number)
    sigprocmask(SIG_SETMASK, ())
