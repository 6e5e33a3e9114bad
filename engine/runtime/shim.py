"""The shim: a container's parent on the host, from its birth to the record of its end.

The spawner forks it with one end of a socket pair, the *control* connection, whose other end the daemon keeps:

    daemon                               shim                             first process (launch.py)
      │ {"spec": …, "bpf": …, "wait": b}  │                                 │
      │ ────────────────────────────────▶ │ clone ────────────────────────▶ │ mounts …
      │                     {"pid": pid}  │                                 │
      │ ◀──────────────────────────────── │                                 │
      │ (attaches the network to pid)     │                                 │
      │ {"go": true}   (if it was to wait)│                                 │
      │ ────────────────────────────────▶ │ {"go": true} ─────────────────▶ │ execve
      │  {"running": …, "warnings": […]}  │                                 │
      │ ◀──────────────────────────────── │ ◀────────────────────────── end │
      │     or {"error": …, "code": n}, then the end: all is undone         │

From then on the control connection carries requests ``{"id", "op", …}``, each answered by ``{"id", …}``, and the
events ``{"exit": {…}}`` and ``{"exec_exit": key, …}``. More connections come in on ``<bundle>/shim.sock``; the
first message says what each is:

- ``{"op": "control"}`` answered by the container's state: a control connection, for a daemon that is back;
- ``{"op": "attach", …}`` answered by ``{}``, after which it is the raw stream (`pymachine.engine.runtime.stdio`);
- ``{"op": "exec", …}`` answered by ``{"pid"}`` or ``{"error", "code"}``, and then the raw stream, if one is wanted.

One thread, one epoll loop; it waits for nobody but the first process's set-up and its own exec children's.
"""

from __future__ import annotations

import _socket
import os
import time

from pymachine.engine.runtime import cgroups, execs, launch, logfile, plain, record, wire
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.loop import READ, Loop
from pymachine.engine.runtime.program import NOT_STARTED
from pymachine.engine.runtime.stdio import Client, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pymachine.engine.runtime.spec import ContainerSpec

SOCKET = "shim.sock"
_LEFT_ALONE = (1, 2, 3, 13, 15)  # HUP INT QUIT PIPE TERM: meant for the daemon; a shim goes when its container does
_KILL_SECONDS = 10.0


class Peer:
    """A connection whose purpose is control, or not yet known."""

    __slots__ = ("inbox", "is_control", "sock")

    def __init__(self, sock: _socket.socket, *, is_control: bool) -> None:
        self.sock, self.is_control, self.inbox = sock, is_control, wire.Inbox()

    def send(self, message: Any) -> None:
        """Send *message*; one that has gone, or reads so little that its socket is full, is not waited for."""
        try:
            self.sock.sendall(wire.pack(message))
        except OSError:
            pass


