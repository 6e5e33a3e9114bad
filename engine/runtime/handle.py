"""A running container as the daemon sees it: one connection to its shim, and one more for each open stream."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import itertools
import os
import secrets
import signal
import socket
from typing import Any, TypeVar, cast

from pymachine.engine.runtime import leftovers, seccomp, wire
from pymachine.engine.runtime.base import ExecHandle, ExitStatus, ProcessStream, StartFailed
from pymachine.engine.runtime.connection import Connection, SocketStream, open_socket, receive_exactly
from pymachine.engine.runtime.spec import Process, Resources

T = TypeVar("T")
GIVEN_UP = "given up"
"""What a shim says of a start that the daemon itself ended."""


def failure(message: dict[str, Any] | None) -> StartFailed:
    """The error for a shim's last *message* about a start, ``None`` when it died without one."""
    if message is None or "failed" not in message:
        return StartFailed("OCI runtime create failed: the container's shim has died: unknown")
    return StartFailed(message["failed"], message["code"])


class ShimExec:
    """A process that exec added."""

    def __init__(self, container: ShimHandle, key: str, pid: int, exited: asyncio.Future[ExitStatus]) -> None:
        self._container, self._key, self._exited = container, key, exited
        self.pid = pid

    async def wait(self) -> ExitStatus:
        """How it ended; code 137 when the container ended first and told no more."""
        return await asyncio.shield(self._exited)

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        await self._container.request("resize", key=self._key, rows=rows, columns=columns)


