"""exec: another process in a running container.

The shim forks it into the container's pid namespace (`shim.Shim._enter_pid_namespace`); the child joins the
container's control group and its other namespaces, and becomes the program as the first process did. The channel
between the two is the one of `pymachine.engine.runtime.launch`, without ``go``.
"""

from __future__ import annotations

import _socket
import os

from pymachine.engine.runtime import cgroups, dev, launch, plain, program, wire
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.stdio import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pymachine.engine.runtime.loop import Loop
    from pymachine.engine.runtime.spec import Process

_NAMESPACES = sys_.CLONE_NEWNS | sys_.CLONE_NEWUTS | sys_.CLONE_NEWIPC | sys_.CLONE_NEWNET | sys_.CLONE_NEWCGROUP


class Exec:
    """A process that exec added, while it runs."""

    __slots__ = ("key", "pid", "streams", "warnings")

    def __init__(self, key: str, pid: int, streams: Streams, warnings: list[str]) -> None:
        self.key, self.pid, self.streams, self.warnings = key, pid, streams, warnings


def start(loop: Loop, message: dict[str, Any], first: int, cgroup: str) -> Exec | dict[str, Any]:
    """Start the process that *message* describes beside process *first*; the answer for a failure otherwise."""
    process = plain.process(message["process"])
    streams = Streams(loop, None, tty=process.tty)
    try:
        target = os.pidfd_open(first)
    except OSError as error:
        return {"error": f"{launch.prefix_of('exec')}: {error.strerror}: unknown", "code": program.NOT_STARTED}
    pipes = None
    if not process.tty:
        wanted = {name: message[name] for name in ("stdin", "stdout", "stderr")}
        pipes = streams.open_pipes(**wanted)
    channel, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        launch.end_with_report(theirs, "exec", lambda: _join(process, message["bpf"], theirs, pipes, target, cgroup))
    theirs.close()
    for fd in {target, *(pipes or ())}:
        os.close(fd)
    outcome = _accompany(channel, streams)
    if "error" in outcome:
        streams.close()
        os.waitpid(pid, 0)
        return outcome
    return Exec(message["key"], pid, streams, outcome["warnings"])


def _accompany(channel: _socket.socket, streams: Streams) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    while True:
        message, descriptor = wire.receive_packet(channel)
        if message is None:
            break
        if descriptor is not None:
            streams.adopt_terminal(descriptor)
        outcome.update(message)
    channel.close()
    if "exec" not in outcome:
        outcome.setdefault("error", f"{launch.prefix_of('exec')}: it died early: unknown")
        outcome.setdefault("code", program.NOT_STARTED)
    return outcome


def _join(
    process: Process,
    bpf: bytes,
    channel: _socket.socket,
    pipes: tuple[int, int, int] | None,
    target: int,
    cgroup: str,
) -> None:  # pragma: no cover - runs in a forked process
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    if cgroup:
        cgroups.of(cgroup).join()
    sys_.setns(target, _NAMESPACES)
    os.chdir("/")
    if process.tty:
        master, slave = dev.open_terminal(process.console_size)
        wire.send_packet(channel, {"console": True}, master)
        os.close(master)
        program.take_terminal(slave)
    else:
        os.setsid()
    launch.start_program(process, bpf, channel, pipes, [])
