"""The shim: a container's parent on the host, from its birth to the record of its end.

The spawner forks it with one end of a socket pair, the *control* connection, whose other end the daemon keeps:

    daemon                               shim                             first process (launch.py)
      │ {"spec": …, "bpf": …, "wait": b}  │                                 │
      │ ────────────────────────────────▶ │ clone ────────────────────────▶ │ mounts …
      │                     {"pid": pid}  │                                 │
      │ ◀──────────────────────────────── │                                 │
      │ (attaches the network to pid, and clients to the streams)           │
      │ {"op": "go"}   (if it was to wait)│                                 │
      │ ────────────────────────────────▶ │ {"go": true} ─────────────────▶ │ execve
      │  {"running": …, "warnings": […]}  │                                 │
      │ ◀──────────────────────────────── │ ◀────────────────────────── end │
      │     or {"failed": …, "code": n}, then the end: all is undone        │

A daemon that goes before the container runs ends the start: all is undone. Later the shim doesn't mind.

The control connection carries requests ``{"id", "op", …}``, each answered by ``{"id", …}``, and the events
``{"exit": {…}}`` and ``{"exec_exit": key, …}``. More connections come in on ``<bundle>/shim.sock``; the first
message says what each is:

- ``{"op": "control"}`` answered by the container's state: a control connection, for a daemon that is back;
- ``{"op": "attach", …}`` answered by ``{}``, after which it is the raw stream (`pymachine.engine.runtime.stdio`);
- ``{"op": "exec", …}`` answered by ``{"pid"}`` or ``{"error", "code"}``, and then the raw stream, if one is wanted.

One thread, one epoll loop, which waits for nobody.
"""

from __future__ import annotations

import _socket
import os
import time

from pymachine.engine.runtime import cgroups, launch, logfile, plain, record, wire
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.channel import Channel, prefix_of
from pymachine.engine.runtime.execs import Exec
from pymachine.engine.runtime.loop import READ, Loop
from pymachine.engine.runtime.peers import Peer, Peers
from pymachine.engine.runtime.program import IGNORED_SIGNALS, NOT_STARTED
from pymachine.engine.runtime.stdio import Client, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pymachine.engine.runtime.spec import ContainerSpec

_KILL_SECONDS = 10.0
_EINVAL, _EIO, _EOPNOTSUPP = 22, 5, 95


