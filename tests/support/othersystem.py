"""What another operating system lacks, taken away from this Python; then the program is run, again and again.

    echo '[["ls"], ["version"]]' | python -m support.othersystem windows|macos

Tests do that by `run_there`.

The standard library and others' libraries choose by system when they are imported, so they are imported before: their
ways on other systems are their own business. Every module of ours is imported on the impoverished system.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

LIBRARIES = (
    *("asyncio", "concurrent.futures", "ctypes", "getpass", "http.client", "ipaddress", "json", "logging", "shutil"),
    *("pty", "select", "selectors", "ssl", "subprocess", "tarfile", "tempfile", "threading", "uuid", "zipfile"),
    *("boto3", "botocore.config", "botocore.session", "urllib.request", "xml.etree.ElementTree", "zoneinfo"),
    *("click", "click.testing", "filelock", "jinja2", "paramiko", "importlib.metadata"),
    *("cryptography.x509", "cryptography.hazmat.primitives.asymmetric.ed25519"),
    *("cryptography.hazmat.primitives.asymmetric.ec", "cryptography.hazmat.primitives.serialization"),
)
POSIX_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "readline")
POSIX_NAMES = (
    *("chown", "chroot", "fchdir", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups"),
    *("getloadavg", "getpgid", "getpgrp", "getresuid", "getsid", "getuid", "initgroups", "killpg", "lchown", "mkfifo"),
    *("mknod", "nice", "openpty", "pread", "pwrite", "readv", "sendfile", "setegid", "seteuid", "setgid", "setgroups"),
    *("setpgid", "setsid", "setuid", "statvfs", "sync", "sysconf", "tcgetpgrp", "tcsetpgrp", "uname", "wait"),
    *(
        "waitid",
        "writev",
        "register_at_fork",
        "getpriority",
        "pathconf",
        "fpathconf",
        "lockf",
        "O_CLOEXEC",
        "O_DIRECTORY",
        "O_NOCTTY",
        "O_NOFOLLOW",
        "O_NONBLOCK",
        "O_SYNC",
        "WNOHANG",
    ),
)
LINUX_NAMES = (
    *("copy_file_range", "eventfd", "getrandom", "getxattr", "memfd_create", "pidfd_open", "posix_fadvise"),
    *("sched_getaffinity", "sched_setaffinity", "setns", "setxattr", "splice", "unshare", "O_DIRECT", "O_PATH"),
    *("O_TMPFILE", "pipe2", "getresuid", "setresuid"),
)
SOCKET_NAMES = {
    "windows": (
        "AF_UNIX",
        "SO_REUSEPORT",
        "TCP_USER_TIMEOUT",
        "TCP_QUICKACK",
        "TCP_CORK",
        "SOCK_CLOEXEC",
        "SOCK_NONBLOCK",
    ),
    "macos": (
        "TCP_USER_TIMEOUT",
        "TCP_QUICKACK",
        "TCP_KEEPIDLE",
        "TCP_CORK",
        "SOCK_CLOEXEC",
        "SOCK_NONBLOCK",
        "SO_PEERCRED",
    ),
}
"""By system; macOS has TCP_KEEPALIVE for TCP_KEEPIDLE."""
POSIX_SIGNALS = ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1")
LINE_ENDS = {"nt": "\r\n"}
"""What a newline becomes in a text stream."""
LINUX_SIGNALS = ("SIGRTMIN", "SIGRTMAX", "SIGPWR", "pidfd_send_signal")


@dataclass(frozen=True)
class Run:
    """How one run went."""

    code: int
    stdout: str
    stderr: str


def run_there(
    system: str, argvs: Sequence[Sequence[str]], env: Mapping[str, str], *, timeout: float = 120
) -> list[Run]:
    """Do all runs of the program, one after the other in one process on *system*."""
    done = subprocess.run(
        [sys.executable, "-m", "support.othersystem", system],
        input=json.dumps(argvs),
        capture_output=True,
        text=True,
        env=env,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    # Before it is what programs wrote that inherited the standard output.
    return [Run(*told) for told in json.loads(done.stdout.splitlines()[-1])]


class Absent(importlib.abc.MetaPathFinder):
    """Modules that the system does not have."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in POSIX_MODULES:
            raise ModuleNotFoundError(f"No module named {fullname!r} on this system", name=fullname)
        return None


def become(system: str) -> None:
    """From here on this process looks like *system* to whoever asks."""
    for name in LIBRARIES:
        importlib.import_module(name)
    vars(tempfile)["_O_TMPFILE_WORKS"] = False
    _without(os, LINUX_NAMES)
    _without(signal, LINUX_SIGNALS)
    _without(socket, SOCKET_NAMES[system])
    if system == "macos":
        sys.platform = "darwin"
        return
    _keep_libraries_going()
    _without(os, POSIX_NAMES)
    _without(signal, POSIX_SIGNALS)
    for name in POSIX_MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Absent())
    sys.platform, os.name = "win32", "nt"
    os.environ.setdefault("USERNAME", "somebody")


def _without(module: ModuleType, names: Sequence[str]) -> None:
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def _keep_libraries_going() -> None:
    """What they chose for this system when they were imported must not miss what is taken away."""
    import filelock

    vars(subprocess)["os"] = whole = ModuleType("os")
    vars(whole).update(vars(os))
    vars(pathlib)["WindowsPath"] = pathlib.PosixPath
    vars(shutil)["_use_fd_functions"] = False
    filelock.FileLock = filelock.SoftFileLock
    vars(socket)["socketpair"] = _loopback_pair


def _loopback_pair() -> tuple[socket.socket, socket.socket]:
    """As Python makes it on Windows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


def main() -> None:
    """Become the system, then be the program, with each list of arguments on standard input; tell how each went."""
    runs = json.load(sys.stdin)
    become(sys.argv[1])
    from pymachine.machine.cli.app import run

    json.dump([_told(run, argv) for argv in runs], sys.__stdout__ or sys.stdout)


def _told(run: Callable[[list[str]], int], argv: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error as the bytes that came out of text streams like those of *system*."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline=LINE_ENDS.get(os.name)) for _ in range(2)]
    sys.stdout, sys.stderr = streams
    try:
        code = run(argv)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    for stream in streams:
        stream.flush()
    output, errors = (stream.buffer.getvalue().decode() for stream in streams)
    return code, output, errors


if __name__ == "__main__":
    main()
