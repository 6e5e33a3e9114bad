"""The spawner: a small process of one thread that forks shims, so that the daemon never has to fork.

    daemon                      spawner                      shim
      │                           │ fork ────────────────────▶ │ waits, ahead of its container
      │ one byte + a socket       │ one byte + the socket      │
      │ ────────────────────────▶ │ ─────────────────────────▶ │ has the socket; the spawner closes its copy,
      │ {"spec": …} on that socket│                            │ and forks the next
      │ ─────────────────────────────────────────────────────▶ │

So a fork (a millisecond) is not on the path of a start. The spawner reads no spec and keeps nothing: it is the same
for the thousandth container as for the first. All it imports is what shims need, and all objects are frozen
(`gc.freeze`): a shim's memory is what it writes itself.
It ends when the daemon's end of the socket is closed; shims, in sessions of their own, go on.
"""

from __future__ import annotations

import _socket
import gc
import os
import sys

from pymachine.engine.runtime import cgroups, program, rehearsal, rootfs, shim, smallinit, wire
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_KEPT = (program, smallinit)  # imported here, before the fork, for all shims to share


def main(fd: int, exec_root: str) -> None:  # pragma: no cover - the spawner's own process
    """Serve the daemon on the socket *fd* until it goes."""
    daemon = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
    sys_.set_name("pyengine-spawn")
    sys_.reset_all_signals()
    cgroups.hierarchies()
    _import_the_rest()
    _look_around()
    rehearsal.rehearse(exec_root)
    sys_.ignore_signals((sys_.SIGCHLD, 1, 2))  # shims need no reaping; the terminal's signals are the daemon's
    gc.collect()
    sys_.close_range(fd + 1, 2**32 - 1)  # what the rehearsal left open, now that no object owns it
    gc.freeze()
    gc.disable()
    spare = _fork(daemon)
    while control := _receive_socket(daemon):
        if not _hand_over(spare, control):
            spare.close()
            spare = _fork(daemon)  # that one was gone
            _hand_over(spare, control)
        os.close(control)  # without any shim the daemon reads an end: the container can't be started
        spare.close()
        spare = _fork(daemon)
    spare.dismiss()


class _Spare:
    """The socket of a shim that waits for its container."""

    def __init__(self, pid: int, sock: _socket.socket) -> None:
        self.pid, self.sock = pid, sock

    def close(self) -> None:
        """Leave the shim to itself."""
        self.sock.close()

    def dismiss(self) -> None:
        """End a shim that is not needed, and see it go."""
        self.sock.close()
        try:
            if self.pid > 0:
                os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass  # the kernel has reaped it: the spawner ignores its children's ends


def _import_the_rest() -> None:
    """What the modules import only where they need it."""
    import fcntl

    found = cgroups.hierarchies()
    if found.legacy:
        from pymachine.engine.runtime import cgroup1 as version
    else:
        from pymachine.engine.runtime import cgroup2 as version  # type: ignore[no-redef]
    del fcntl, version


def _look_around() -> None:
    try:
        rootfs.look_around()
    except OSError:
        pass  # who may not join a namespace can start no container either, and is told so then


def _receive_socket(connection: _socket.socket) -> int:
    """The descriptor that comes next on *connection*; 0 when the other end has closed."""
    try:
        _, rights, _, _ = connection.recvmsg(1, 64, wire.MSG_CMSG_CLOEXEC)
    except OSError:
        return 0
    for _, _, payload in rights:
        return int.from_bytes(payload[:4], sys.byteorder)
    return 0


def _hand_over(spare: _Spare, control: int) -> bool:
    """Give *control* to the shim that waits on *spare*; whether it was there to take it."""
    try:
        rights = [(wire.SOL_SOCKET, wire.SCM_RIGHTS, control.to_bytes(4, sys.byteorder))]
        spare.sock.sendmsg([b"s"], rights)
    except OSError:
        return False
    return True


def _fork(daemon: _socket.socket) -> _Spare:
    """Fork a shim ahead of its container. Where no process can be had its socket has nobody at the other end."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        pid = os.fork()
    except OSError:
        pid = -1  # no such child
    if pid == 0:
        daemon.close()
        ours.close()
        _be_shim(theirs)
    theirs.close()
    return _Spare(pid, ours)


def _be_shim(waiting: _socket.socket) -> NoReturn:
    code = 1
    try:
        shim.detach()
        if control := _receive_socket(waiting):
            waiting.close()
            shim.serve(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, control), shim.Shim)
        code = 0
    finally:
        os._exit(code)
