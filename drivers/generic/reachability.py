"""Whether an SSH server answers, without logging in."""

from __future__ import annotations

import socket

from pymachine.machine.errors import DriverError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.dial import connect_within

LONGEST = 15.0
"""Seconds that a host is waited for; as with docker-machine."""


def answers(endpoint: SSHEndpoint, timeout: float) -> bool:
    """Whether something listens at the endpoint; through a proxy command, whether it speaks.

    Raises `DriverError` when the host's name is not known.
    """
    seconds = min(timeout, LONGEST)
    if endpoint.proxy_command:
        return _speaks(endpoint, seconds)
    try:
        connect_within(endpoint.host, endpoint.port, seconds).close()
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else "it is no host name"
        raise DriverError(f"{endpoint.host} cannot be found: {why}") from None
    except OSError:
        return False
    return True


def _speaks(endpoint: SSHEndpoint, seconds: float) -> bool:
    from pymachine.machine.ssh.proxy import ProxyProcess

    proxy = ProxyProcess(endpoint)
    try:
        proxy.socket.settimeout(seconds)
        return proxy.socket.recv(4) == b"SSH-"
    except OSError:
        return False
    finally:
        proxy.close()
