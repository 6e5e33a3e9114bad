"""Sockets to listen on: unix sockets with the right owner and mode, TCP, and those that systemd hands over."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

_SYSTEMD_FIRST_FD = 3
"""sd_listen_fds(3)."""


class ListenError(Exception):
    """An address cannot be listened on; the message is one clear line."""


def unix_listener(path: Path, *, group: str = "docker", mode: int = 0o660) -> socket.socket:
    """A listening unix socket at *path*, of *group* where that group exists.

    A socket that nothing listens on any more is replaced; one in use never. Raises `ListenError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    previous = os.umask(0o777 & ~mode)  # so that there is no moment at which everyone may connect
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(previous)
    with suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    listener.listen(1024)
    return listener


def _remove_stale(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ListenError(f"cannot listen on {path}: something that is no socket is there")
    if _answers(path):
        raise ListenError(f"cannot listen on {path}: another process is listening there")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # EAGAIN: somebody listens, with a full queue.
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN, errno.EINPROGRESS)


def tcp_listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket (port 0: any free one). Raises `ListenError`."""
    listener: socket.socket | None = None
    try:
        info = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # An empty host means every address: the IPv6 one takes IPv4 clients too.
        family, kind, protocol, _, address = sorted(info, key=lambda item: item[0] != socket.AF_INET6)[0]
        listener = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not host:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ListenError(f"cannot listen on tcp port {port} of {host or 'all addresses'}: {_reason(error)}") from None
    listener.listen(1024)
    return listener


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use"
    return error.strerror or str(error)


def systemd_descriptors() -> range:
    """The descriptors of the sockets that systemd handed over; none are left to child processes from here on."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    handed = range(_SYSTEMD_FIRST_FD, _SYSTEMD_FIRST_FD + int(os.environ.get("LISTEN_FDS", "0")))
    for number in handed:
        os.set_inheritable(number, False)
    return handed


def systemd_listeners() -> list[socket.socket]:
    """The listening sockets that systemd handed over (``fd://``); empty without any (sd_listen_fds(3))."""
    listeners = [socket.socket(fileno=number) for number in systemd_descriptors()]
    for listener in listeners:
        listener.setblocking(False)
    return listeners
