"""The runtime's contract with the daemon: start containers, find them again, talk to them.

One implementation, `pymachine.engine.runtime.client.ShimRuntime`; the protocol is here so that the container
service and its tests depend on nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pymachine.dockerapi.messages import Stream
from pymachine.engine.runtime.spec import ContainerSpec, Process


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a container's first process, or an exec's process, ended."""

    code: int
    """0…255; 128 + the signal's number for one that a signal ended."""
    finished_at: float
    """Seconds since the epoch."""
    oom_killed: bool = False
    error: str = ""


class StartFailed(Exception):
    """The container's process could not be started; the message is what Docker's users expect to read.

    ``exit_code`` is 127 when the program was not found, 126 when it cannot be executed, 128 otherwise
    (what ``docker inspect`` shows as ``State.ExitCode`` of a container that failed to start).
    """

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ProcessStream(Stream, Protocol):
    """A process's standard streams, as Docker's stdio frames (or raw bytes of a terminal)."""

    async def close(self) -> None:
        """Leave (detach): the process goes on, its streams stay. Fine when called twice."""
        ...


class ExecHandle(Protocol):
    """A process that exec added."""

    pid: int

    async def wait(self) -> ExitStatus: ...

    async def resize(self, rows: int, columns: int) -> None: ...


class ContainerHandle(Protocol):
    """A running container, through its shim. Survives the daemon: `Runtime.reconnect` makes a new one."""

    pid: int
    """Of the first process, in the daemon's pid namespace."""
    started_at: float
    paused: bool | None
    """Whether it was paused when `Runtime.reconnect` found it; ``None`` where that is not known."""

    async def wait(self) -> ExitStatus:
        """The exit status, once there is one. Never raises for a lost shim: that ends as code 137."""
        ...

    async def attach(self, *, stdin: bool, stdout: bool, stderr: bool, close_stdin: bool = True) -> ProcessStream:
        """Join the container's standard streams as of now.

        Without a terminal what is read are Docker's stdio frames (``dockerapi.stdio``), with one raw bytes.
        ``write_eof`` closes the container's standard input (only if it was opened ``stdin_once`` or
        *close_stdin*). Reading ends with ``b""`` when the container's output has ended and been read.
        """
        ...

    async def exec(
        self, process: Process, *, stdin: bool, stdout: bool, stderr: bool
    ) -> tuple[ExecHandle, ProcessStream | None]:
        """Start *process* inside; raises `StartFailed`. The stream is as for `attach` (``None`` if none of
        the three is asked for)."""
        ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, number: int) -> None:
        """Send a signal to the first process; `ProcessLookupError` when it is gone."""
        ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...


AttachNetwork = Callable[[int], Awaitable[None]]
"""Called with the pid of a process inside the new network namespace, before the container's program runs.
What it raises makes the start fail with it."""


BeforeRun = Callable[[ContainerHandle], Awaitable[None]]
"""Called when the shim answers and the container's program has not run yet. Clients that attached before the
start (``docker run`` does) call `ContainerHandle.attach` here, and so miss no output of a quick program."""


class Runtime(Protocol):
    """Starts containers."""

    async def start(
        self,
        spec: ContainerSpec,
        attach_network: AttachNetwork | None = None,
        before_run: BeforeRun | None = None,
    ) -> ContainerHandle:
        """Make *spec* run; raises `StartFailed` and leaves nothing behind."""
        ...

    async def reconnect(self, container_id: str, bundle: str) -> ContainerHandle | ExitStatus:
        """A container that an earlier daemon started: still running, or how it ended (if its shim and its
        record are gone, code 255, as Docker says after a reboot)."""
        ...

    async def close(self) -> None:
        """End the spawner. Containers go on."""
        ...
