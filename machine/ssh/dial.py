"""Connect to a host within a time, name lookup included.

`socket.create_connection` gives each of a name's addresses the whole time, and waits for the resolver without bound.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def connect_within(host: str, port: int, seconds: float) -> socket.socket:
    """A connected socket. Raises `TimeoutError` after *seconds*, or the last address's `OSError`."""
    end = time.monotonic() + seconds
    addresses = _look_up(host, port, seconds)
    error: OSError = TimeoutError("timed out")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        left = end - time.monotonic()
        if left <= 0:
            break
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(left / (len(addresses) - tried))
            connection.connect(address)
            return connection
        except OSError as failure:
            connection.close()
            error = failure
    raise error


def _look_up(host: str, port: int, seconds: float) -> Sequence[Address]:
    """Addresses of *host*. The resolver cannot be interrupted, so it is left behind in a thread when it is late."""
    if numeric := _numeric(host, port):
        return numeric
    found: list[Address] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failures.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not found:
        raise TimeoutError("the name lookup timed out")
    return found


def _numeric(host: str, port: int) -> Sequence[Address]:
    """The address, when *host* is one and no name."""
    try:
        socket.inet_pton(socket.AF_INET, host)  # most are; and getaddrinfo would import what encodes names, for 2 ms
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    except (OSError, ValueError):
        pass
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return []
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
