"""A shim's life, played through in the spawner before there is any container.

What Python makes at a first use (specialised byte code, method caches, function objects of the C library, pools of
objects of a size) then exists before the first fork: shims share it, where each would have made its own. It takes
a third off a shim's private memory, and some time off each start. The play has all parts but one: in place of the
container's first process a child says its lines, and is a client besides.
"""

from __future__ import annotations

import _socket
import os

from pymachine.engine.runtime import record, shim, wire
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.channel import GO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from pymachine.engine.runtime.spec import ContainerSpec

_TIMES = 4


class _Play(shim.Shim):
    """A shim whose first process only pretends."""

    def fork(self, spec: ContainerSpec, bpf: str, channel: _socket.socket, streams: tuple[int, int, int] | None) -> int:
        pid = os.fork()
        if pid == 0:
            _pretend(channel, streams)
        return pid


def rehearse(exec_root: str) -> None:  # pragma: no cover - in the spawner's own process
    """Play it, below *exec_root*; a computer that doesn't allow it just has larger shims."""
    name = f"pymachine-rehearsal-{os.getpid()}"
    bundle = f"{exec_root}/{name}"
    try:
        os.mkdir(bundle, 0o700)
        try:
            for _ in range(_TIMES):
                _play(_document(bundle, name))
        finally:
            os.chdir("/")
            for file in os.listdir(bundle):
                os.unlink(f"{bundle}/{file}")
            os.rmdir(bundle)
    except OSError:
        pass
    finally:
        sys_.sigprocmask(sys_.SIG_SETMASK, ())


def _play(document: dict[str, Any]) -> None:
    sys_.default_signal(sys_.SIGCHLD)
    daemon, control = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        daemon.sendall(wire.pack({"spec": document, "bpf": "", "wait": False}))
        shim.serve(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, control.detach()), _Play)
    finally:
        daemon.close()


def _document(bundle: str, cgroup: str) -> dict[str, Any]:
    """A spec with what a shim reads of one."""
    resources = dict.fromkeys(
        (
            "memory", "memory_swap", "memory_reservation", "cpu_shares", "cpu_period", "cpu_quota", "cpuset_cpus",
            "cpuset_mems", "pids_limit", "blkio_weight", "oom_kill_disable",
        ),
        0,
    )  # fmt: skip
    kinds = ("pid", "net", "ipc", "uts", "cgroup")
    return {
        "id": "0" * 64,
        "bundle": bundle,
        "process": {"tty": False},
        "namespaces": dict.fromkeys(kinds, "host"),
        "resources": {**resources, "memory_swappiness": None, "block_devices": ()},
        "cgroup": cgroup,
        "all_devices": False,
        "devices": (),
        "device_cgroup_rules": (),
        "log": {"driver": "local", "path": f"{bundle}/log", "max_size": 0, "max_files": 1},
        "open_stdin": True,
        "stdin_once": True,
        "mounts": (),
    }


_EXEC = {
    "op": "exec",
    "key": "rehearsal",
    "bpf": "",
    "process": {
        "args": ("/",), "env": (), "cwd": "/", "user": "0:0", "additional_groups": (), "tty": False,
        "console_size": (0, 0), "capabilities": (), "no_new_privileges": False, "rlimits": (), "oom_score_adj": None,
    },
    "stdin": True, "stdout": True, "stderr": True, "close_stdin": True,
}  # fmt: skip
"""A folder can't be run: it goes as far as it can without running anything."""


def _ask_for_exec() -> None:  # pragma: no cover - forked
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    client.connect(record.SOCKET)
    client.sendall(wire.pack(_EXEC))
    wire.receive(client)
    client.close()


def _pretend(channel: _socket.socket, streams: tuple[int, int, int] | None) -> NoReturn:  # pragma: no cover - forked
    """Say what a first process says, after attaching as a client does."""
    try:
        while wire.receive_packet(channel)[0] != GO:
            pass
        client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        client.connect(record.SOCKET)
        wanted = {"stdin": True, "stdout": True, "stderr": True, "close_stdin": True}
        client.sendall(wire.pack({"op": "attach", **wanted}))
        wire.receive(client)
        wire.send_packet(channel, {"exec": True, "warnings": []})
        channel.close()
        _ask_for_exec()
        if streams:
            os.write(streams[1], b"line\n")
            client.sendall(b"line\n")
            os.read(streams[0], 5)
            client.recv(64)
        client.close()
    finally:
        os._exit(0)