class ShimHandle:
    """Implements `pymachine.engine.runtime.base.ContainerHandle`."""

    def __init__(
        self,
        connection: Connection,
        bundle: str,
        cgroup: str,
        filters: seccomp.Cache,
        *,
        pid: int,
    ) -> None:
        self.pid, self.started_at = pid, 0.0
        self.paused: bool | None = None
        self._connection, self._bundle, self._cgroup, self._filters = connection, bundle, cgroup, filters
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._execs: dict[str, asyncio.Future[ExitStatus]] = {}
        loop = asyncio.get_running_loop()
        self._running: asyncio.Future[list[str]] = loop.create_future()
        self._exited: asyncio.Future[ExitStatus] = loop.create_future()
        self._listening = asyncio.ensure_future(self._listen())

    async def go(self) -> None:
        """Let the program run; what comes of it shows in `running`."""
        await self._connection.send({"op": "go", "id": 0})

    async def running(self) -> list[str]:
        """Wait until the program runs: warnings about it. Raises `StartFailed` when it doesn't."""
        return await asyncio.shield(self._running)

    def is_running(self, started_at: float) -> None:
        """The program has been running since *started_at*."""
        self.started_at = started_at
        self._running.set_result([])

    async def give_up(self) -> None:
        """End a start half way; raises `StartFailed` if it had failed before by itself."""
        self._connection.end_sending()
        await self._listening
        error = self._running.exception()
        if error is not None and str(error) != GIVEN_UP:
            raise error

    async def wait(self) -> ExitStatus:
        """The exit status, once there is one."""
        return await asyncio.shield(self._exited)

    async def attach(self, *, stdin: bool, stdout: bool, stderr: bool, close_stdin: bool = True) -> ProcessStream:
        """Join the standard streams; `ProcessLookupError` when the container has ended."""
        wanted = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "close_stdin": close_stdin}
        sock, answer = await self._ask({"op": "attach", **wanted})
        if answer is None:
            sock.close()
            raise ProcessLookupError(errno.ESRCH, "the container is not running")
        return SocketStream(sock)

    async def exec(
        self, process: Process, *, stdin: bool, stdout: bool, stderr: bool
    ) -> tuple[ExecHandle, ProcessStream | None]:
        """Start *process* inside; raises `StartFailed`."""
        key = secrets.token_hex(8)
        exited = self._execs[key] = asyncio.get_running_loop().create_future()
        request = {
            "op": "exec", "key": key, "process": dataclasses.asdict(process),
            "bpf": await self._filters.program_for(process),
            "stdin": stdin, "stdout": stdout, "stderr": stderr, "close_stdin": True,
        }  # fmt: skip
        sock: socket.socket | None = None
        try:
            sock, answer = await self._ask(request)
            if answer is None:
                raise StartFailed("OCI runtime exec failed: the container is not running: unknown")
            if "error" in answer:
                raise StartFailed(answer["error"], answer["code"])
        except BaseException as error:
            del self._execs[key]
            if sock is not None:
                sock.close()
            if isinstance(error, ProcessLookupError):
                raise StartFailed(f"OCI runtime exec failed: {error.strerror}: unknown") from None
            raise
        running = ShimExec(self, key, answer["pid"], exited)
        if stdin or stdout or stderr:
            return running, SocketStream(sock)
        sock.close()
        return running, None

    async def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size."""
        await self.request("resize", rows=rows, columns=columns)

    async def signal(self, number: int) -> None:
        """Send a signal to the first process; `ProcessLookupError` when it is gone."""
        await self.request("signal", number=int(number))

    async def pause(self) -> None:
        """Stop all processes."""
        await self.request("pause")

    async def resume(self) -> None:
        """Let them go on."""
        await self.request("resume")

    async def update(self, resources: Resources) -> list[str]:
        """Change the limits that *resources* sets; warnings about those that can't be."""
        answer = await self.request("update", resources=dataclasses.asdict(resources))
        return cast(list[str], answer["warnings"])

    def abandon(self) -> None:
        """End the container, unasked for as it has become."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    async def request(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Ask the shim for *operation*; raises the `OSError` that it answers with."""
        number = next(self._ids)
        if self._exited.done():
            raise ProcessLookupError(errno.ESRCH, "the container is not running")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._connection.send({"op": operation, "id": number, **arguments})
        message = await answer
        if "errno" in message:
            raise OSError(message["errno"], message["error"])
        return message

    async def _ask(self, request: dict[str, Any]) -> tuple[socket.socket, dict[str, Any] | None]:
        """Open a connection of its own for *request*; the connection and the answer."""
        loop = asyncio.get_running_loop()
        try:
            sock = open_socket(self._bundle)
        except OSError:
            raise ProcessLookupError(errno.ESRCH, "the container is not running") from None
        try:
            await loop.sock_sendall(sock, wire.pack(request))
            header = await receive_exactly(sock, 4)
            body = await receive_exactly(sock, wire.body_size(header)) if header else b""
        except OSError:
            return sock, None
        except BaseException:
            sock.close()
            raise
        answer: dict[str, Any] | None = wire.unpack(body) if body else None
        return sock, answer

    async def _listen(self) -> None:
        while (message := await self._connection.receive()) is not None:
            if "running" in message:
                self.started_at = message["started_at"]
                self._running.set_result(message["warnings"])
            elif "failed" in message:
                self._fail(message)
            elif "exit" in message:
                self._end(ExitStatus(**message["exit"]))
                break  # nothing comes after it
            elif "exec_exit" in message:
                self._exec_ended(message)
            else:
                _settle(self._answers.pop(message.get("id", 0), None), message)
        if not self._exited.done():
            self._end(await leftovers.clear(self._bundle, lost=137))
        self._connection.close()

    def _fail(self, message: dict[str, Any] | None) -> None:
        if not self._running.done():
            self._running.set_exception(failure(message))
            self._running.exception()  # whoever waits gets it; when nobody does it is not worth a complaint

    def _exec_ended(self, message: dict[str, Any]) -> None:
        _settle(self._execs.pop(message["exec_exit"], None), ExitStatus(message["code"], message["finished_at"]))

    def _end(self, status: ExitStatus) -> None:
        self._fail(None)
        self._exited.set_result(status)
        for answer in self._answers.values():
            _settle(answer, {"errno": errno.ESRCH, "error": "the container is not running"})
        self._answers.clear()
        for exited in self._execs.values():
            _settle(exited, ExitStatus(137, status.finished_at))
        self._execs.clear()


def _settle(future: asyncio.Future[T] | None, result: T) -> None:
    """Answer whoever still waits: one that was cancelled meanwhile takes no result."""
    if future is not None and not future.done():
        future.set_result(result)
