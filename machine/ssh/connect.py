"""Open an SSH session to a host that may still be booting: short polls, one deadline, errors that name the stage.

The stages are: connecting, waiting for the banner, exchanging host keys, authenticating. All are tried again until
the deadline, except what waiting cannot mend: a changed host key, an unusable private key, and a key that is refused
for longer than `KEY_GRACE` (a host's first boot installs the key after its SSH server is up; asking on and on would
make the host's defences lock us out).
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pymachine.machine.errors import DeadlineExceeded, SSHError
from pymachine.machine.ssh.base import SSHEndpoint, SSHSession
from pymachine.machine.ssh.dial import connect_within
from pymachine.machine.ssh.proxy import HOPELESS, ProxyProcess
from pymachine.machine.ssh.sockets import EagerSocket

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
"""Seconds between attempts: at first, and at most."""
FIRST_CONNECT = 0.5
LONGEST_CONNECT = 8.0
"""Seconds that one attempt to connect may take, at first and at most: a new attempt asks at once, where the kernel
would repeat a lost one after 1, 2, 4… seconds."""
BANNER_ATTEMPT = 15.0
"""Seconds that one wait for the banner may take."""
KEY_GRACE = 40.0
"""Seconds for which a refused key is offered again, each time after twice the pause."""


_CLIENT = "pymachine.machine.ssh.paramiko_session"


class Unready(Exception):
    """An attempt failed in a way that time may mend."""


class Refused(Unready):
    """The host does not accept our key (yet)."""


@dataclass(slots=True)
class Attempt:
    """Where the attempt in progress is."""

    endpoint: SSHEndpoint
    end: float
    """When all attempts end, on the monotonic clock."""
    stage: str = ""
    refusals: int = 0
    patience: float = FIRST_CONNECT
    closing: list[Callable[[], None]] = field(default_factory=list)
    proxy: ProxyProcess | None = None

    def left(self, most: float = float("inf")) -> float:
        """Seconds this step may take; raises `Unready` when there are none."""
        left = min(self.end - time.monotonic(), most)
        if left <= 0:
            raise Unready("")
        return left

    def abandon(self) -> None:
        """Close what this attempt opened."""
        while self.closing:
            with contextlib.suppress(OSError):
                self.closing.pop()()


def open_session(endpoint: SSHEndpoint, *, timeout: float, report: Callable[[str], None]) -> SSHSession:
    """A session with *endpoint*, waited for *timeout* seconds at most.

    *report* is told once when the host is not there yet. Raises `DeadlineExceeded` naming the stage and the
    last error, or `SSHError`.
    """
    check_words(endpoint)
    attempt = Attempt(endpoint, time.monotonic() + timeout)
    pause, last, told = FIRST_PAUSE, "", False
    while True:
        try:
            return _try(attempt)
        except Unready as error:
            attempt.abandon()
            last = str(error) or last
            wait = _pause_after(error, attempt, pause, last)
        except BaseException:
            attempt.abandon()
            raise
        if time.monotonic() + wait >= attempt.end:
            time.sleep(max(attempt.end - time.monotonic(), 0))
            raise DeadlineExceeded(attempt.stage, timeout, last_error=last)
        if not told:
            report(f"Waiting for SSH on {endpoint.host}, port {endpoint.port}: {last}")
            told = True
            importlib.import_module(_CLIENT)  # 100 ms that would else be spent when the host is up
        time.sleep(wait)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def check_words(endpoint: SSHEndpoint) -> None:
    """Refuse a host or user that ssh(1) or a shell would take for an option."""
    for what, word in (("host", endpoint.host), ("user", endpoint.user)):
        if not word or word.startswith("-") or any(letter.isspace() for letter in word):
            raise SSHError(f"{word!r} is no SSH {what}")


def _pause_after(error: Unready, attempt: Attempt, pause: float, last: str) -> float:
    if not isinstance(error, Refused):
        return pause
    attempt.refusals += 1
    wait = float(2 ** (attempt.refusals - 1))
    if wait > KEY_GRACE / 2:
        raise SSHError(
            f"{attempt.stage}: {last}", hint="check the user and the private key, and the host's authorized_keys"
        )
    return wait


def _try(attempt: Attempt) -> SSHSession:
    """One attempt through all stages."""
    endpoint = attempt.endpoint
    where = f"{endpoint.host} port {endpoint.port}"
    attempt.stage = f"connecting to {where}"
    connection = _connect(attempt)
    attempt.stage = f"waiting for the SSH banner of {where}"
    _await_banner(connection, attempt)
    from pymachine.machine.ssh.paramiko_session import authenticate, exchange_keys

    attempt.stage = f"exchanging host keys with {where}"
    transport = exchange_keys(connection, attempt)
    attempt.stage = f"authenticating as {endpoint.user} at {where}"
    return authenticate(transport, attempt)


def _connect(attempt: Attempt) -> socket.socket:
    endpoint = attempt.endpoint
    if endpoint.proxy_command:
        attempt.proxy = ProxyProcess(endpoint)
        attempt.closing.append(attempt.proxy.close)
        return attempt.proxy.socket
    try:
        connection = connect_within(endpoint.host, endpoint.port, attempt.left(attempt.patience))
    except UnicodeError:
        raise SSHError(f"{endpoint.host!r} is no host name") from None
    except TimeoutError as error:
        attempt.patience = min(attempt.patience * 2, LONGEST_CONNECT)
        raise Unready(str(error) if "lookup" in str(error) else "no answer") from None
    except OSError as error:
        raise Unready(error.strerror or str(error)) from None
    tuned = EagerSocket.take_over(connection)
    attempt.closing.append(tuned.close)
    return tuned


def _closed(attempt: Attempt) -> Unready:
    """The connection ended before the banner; a proxy command knows why."""
    said = attempt.proxy.said() if attempt.proxy else ""
    if not said:
        return Unready("the connection was closed before the banner")
    kind = Refused if any(words in said.lower() for words in HOPELESS) else Unready
    return kind(f"the proxy command says: {said}")


def _await_banner(connection: socket.socket, attempt: Attempt) -> None:
    """Wait for the server's first bytes, and leave them to be read (RFC 4253, 4.2)."""
    try:
        connection.settimeout(attempt.left(BANNER_ATTEMPT))
        if not connection.recv(4, socket.MSG_PEEK):
            raise _closed(attempt)
    except TimeoutError:
        raise Unready("connected, but the server says nothing") from None
    except OSError as error:
        raise Unready(error.strerror or str(error)) from None
