"""The daemon's side of the spawner: starts it, starts it again when it has died, hands it sockets."""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path

import pymachine
from pymachine.engine.runtime import syscalls as sys_

log = logging.getLogger("pyengine.runtime")

_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pymachine.engine.runtime.spawner import main
main(3, sys.argv[2])
"""


class Spawner:
    """The spawner process. `posix_spawn` is safe with threads, so it can be started again at any time."""

    def __init__(self, exec_root: Path) -> None:
        self._exec_root = str(exec_root)
        self._pid = 0
        self._socket: socket.socket | None = None

    @property
    def pid(self) -> int:
        """The process's id; 0 when there is none."""
        return self._pid

    def launch(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        executable = _read_only_copy(os.path.realpath(sys.executable))
        source = str(Path(pymachine.__file__).absolute().parent.parent)
        path = sys.executable if executable is None else f"/proc/self/fd/{executable}"
        arguments = [sys.executable, "-I", "-S", "-OO", "-X", "utf8", "-c", _PROGRAM, source, self._exec_root]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        try:
            self._pid = os.posix_spawn(path, arguments, {}, file_actions=actions, setsid=True)
        finally:
            theirs.close()
            if executable is not None:
                os.close(executable)
        self._socket = ours

    def send(self, control: socket.socket) -> None:
        """Have a shim forked that serves *control*; `OSError` when that can't be done."""
        if self._socket is None:
            self.launch()
        try:
            self._send(control)
        except (BrokenPipeError, ConnectionResetError):
            log.warning("the spawner (process %d) has died; starting another", self._pid)
            self.close()
            self.launch()
            self._send(control)

    def _send(self, control: socket.socket) -> None:
        assert self._socket is not None
        socket.send_fds(self._socket, [b"s"], [control.fileno()])

    def close(self) -> None:
        """End the process and reap it."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass
        self._pid = 0


def _read_only_copy(path: str) -> int | None:
    """A detached, read-only mount of the interpreter to run it from.

    A container may ask for ``/proc/self/exe`` as its program and so run, and then reopen for writing, the very
    file its shim runs (CVE-2019-5736). Reached by this mount it can't be written.
    """
    try:
        fd = sys_.open_tree(path, sys_.OPEN_TREE_CLONE)
    except OSError as error:
        log.warning("the interpreter can't be protected from containers: %s", error)
        return None
    try:
        sys_.mount_setattr(fd, "", add=sys_.MOUNT_ATTR_RDONLY, recursive=False)
    except OSError as error:
        log.warning("the interpreter can't be protected from containers: %s", error)
        os.close(fd)
        return None
    os.set_inheritable(fd, True)
    return fd
