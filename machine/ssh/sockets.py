"""The TCP connection under SSH: no waiting for acknowledgements, and a lost host noticed (tcp(7)).

Options that a system lacks are left out, which costs a little speed: TCP_QUICKACK and TCP_USER_TIMEOUT are Linux's
own, and TCP_KEEPIDLE is called TCP_KEEPALIVE on macOS (its tcp(4)).
"""

from __future__ import annotations

import socket
from typing import Self

SILENCE = 30
"""Seconds without any answer of the host after which the connection counts as lost."""

_QUICKACK: int = getattr(socket, "TCP_QUICKACK", 0)


class EagerSocket(socket.socket):
    """Acknowledges at once what it receives, until `relax` is called.

    Before its first session sshd sends small packets one by one, each only when the one before is acknowledged
    (Nagle); we would hold that acknowledgement back for 40 ms.
    """

    eager = True

    @classmethod
    def take_over(cls, connection: socket.socket) -> Self:
        """The same connection, tuned; *connection* itself is empty afterwards."""
        taken = cls(connection.family, connection.type, connection.proto, fileno=connection.detach())
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"
        taken._tune(idle, max(SILENCE // 3, 1))
        taken._tune("TCP_KEEPINTVL", max(SILENCE // 6, 1))
        taken._tune("TCP_KEEPCNT", 4)
        taken._tune("TCP_USER_TIMEOUT", SILENCE * 1000)
        return taken

    def _tune(self, option: str, value: int) -> None:
        if hasattr(socket, option):
            self.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As any socket's; acknowledged at once while `eager`. The option wears off, so it is set each time."""
        data = super().recv(size, flags)
        if self.eager and _QUICKACK:
            self.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return data

    def relax(self) -> None:
        """Leave acknowledgements to the kernel: the better way once data flows."""
        self.eager = False
