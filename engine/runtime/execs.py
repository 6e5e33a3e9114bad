"""exec: another process in a running container.

The shim forks it into the container's pid namespace (`shim.Shim._enter_pid_namespace`); the child joins the
container's control group and its other namespaces, and becomes the program as the first process did. The channel
between the two is the one of `pymachine.engine.runtime.launch`, without ``go``. The shim goes on serving meanwhile.
"""

from __future__ import annotations

import os

from pymachine.engine.runtime import cgroups, dev, launch, plain, program, wire
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.channel import Channel
from pymachine.engine.runtime.stdio import Client, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from pymachine.engine.runtime.loop import Loop
    from pymachine.engine.runtime.peers import Peer
    from pymachine.engine.runtime.spec import Process

_NAMESPACES = sys_.CLONE_NEWNS | sys_.CLONE_NEWUTS | sys_.CLONE_NEWIPC | sys_.CLONE_NEWNET | sys_.CLONE_NEWCGROUP


class Exec:
    """A process that exec added, from its fork to its end."""

    def __init__(self, loop: Loop, peer: Peer, message: dict[str, Any]) -> None:
        self.key: str = message["key"]
        self.pid = 0
        self._peer, self._message = peer, message
        self._process = plain.process(message["process"])
        self.streams = Streams(loop, None, tty=self._process.tty, held=True)
        self._channel = Channel(loop, self.streams, "exec", self._answer)

    def start(self, first: int, cgroup: str) -> None:
        """Fork the process beside process *first*; `OSError` when that can't be."""
        target = os.pidfd_open(first)
        pipes = None
        if not self._process.tty:
            wanted = {name: self._message[name] for name in ("stdin", "stdout", "stderr")}
            pipes = self.streams.open_pipes(**wanted)
        self.pid = os.fork()
        if self.pid == 0:
            theirs = self._channel.theirs
            launch.end_with_report(theirs, "exec", lambda: self._join(theirs, pipes, target, cgroup, first))
        self._channel.watch()
        for fd in {target, *(pipes or ())}:
            os.close(fd)

    def ended(self) -> None:
        """The process has ended: pass on what it left in its pipes."""
        self._channel.finish()
        self.streams.drain()
        self.streams.end()

    def _answer(self, outcome: dict[str, Any]) -> None:
        """Tell whether the program runs, and join the connection with its streams."""
        sock, message = self._peer.sock, self._message
        if "error" in outcome:
            self._peer.send(outcome)
            sock.close()
            self.streams.close()
            return
        self._peer.send({"pid": self.pid, "warnings": outcome["warnings"]})
        if message["stdin"] or message["stdout"] or message["stderr"]:
            self.streams.attach(Client.of(sock, message), self._peer.inbox.rest())
        else:
            sock.close()
        self.streams.release()

    def _join(
        self, channel: socket, pipes: tuple[int, int, int] | None, target: int, cgroup: str, first: int
    ) -> None:  # pragma: no cover - runs in a forked process
        process: Process = self._process
        sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
        bpf = launch.read_filter(self._message["bpf"])
        if cgroup:
            cgroups.join_beside(cgroup, first)
        sys_.setns(target, _NAMESPACES)
        os.chdir("/")
        if process.tty:
            master, slave = dev.open_terminal(process.console_size)
            wire.send_packet(channel, {"console": True}, master)
            os.close(master)
            program.take_terminal(slave)
        else:
            os.setsid()
        launch.start_program(process, bpf, channel, pipes)
