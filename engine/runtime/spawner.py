"""The spawner: a small process of one thread that forks shims, so that the daemon never has to fork.

    daemon                      spawner                      shim
      │ one byte + a socket       │                            │
      │ ────────────────────────▶ │ fork ────────────────────▶ │ has the socket; the spawner closes its copy
      │ {"spec": …} on that socket│                            │
      │ ─────────────────────────────────────────────────────▶ │

It reads no spec and keeps nothing, so it is the same for the thousandth container as for the first. All it
imports is what shims need, and all objects are frozen (`gc.freeze`): a shim's memory is what it writes itself.
It ends when the daemon's end of the socket is closed; shims, in sessions of their own, go on.
"""

from __future__ import annotations

import _socket
import gc
import os
import sys

from pymachine.engine.runtime import cgroups, program, rehearsal, shim, smallinit, wire
from pymachine.engine.runtime import syscalls as sys_

_KEPT = (program, smallinit)  # imported here, before the fork, for all shims to share


def main(fd: int, exec_root: str) -> None:  # pragma: no cover - the spawner's own process
    """Serve the daemon on the socket *fd* until it goes."""
    daemon = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
    sys_.set_name("pyengine-spawn")
    sys_.reset_all_signals()
    cgroups.hierarchies()
    _import_the_rest()
    rehearsal.rehearse(exec_root)
    sys_.ignore_signals((sys_.SIGCHLD, 1, 2))  # shims need no reaping; the terminal's signals are the daemon's
    gc.collect()
    sys_.close_range(fd + 1, 2**32 - 1)  # what the rehearsal left open, now that no object owns it
    gc.freeze()
    gc.disable()
    while True:
        data, rights, _, _ = daemon.recvmsg(1, 64, wire.MSG_CMSG_CLOEXEC)
        if not data:
            return
        for _, _, payload in rights:
            _fork(daemon, int.from_bytes(payload[:4], sys.byteorder))


def _import_the_rest() -> None:
    """What the modules import only where they need it."""
    import fcntl

    found = cgroups.hierarchies()
    if found.legacy:
        from pymachine.engine.runtime import cgroup1 as version
    else:
        from pymachine.engine.runtime import cgroup2 as version  # type: ignore[no-redef]
    del fcntl, version


def _fork(daemon: _socket.socket, control: int) -> None:
    try:
        pid = os.fork()
    except OSError:
        os.close(control)  # the daemon reads an end: the container can't be started
        return
    if pid:
        os.close(control)
        return
    code = 1
    try:
        daemon.close()
        shim.run(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, control))
        code = 0
    finally:
        os._exit(code)
