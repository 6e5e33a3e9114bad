"""Root by sudo(8): without a password where that is allowed, else with one that is asked once in a process.

The password goes by standard input only, never on a command line, and is kept nowhere but in memory.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Callable

from pymachine.machine.errors import MissingRequirement, RemoteCommandFailed
from pymachine.machine.ssh.base import Result, SSHEndpoint
from pymachine.machine.terminal import ask_secret

MOST_WRONG = 3
"""Passwords that may be wrong before we stop asking; as sudo has it."""
_TRY = "/bin/sh -c :"


class SudoPassword:
    """Where a password comes from: an environment variable, the first line of standard input, or the terminal.

    The first two are read once for all hosts of a process; the variable is then taken out of the environment, so that
    no program we start inherits it.
    """

    def __init__(self, user: str, host: str, *, variable: str = "", stdin: bool = False) -> None:
        self._key = (user, host)
        self._variable = variable
        self._stdin = stdin

    def __call__(self, wrong: int) -> str:
        """The password; *wrong* counts those that sudo has refused. Raises `MissingRequirement` without one."""
        with _LOCK:  # several machines at once ask one after the other
            if wrong == 0 and self._key in _KNOWN:
                return _KNOWN[self._key]
            _KNOWN.pop(self._key, None)
            given = self._given()
            if wrong and (given is not None or wrong >= MOST_WRONG):
                raise self._refused(wrong)
            _KNOWN[self._key] = self._ask(wrong) if given is None else given
            return _KNOWN[self._key]

    def _given(self) -> str | None:
        """What was given without being asked for."""
        if self._variable in os.environ:
            _GIVEN[self._variable] = os.environ.pop(self._variable)
        if self._stdin and _STDIN not in _GIVEN and not sys.stdin.isatty() and (line := sys.stdin.readline()):
            _GIVEN[_STDIN] = line.rstrip("\r\n")
        return _GIVEN.get(_STDIN if self._stdin else self._variable, _GIVEN.get(self._variable))

    def _ask(self, wrong: int) -> str:
        user, host = self._key
        password = ask_secret(f"{'Sorry, try again. ' if wrong else ''}[sudo] password for {user} on {host}: ")
        if password is None:
            variable = f"set {self._variable}; or " if self._variable else ""
            raise MissingRequirement(
                f"sudo wants the password of user {user} on {host}, and there is no terminal to ask for it",
                hint=f"{variable}{_allow(user)}",
            )
        return password

    def _refused(self, wrong: int) -> MissingRequirement:
        user, host = self._key
        return MissingRequirement(
            f"sudo on {host} does not accept the password of user {user}{f' ({wrong} tries)' if wrong > 1 else ''}"
        )


_LOCK = threading.Lock()
_KNOWN: dict[tuple[str, str], str] = {}
"""Passwords by user and host, for this process's other sessions."""
_GIVEN: dict[str, str] = {}
"""Passwords by the variable they were in, or `_STDIN`."""
_STDIN = "standard input"


class Root:
    """How the commands of one session become root; found out at the first."""

    def __init__(self, endpoint: SSHEndpoint, run: Callable[[str, bytes, float], Result]) -> None:
        self._endpoint = endpoint
        self._run = run
        self._password: str | None = None
        self._known = endpoint.user == "root" or endpoint.sudo_password is None
        self._mark = os.urandom(8).hex()

    def wrap(self, shell: str, timeout: float) -> tuple[str, bytes]:
        """The line that runs *shell* as root, and what must come first on its standard input. *timeout*: seconds that
        each question to sudo may take."""
        if not self._known:
            self._find_out(timeout)
        if self._endpoint.user == "root":
            return f"exec {shell}", b""
        if self._password is None:
            return f"exec sudo -n -- {shell}", b""
        # Should this command need no password after all, sudo leaves the line unread: what reads it here is the
        # shell, which takes single bytes from a pipe (POSIX, read) and so leaves the rest to the command.
        skip = f'while IFS= read -r line && [ "$line" != {self._mark} ]; do :; done; exec {shell}'
        return (
            f"exec sudo -k -S -p '' -- /bin/sh -c {shlex.quote(skip)}",
            f"{self._password}\n{self._mark}\n".encode(),
        )

    def _find_out(self, timeout: float) -> None:
        """``-k``: remembered passwords do not count, for they may be forgotten in the midst of our work."""
        assert self._endpoint.sudo_password is not None
        result = self._run(f"exec sudo -k -n -- {_TRY}", b"", timeout)
        wrong = 0
        while result.status != 0:
            if not _wants_password(result.stderr) and not wrong:
                raise refusal(self._endpoint, result) or _failed(result)
            self._password = self._endpoint.sudo_password(wrong)
            result = self._run(f"exec sudo -k -S -p '' -- {_TRY}", f"{self._password}\n".encode(), timeout)
            if result.status != 0 and not _was_wrong(result.stderr):
                raise refusal(self._endpoint, result) or _failed(result)
            wrong += 1
        self._known = True


def refusal(endpoint: SSHEndpoint, result: Result) -> MissingRequirement | None:
    """The error when it was sudo that failed, not the command; ``None`` otherwise. Messages are those of sudo(8)."""
    user, host = endpoint.user, endpoint.host
    last = (result.stderr.strip().splitlines() or [""])[-1]
    if result.status == 127 and "sudo" in last and "not found" in last:
        return MissingRequirement(f"there is no sudo on {host}", hint="install it, or log in as root")
    if "is not in the sudoers file" in last or f"{user} may not run sudo" in last or "is not allowed to" in last:
        return MissingRequirement(f"user {user} on {host} may not become root by sudo", hint=_allow(user))
    if last.startswith("sudo:") and "tty" in last:
        return MissingRequirement(
            f"sudo on {host} wants a terminal", hint="remove `Defaults requiretty` from its sudoers, or log in as root"
        )
    if last.startswith("sudo:") and "password" in last:
        return MissingRequirement(f"user {user} on {host} may not use sudo without a password", hint=_allow(user))
    return None


def _allow(user: str) -> str:
    return f"on the host: echo '{user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/90-{user}"


def _failed(result: Result) -> RemoteCommandFailed:
    return RemoteCommandFailed("sudo", result.status, result.stderr)


def _wants_password(text: str) -> bool:
    return "password" in text


def _was_wrong(text: str) -> bool:
    return "try again" in text or "incorrect password" in text or "no password was provided" in text
