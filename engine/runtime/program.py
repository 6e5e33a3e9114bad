"""The last steps to a container's program: identity, limits, privileges, seccomp, execve.

The order matters:

1. while still root of the host: the user's identity, limits, owner of the streams, working directory
2. bounding set; groups, gid, uid (``PR_SET_KEEPCAPS`` keeps the permitted set over it)
3. the program is looked for with the user's own rights
4. ``no_new_privs``; seccomp (which without it needs CAP_SYS_ADMIN, so it comes before the next)
5. the final capability sets; execve
"""

from __future__ import annotations

import errno
import os
import stat

from pymachine.engine.runtime import capabilities, dev, limits, users
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pymachine.engine.runtime.spec import Process

IGNORED_SIGNALS = (1, 2, 3, 13, 15, 25)
"""HUP INT QUIT PIPE TERM XFSZ: ignored by the shim (or by Python), to be given back to the program."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND, NOT_EXECUTABLE, NOT_STARTED = 127, 126, 128


class Failure(Exception):
    """Why the program can't be started: what Docker's users expect to read, and the exit code that goes with it."""

    def __init__(self, message: str, code: int = NOT_STARTED) -> None:
        super().__init__(message)
        self.code = code


def environment(process: Process, home: str) -> dict[str, str]:
    """The program's environment: the first of two entries with one name counts, HOME is always there."""
    found: dict[str, str] = {}
    for entry in process.env:
        name, separator, value = entry.partition("=")
        if name and separator:
            found.setdefault(name, value)
    found.setdefault("HOME", home or "/")
    return found


def find(name: str, path: str) -> str:
    """The file that *name* means, as execvp(3) looks for it; raises `Failure`."""
    if "/" in name:
        try:
            _check_executable(name)
        except FileNotFoundError:
            raise Failure(f'exec: "{name}": stat {name}: no such file or directory', NOT_FOUND) from None
        except OSError as error:
            raise Failure(f'exec: "{name}": {_reason(error)}', NOT_EXECUTABLE) from None
        return name
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        try:
            _check_executable(candidate)
        except OSError:
            continue
        return candidate
    raise Failure(f'exec: "{name}": executable file not found in $PATH', NOT_FOUND)


def _check_executable(path: str) -> None:
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        # The kernel's own word is the second (execve(2)), and the one by which docker CLIs before 23.0 exit with 126.
        raise IsADirectoryError(errno.EISDIR, "is a directory: permission denied", path)
    if not os.access(path, os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, "permission denied", path)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def prepare(process: Process, streams: tuple[int, int, int] | None) -> tuple[users.Identity, list[str]]:
    """Step 1; *streams* become the standard ones (``None``: a terminal has them already). Warnings come back."""
    try:
        identity = users.look_up(process.user, process.additional_groups)
    except LookupError as error:
        raise Failure(str(error.args[0])) from None
    warnings = limits.apply_rlimits(process.rlimits)
    warnings += limits.set_oom_score_adj(process.oom_score_adj or 0)
    if streams is not None:
        for number, fd in enumerate(streams):
            os.dup2(fd, number, inheritable=True)
    _own_streams(identity)
    return identity, warnings


def _own_streams(identity: users.Identity) -> None:
    """Give the streams to the user, so that /dev/stdout can be opened again.

    /dev/null stays root's, and the container's own takes the place of the host's: no descriptor leads outside.
    """
    null = os.stat("/dev/null").st_rdev if os.path.exists("/dev/null") else os.makedev(1, 3)
    for fd in (0, 1, 2):
        found = os.fstat(fd)
        try:
            if found.st_rdev == null:
                _reopen_null(fd, null)
            elif found.st_uid != identity.uid:
                os.fchown(fd, identity.uid, -1)
        except OSError:
            continue  # a stream on a read-only file system, or one that has no owner; no /dev/null here


def _reopen_null(fd: int, null: int) -> None:
    own = os.open("/dev/null", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if os.fstat(own).st_rdev == null:
        os.dup2(own, fd, inheritable=True)
    os.close(own)


def _change_folder(cwd: str) -> None:
    try:
        os.chdir(cwd)
        inside = os.getcwd().startswith("/")  # "(unreachable)…" says the kernel of a folder outside the root
    except OSError as error:
        raise Failure(f'chdir to cwd ("{cwd}") failed: {_reason(error)}', NOT_EXECUTABLE) from None
    if not inside:
        raise Failure(f'chdir to cwd ("{cwd}") failed: it is outside of the container', NOT_EXECUTABLE)


def become(process: Process, identity: users.Identity, bpf: bytes) -> NoReturn:
    """Steps 2 to 5; raises `Failure` when the program can't be run."""
    sys_.reset_signals(IGNORED_SIGNALS)
    _change_folder(process.cwd or "/")
    keep = capabilities.mask_of(process.capabilities)
    capabilities.drop_bounding(keep)
    _change_identity(identity)
    if not process.args:
        raise Failure("no command specified")
    variables = environment(process, identity.home)
    path = find(process.args[0], variables.get("PATH", DEFAULT_PATH))
    if process.no_new_privileges:
        sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)
    # So that the container never outlives the shim that records its end.
    sys_.prctl(sys_.PR_SET_PDEATHSIG, sys_.SIGKILL)
    if bpf:
        sys_.install_seccomp(bpf)
    capabilities.restrict(keep if identity.uid == 0 else 0)
    try:
        os.execve(path, list(process.args), variables)
    except OSError as error:
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
        raise Failure(f"exec {process.args[0]}: {_reason(error)}", code) from None


def _change_identity(identity: users.Identity) -> None:
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    if identity.uid == 0:
        os.setresuid(0, 0, 0)
        return
    sys_.prctl(sys_.PR_SET_KEEPCAPS, 1)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    sys_.prctl(sys_.PR_SET_KEEPCAPS, 0)
    # Nothing that would open to the look-up what the user himself could not; seccomp needs this one.
    _, permitted = sys_.capget()
    sys_.capset(capabilities.mask_of(("CAP_SYS_ADMIN",)) & permitted, permitted, 0)


def take_terminal(slave: int) -> None:
    """Start a session whose terminal is *slave*."""
    os.setsid()
    dev.take_terminal(slave)