class Shim:
    """One container's parent."""

    def __init__(self, spec: ContainerSpec, control: _socket.socket) -> None:
        self._spec = spec
        self._loop = Loop()
        self._peers: list[Peer] = []
        self._control = control
        self._cgroup = cgroups.of(spec.cgroup) if spec.cgroup else None
        self._streams = Streams(self._loop, logfile.open_writer(spec.log), tty=spec.process.tty)
        self._execs: dict[int, execs.Exec] = {}
        self._pid = 0
        self._started_at = 0.0
        self._exit: dict[str, Any] | None = None
        self._paused = False
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    # --- start

    def start(self, bpf: bytes, *, wait: bool) -> str:
        """Start the container; an error's text if that failed, with everything undone."""
        channel, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        streams = None
        if not self._spec.process.tty:
            streams = self._streams.open_pipes(stdin=self._spec.open_stdin, stdout=True, stderr=True)
        self._join_pid_namespace(self._spec.namespaces.pid)
        self._pid = sys_.clone(launch.private_flags(self._spec.namespaces))
        if self._pid == 0:
            launch.run(self._spec, bpf, theirs, streams)
        theirs.close()
        for fd in set(streams or ()):
            os.close(fd)
        failure = self._accompany(channel, wait=wait)
        channel.close()
        if failure is None:
            return ""
        self._undo()
        self._reply(failure)
        return str(failure["error"])

    def _join_pid_namespace(self, path: str) -> None:
        if path.startswith("/"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                sys_.setns(fd, sys_.CLONE_NEWPID)
            finally:
                os.close(fd)

    def _accompany(self, channel: _socket.socket, *, wait: bool) -> dict[str, Any] | None:
        """See the first process through its set-up; what went wrong, if anything."""
        self._reply({"pid": self._pid})
        if not wait:
            wire.send_packet(channel, {"go": True})
        elif wire.receive(self._control) != {"go": True}:
            return {"error": "given up", "code": NOT_STARTED}
        else:
            try:
                wire.send_packet(channel, {"go": True})
            except OSError:
                pass  # it has failed already, and said why
        outcome: dict[str, Any] = {}
        while True:
            message, descriptor = wire.receive_packet(channel)
            if message is None:
                break
            if descriptor is not None:
                self._streams.adopt_terminal(descriptor)
            outcome.update(message)
        if "error" in outcome or "exec" not in outcome:
            died = f"{launch.prefix_of('create')}: its first process died early (out of memory?): unknown"
            return {"error": outcome.get("error", died), "code": outcome.get("code", NOT_STARTED)}
        self._started_at = time.time()
        record.write_pid(self._pid)
        self._listen()
        self._reply({"running": self._pid, "started_at": self._started_at, "warnings": outcome["warnings"]})
        return None

    def _reply(self, message: dict[str, Any]) -> None:
        try:
            self._control.sendall(wire.pack(message))
        except OSError:
            pass  # the daemon has gone: the next one asks by the socket

    def _undo(self) -> None:
        try:
            os.kill(self._pid, sys_.SIGKILL)
        except ProcessLookupError:
            pass
        self._reap_all()
        self._streams.close()
        self._remove_cgroup()
        record.forget()

    def _listen(self) -> None:
        """Open the socket, by a relative name: sun_path has room for 108 bytes and a bundle's path may be longer."""
        try:
            os.unlink(SOCKET)
        except FileNotFoundError:
            pass
        mask = os.umask(0o177)
        try:
            self._listener.bind(SOCKET)
        finally:
            os.umask(mask)
        self._listener.listen(64)
        self._listener.setblocking(False)

    # --- life

    def serve(self) -> None:
        """Serve the running container until it has ended and everybody has heard of it."""
        sys_.sigprocmask(sys_.SIG_BLOCK, (sys_.SIGCHLD,))
        signals = sys_.signalfd((sys_.SIGCHLD,))
        self._loop.watch(signals, READ, lambda events: self._child_ended(signals))
        self._loop.watch(self._listener.fileno(), READ, self._accept)
        self._add_peer(self._control, is_control=True)
        self._enter_pid_namespace()
        self._reap()  # it may have ended before the signal was waited for
        while self._exit is None or self._streams.busy:
            self._loop.step()

    def _enter_pid_namespace(self) -> None:
        """From now on what is forked (exec) is born into the container's pid namespace."""
        if self._spec.namespaces.pid == "private":
            try:
                self._join_pid_namespace(f"/proc/{self._pid}/ns/pid")
            except OSError:
                pass  # it has ended already

    def _child_ended(self, signals: int) -> None:
        os.read(signals, 128 * 16)
        self._reap()

    def _reap(self) -> None:
        while self._exit is None:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._process_ended(pid, code if code >= 0 else 128 - code)

    def _process_ended(self, pid: int, code: int) -> None:
        if pid == self._pid:
            self._container_ended(code)
        elif pid in self._execs:
            self._exec_ended(self._execs.pop(pid), code)

    def _exec_ended(self, ended: execs.Exec, code: int) -> None:
        ended.streams.drain()
        ended.streams.end()
        self._tell({"exec_exit": ended.key, "code": code, "finished_at": time.time()})

    def _container_ended(self, code: int) -> None:
        """Record the end, in this order: nobody hears of it before it is on disk and nothing is left."""
        finished_at = time.time()
        self._kill_rest()
        self._streams.drain()
        if self._streams.log is not None:
            self._streams.log.close()
            self._streams.log = None
        killed = self._cgroup.oom_kills() > 0 if self._cgroup else False
        self._exit = {"code": code, "finished_at": finished_at, "oom_killed": killed}
        record.write_exit(code, finished_at, oom_killed=killed)
        self._remove_cgroup()
        self._listener.close()
        record.forget(exited=True)
        self._tell({"exit": self._exit})
        self._streams.end()

    def _kill_rest(self) -> None:
        """End what outlives the first process: execs, and all others where the pid namespace is not its own."""
        deadline = time.monotonic() + _KILL_SECONDS
        while self._cgroup and self._cgroup.processes() and time.monotonic() < deadline:
            if self._paused:
                self._set_frozen(False)
            self._cgroup.kill()
            self._reap_all_ended()
            time.sleep(0.001)
        self._reap_all_ended()
        for ended in list(self._execs.values()):
            self._exec_ended(ended, 128 + sys_.SIGKILL)
        self._execs.clear()

    def _reap_all_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._execs:
                code = os.waitstatus_to_exitcode(status)
                self._exec_ended(self._execs.pop(pid), code if code >= 0 else 128 - code)

    def _reap_all(self) -> None:
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

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

    # --- connections

    def _accept(self, events: int) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined] # not in the type stubs
        except OSError:
            return
        self._add_peer(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd), is_control=False)

    def _add_peer(self, sock: _socket.socket, *, is_control: bool) -> None:
        sock.setblocking(False)
        peer = Peer(sock, is_control=is_control)
        self._peers.append(peer)
        self._loop.watch(sock.fileno(), READ, lambda events: self._receive(peer))

    def _receive(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        peer.inbox.feed(data)
        while peer in self._peers and (message := peer.inbox.next()) is not None:
            self._serve(peer, message)

    def _drop(self, peer: Peer) -> None:
        self._release(peer)
        peer.sock.close()

    def _release(self, peer: Peer) -> None:
        self._peers.remove(peer)
        self._loop.forget(peer.sock.fileno())

    def _tell(self, event: dict[str, Any]) -> None:
        for peer in self._peers:
            if peer.is_control:
                peer.send(event)

    def _serve(self, peer: Peer, message: dict[str, Any]) -> None:
        operation = message.get("op")
        if operation == "attach":
            peer.send({})
            self._release(peer)
            self._streams.attach(_client(peer.sock, message), peer.inbox.rest())
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
            return {"errno": error.errno or 5, "error": str(error.strerror or error)}
        except KeyError:
            return {"errno": 22, "error": f"unknown request {operation!r}"}

    # --- requests

    def _state(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"pid": self._pid, "started_at": self._started_at, "exit": self._exit}

    def _signal(self, message: dict[str, Any]) -> None:
        os.kill(self._pid, message["number"])
        if message["number"] == sys_.SIGKILL and self._paused:
            self._set_frozen(False)  # a process that version 1's freezer holds doesn't die

    def _resize(self, message: dict[str, Any]) -> None:
        streams = self._streams
        for running in self._execs.values():
            if running.key == message.get("key"):
                streams = running.streams
        streams.resize(message["rows"], message["columns"])

    def _set_frozen(self, frozen: bool) -> None:
        if self._cgroup is None:
            raise OSError(95, "the container has no control group")
        self._cgroup.set_frozen(frozen)
        self._paused = frozen

    def _pause(self, message: dict[str, Any]) -> None:
        self._set_frozen(True)

    def _resume(self, message: dict[str, Any]) -> None:
        self._set_frozen(False)

    def _update(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._cgroup is None:
            raise OSError(95, "the container has no control group")
        return {"warnings": self._cgroup.update(plain.resources(message["resources"]))}

    _operations: dict[str, Callable[[Shim, dict[str, Any]], dict[str, Any] | None]] = {
        "control": _state,
        "signal": _signal,
        "resize": _resize,
        "pause": _pause,
        "resume": _resume,
        "update": _update,
    }

    def _exec(self, peer: Peer, message: dict[str, Any]) -> None:
        if self._exit is not None:
            peer.send({"error": "the container is not running", "code": NOT_STARTED})
            self._drop(peer)
            return
        started = execs.start(self._loop, message, self._pid, self._spec.cgroup)
        if isinstance(started, dict):
            peer.send(started)
            self._drop(peer)
            return
        self._execs[started.pid] = started
        peer.send({"pid": started.pid, "warnings": started.warnings})
        self._release(peer)
        if message["stdin"] or message["stdout"] or message["stderr"]:
            started.streams.attach(_client(peer.sock, message), peer.inbox.rest())
        else:
            peer.sock.close()


def _client(sock: _socket.socket, message: dict[str, Any]) -> Client:
    streams = tuple([number for number, name in ((1, "stdout"), (2, "stderr")) if message[name]])
    return Client(sock, stdin=message["stdin"], streams=streams, close_stdin=message["close_stdin"])


def run(control: _socket.socket) -> None:  # pragma: no cover - runs in a forked process
    """Be a shim from the first message to the end; the caller exits afterwards."""
    _detach()
    request = wire.receive(control)
    if request is None:
        return
    spec = plain.container(request["spec"])
    try:
        os.chdir(spec.bundle)
        record.begin()
        shim = Shim(spec, control)
        failure = shim.start(request["bpf"], wait=request["wait"])
    except (OSError, ValueError) as error:
        message = f"{launch.prefix_of('create')}: {error}: unknown"
        control.sendall(wire.pack({"error": message, "code": NOT_STARTED}))
        record.forget()
        return
    if not failure:
        shim.serve()


def _detach() -> None:
    """Own session, no stream of the daemon's, nothing that ends it but its container's end."""
    os.setsid()
    sys_.set_name("pyengine-shim")
    sys_.ignore_signals(_LEFT_ALONE)
    sys_.default_signal(sys_.SIGCHLD)  # ignored by the spawner; a shim waits for its children
    sys_.prctl(sys_.PR_SET_CHILD_SUBREAPER, 1)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