class Shim:
    """One container's parent."""

    def __init__(self, spec: ContainerSpec, control: _socket.socket) -> None:
        self._spec = spec
        self._loop = Loop()
        self._peers = Peers(self._loop, self._serve, self._peer_lost)
        self._control = self._peers.add(control, is_control=True)
        self._cgroup = cgroups.of(spec.cgroup) if spec.cgroup else None
        self._streams = Streams(self._loop, logfile.open_writer(spec.log), tty=spec.process.tty)
        self._channel = Channel(self._loop, self._streams, "create", self._set_up_ended)
        self._execs: dict[int, Exec] = {}
        self._ending: list[Streams] = []
        self._pid = 0
        self._started_at = 0.0
        self._over = False
        self._exit: dict[str, Any] | None = None
        self._paused = False
        self._warnings: list[str] = []

    def run(self, bpf: str, *, wait: bool) -> None:
        """Start the container and serve it until it has ended and everybody has heard of it."""
        sys_.sigprocmask(sys_.SIG_BLOCK, (sys_.SIGCHLD,))
        signals = sys_.signalfd((sys_.SIGCHLD,))
        self._loop.watch(signals, READ, lambda events: self._child_ended(signals))
        try:
            self._start(bpf, wait=wait)
        except (OSError, ValueError) as error:
            self.fail(f"{prefix_of('create')}: {error}: unknown", NOT_STARTED)
        while not self._over or self._unread():
            self._loop.step()

    def _unread(self) -> bool:
        """Whether a client has yet to read what a process said last."""
        self._ending = [streams for streams in self._ending if streams.busy]
        return self._streams.busy or bool(self._ending)

    # --- start

    def _start(self, bpf: str, *, wait: bool) -> None:
        streams = None
        if not self._spec.process.tty:
            streams = self._streams.open_pipes(stdin=self._spec.open_stdin, stdout=True, stderr=True)
        self._peers.listen()
        _join_pid_namespace(self._spec.namespaces.pid)
        self._pid = self.fork(self._spec, bpf, self._channel.theirs, streams)
        self._channel.watch()
        for fd in set(streams or ()):
            os.close(fd)
        self._control.send({"pid": self._pid})
        if self._cgroup is not None:
            # Meanwhile the process mounts its root: moving it takes the kernel up to some milliseconds (RCU).
            self._warnings = self._cgroup.create(self._spec.resources, launch.device_rules(self._spec))
            self._cgroup.add(self._pid)
        self._channel.grouped()
        if not wait:
            self._channel.go()

    def fork(self, spec: ContainerSpec, bpf: str, channel: _socket.socket, streams: tuple[int, int, int] | None) -> int:
        """Fork the first process; its pid."""
        pid = sys_.clone(launch.private_flags(spec.namespaces))
        if pid == 0:
            launch.run(spec, bpf, channel, streams)
        return pid

    def _set_up_ended(self, outcome: dict[str, Any]) -> None:
        if "error" in outcome:
            self.fail(outcome["error"], outcome["code"])
            return
        self._started_at = time.time()
        record.write_pid(self._pid)
        if self._spec.namespaces.pid == "private":
            try:
                _join_pid_namespace(f"/proc/{self._pid}/ns/pid")  # what is forked from now on is born there: exec
            except OSError:
                pass  # it has ended already
        warnings = self._warnings + outcome["warnings"]
        self._peers.tell({"running": self._pid, "started_at": self._started_at, "warnings": warnings})

    def _peer_lost(self, peer: Peer) -> None:
        if peer is self._control and not self._started_at and not self._over:
            self.fail("given up", NOT_STARTED)

    def fail(self, message: str, code: int) -> None:
        """The container can't be started: undo everything, then say so."""
        self._channel.close()
        if self._pid:
            os.kill(self._pid, sys_.SIGKILL)  # not yet reaped, so still ours
            os.waitpid(self._pid, 0)
        self._streams.close()
        self._remove_cgroup()
        self._peers.close()
        record.forget()
        self._over = True
        self._control.send({"failed": message, "code": code})

    # --- ends of processes

    def _child_ended(self, signals: int) -> None:
        os.read(signals, 128 * 16)
        self._reap()

    def _reap(self) -> None:
        while not self._over:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._process_ended(pid, status)

    def _process_ended(self, pid: int, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        code = code if code >= 0 else 128 - code
        if pid == self._pid:
            self._pid = 0
            self._channel.finish()  # hear first that it ran, or why it did not
            if not self._over:
                self._container_ended(code)
        elif pid in self._execs:
            self._exec_ended(self._execs.pop(pid), code)

    def _exec_ended(self, ended: Exec, code: int) -> None:
        ended.ended()
        if ended.streams.busy:
            self._ending.append(ended.streams)
        self._peers.tell({"exec_exit": ended.key, "code": code, "finished_at": time.time()})

    def _container_ended(self, code: int) -> None:
        """Record the end, in this order: nobody hears of it before it is on disk and nothing is left."""
        finished_at = time.time()
        self._kill_rest()
        self._streams.drain()
        self._close_log()
        killed = self._cgroup.oom_kills() > 0 if self._cgroup else False
        self._exit = {"code": code, "finished_at": finished_at, "oom_killed": killed}
        try:
            record.write_exit(code, finished_at, oom_killed=killed)
        except OSError:
            pass  # a full disk: a daemon that is there hears of it all the same
        self._remove_cgroup()
        self._peers.close()
        record.forget(exited=True)
        self._over = True
        self._peers.tell({"exit": self._exit})
        self._streams.end()

    def _close_log(self) -> None:
        if self._streams.log is not None:
            try:
                self._streams.log.close()
            except OSError:
                pass  # as in Streams
            self._streams.log = None

    def _kill_rest(self) -> None:
        """End what outlives the first process: execs, and all others where the pid namespace is not its own."""
        deadline = time.monotonic() + _KILL_SECONDS
        while self._cgroup and self._cgroup.processes() and time.monotonic() < deadline:
            if self._paused:
                self._set_frozen(False)
            self._cgroup.kill()
            self._reap()
            time.sleep(0.001)
        self._reap()
        for ended in self._execs.values():
            self._exec_ended(ended, 128 + sys_.SIGKILL)
        self._execs.clear()

    def _remove_cgroup(self) -> None:
        """Remove it; the kernel says "busy" for a moment after the last process has been reaped."""
        deadline = time.monotonic() + _KILL_SECONDS
        while self._cgroup is not None:
            try:
                self._cgroup.remove()
                return
            except OSError:
                if time.monotonic() > deadline:
                    return
                self._cgroup.kill()
                time.sleep(0.001)

    # --- requests

    def _serve(self, peer: Peer, message: dict[str, Any]) -> None:
        operation = message.get("op")
        if operation == "attach":
            peer.send({})
            self._peers.release(peer)
            message["close_stdin"] |= self._spec.stdin_once
            self._streams.attach(Client.of(peer.sock, message), peer.inbox.rest())
        elif operation == "exec":
            self._exec(peer, message)
        else:
            if operation == "control":
                peer.is_control = True
            peer.send({"id": message.get("id"), **self._answer(str(operation), message)})

    def _answer(self, operation: str, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._operations[operation](self, message) or {}
        except OSError as error:
            return {"errno": error.errno or _EIO, "error": str(error.strerror or error)}
        except KeyError:
            return {"errno": _EINVAL, "error": f"unknown request {operation!r}"}

    def _exec(self, peer: Peer, message: dict[str, Any]) -> None:
        self._peers.release(peer)
        try:
            if not self._pid or not self._started_at:
                raise OSError(_EINVAL, "the container is not running")
            if self._paused:
                raise OSError(_EINVAL, "the container is paused, unpause the container before exec")
            added = Exec(self._loop, peer, message)
            added.start(self._pid, self._spec.cgroup)
        except OSError as error:
            peer.send({"error": f"{prefix_of('exec')}: {error.strerror}: unknown", "code": NOT_STARTED})
            peer.sock.close()
            return
        self._execs[added.pid] = added

    def _state(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"pid": self._pid, "started_at": self._started_at, "exit": self._exit, "paused": self._paused}

    def _go(self, message: dict[str, Any]) -> None:
        self._channel.go()

    def _signal(self, message: dict[str, Any]) -> None:
        if not self._pid:
            raise ProcessLookupError(3, "no such process")
        os.kill(self._pid, message["number"])
        if message["number"] == sys_.SIGKILL and self._paused:
            self._set_frozen(False)  # a process that version 1's freezer holds doesn't die

    def _resize(self, message: dict[str, Any]) -> None:
        streams = self._streams
        for added in self._execs.values():
            if added.key == message.get("key"):
                streams = added.streams
        streams.resize(message["rows"], message["columns"])

    def _set_frozen(self, frozen: bool) -> None:
        if self._cgroup is None:
            raise OSError(_EOPNOTSUPP, "the container has no control group")
        self._cgroup.set_frozen(frozen)
        self._paused = frozen

    def _pause(self, message: dict[str, Any]) -> None:
        self._set_frozen(True)

    def _resume(self, message: dict[str, Any]) -> None:
        self._set_frozen(False)

    def _update(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._cgroup is None:
            raise OSError(_EOPNOTSUPP, "the container has no control group")
        return {"warnings": self._cgroup.update(plain.resources(message["resources"]))}

    _operations: dict[str, Callable[[Shim, dict[str, Any]], dict[str, Any] | None]] = {
        "control": _state,
        "go": _go,
        "signal": _signal,
        "resize": _resize,
        "pause": _pause,
        "resume": _resume,
        "update": _update,
    }


def _join_pid_namespace(path: str) -> None:
    """Have future children in the pid namespace *path* (``private`` and ``host`` are none)."""
    if path.startswith("/"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            sys_.setns(fd, sys_.CLONE_NEWPID)
        finally:
            os.close(fd)


def serve(control: _socket.socket, kind: type[Shim]) -> None:
    """Be a shim from the first message on *control* to the end; the caller exits afterwards."""
    request = wire.receive(control)
    if request is None:
        return
    spec = plain.container(request["spec"])
    try:
        os.chdir(spec.bundle)
        record.begin()
        shim = kind(spec, control)
    except (OSError, ValueError) as error:
        control.setblocking(True)
        control.sendall(wire.pack({"failed": f"{prefix_of('create')}: {error}: unknown", "code": NOT_STARTED}))
        return
    bpf, wait = request["bpf"], request["wait"]
    del request
    shim.run(bpf, wait=wait)


def detach() -> None:
    """Own session, no stream of the daemon's, nothing that ends it but its container's end."""
    os.setsid()
    sys_.set_name("pyengine-shim")
    sys_.ignore_signals(IGNORED_SIGNALS)  # meant for the daemon; a shim goes when its container does
    sys_.default_signal(sys_.SIGCHLD)  # ignored by the spawner; a shim waits for its children
    sys_.prctl(sys_.PR_SET_CHILD_SUBREAPER, 1)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
