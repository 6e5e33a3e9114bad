"""Wait until a booting machine answers on its SSH port (RFC 4253, section 4.2: the server speaks first)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from pymachine.machine.errors import DeadlineExceeded, DriverError

CONNECT_SECONDS = 0.1
"""Short: a SYN sent before the machine's interface is up is lost, and TCP itself would try again after 1 s."""


def wait_for_banner(
    address: str, deadline: float, *, alive: Callable[[], bool], console: Callable[[], str], port: int = 22
) -> None:
    """Return when the server has sent its version line.

    *deadline* is in `time.monotonic` seconds. Raises `DriverError` when the machine ends meanwhile,
    `DeadlineExceeded` at the deadline, both with the end of the console log.
    """
    started, last_error = time.monotonic(), "no answer"
    while True:
        try:
            if _speaks_ssh(address, port):
                return
            last_error = f"what answers on {address} port {port} is no SSH server"
        except OSError as error:
            last_error = str(error)
        if not alive():
            raise DriverError(f"the machine ended while it was starting: {console()}")
        if time.monotonic() > deadline:
            stage = f"waiting for SSH on {address}"
            raise DeadlineExceeded(stage, time.monotonic() - started, last_error=last_error, look_at=console())
        time.sleep(0.01)


def _speaks_ssh(address: str, port: int) -> bool:
    with socket.create_connection((address, port), timeout=CONNECT_SECONDS) as connection:
        connection.settimeout(5)
        return connection.recv(64).startswith(b"SSH-")
