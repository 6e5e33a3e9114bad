"""``docker exec``: processes added to running containers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pymachine.dockerapi.errors import Conflict, EngineError, InvalidArgument, NotFound
from pymachine.engine.containers import etc, process, security, shapes, specs
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.runtime.base import ExecHandle, ProcessStream, StartFailed
from pymachine.engine.runtime.spec import Process

_FIELDS: dict[str, shapes.Kind] = {
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "Privileged", "Detach"), "bool"),
    **dict.fromkeys(("User", "WorkingDir", "DetachKeys"), "str"),
    "Env": "a list of strings",
    "Cmd": "words",
}
_KEPT_ENDED = 256
"""Ended execs that can still be inspected (clients ask for the exit code after the end)."""


@dataclass(slots=True)
class Exec:
    """One process that was or will be added to a container."""

    id: str
    container: Container
    config: dict[str, Any]
    handle: ExecHandle | None = None
    started: bool = False
    running: bool = False
    exit_code: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def tty(self) -> bool:
        return bool(self.config.get("Tty"))

    @property
    def command(self) -> str:
        return " ".join(self.config["Cmd"])


class Execs:
    """The execs of this daemon's life, by id."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._execs: dict[str, Exec] = {}

    def create(self, container: Container, body: Mapping[str, Any]) -> Exec:
        """Note an exec to be started; raises `Conflict` unless the container runs and is not paused."""
        config = shapes.require("ExecConfig", dict(body), _FIELDS)
        if not config.get("Cmd"):
            raise InvalidArgument("No exec command specified")
        _check_running(container)
        found = Exec(secrets.token_hex(32), container, config)
        self._forget_old()
        self._execs[found.id] = found
        self._context.publish(container, f"exec_create: {found.command}", execID=found.id)
        return found

    def get(self, exec_id: str) -> Exec:
        """Raises `NotFound`."""
        found = self._execs.get(exec_id)
        if found is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return found

    def of(self, container: Container) -> list[str]:
        """The ids of a container's running execs."""
        return [found.id for found in self._execs.values() if found.container is container and found.running]

    def check_startable(self, found: Exec) -> None:
        """Raise `Conflict` for an exec that ran already, or whose container cannot take it."""
        if found.started:
            state = "is already running" if found.running else "has already run"
            raise Conflict(f"exec command {found.id} {state}")
        _check_running(found.container)

    async def start(self, found: Exec, *, attached: bool, size: tuple[int, int] = (0, 0)) -> ProcessStream | None:
        """Run it; raises `EngineError` when it cannot be, and keeps the exit code that says so."""
        self.check_startable(found)
        found.started, config, handle = True, found.config, found.container.handle
        assert handle is not None
        self._context.publish(found.container, f"exec_start: {found.command}", execID=found.id)
        streams = {name.lower(): attached and bool(config.get(f"Attach{name}")) for name in ("Stdin", "Stdout")}
        try:
            found.handle, stream = await handle.exec(
                self.process(found, size), **streams, stderr=attached and bool(config.get("AttachStderr"))
            )
        except StartFailed as error:
            found.exit_code = error.exit_code if error.exit_code == 127 else 126  # Docker knows no third
            found.ended.set()
            raise EngineError(f"OCI runtime exec failed: exec failed: {error}") from error
        found.running = True
        self._context.background(self._reap(found, found.handle), "waiting for an exec")
        return stream

    async def _reap(self, found: Exec, handle: ExecHandle) -> None:
        how = await handle.wait()
        found.running, found.exit_code = False, how.code
        found.ended.set()
        self._context.publish(found.container, "exec_die", execID=found.id, exitCode=str(how.code))

    def process(self, found: Exec, size: tuple[int, int]) -> Process:
        """The process: as the container's first one where the request says nothing else."""
        container, config = found.container, found.config
        first = specs.first_process(container, self._context.options)
        privileged = bool(config.get("Privileged"))
        # TERM belongs to the exec's own terminal, not to the container's.
        base = {**container.config, "Tty": found.tty}
        return replace(
            first,
            args=tuple(config["Cmd"]),
            env=process.environment(base, etc.hostname(container), config.get("Env")),
            cwd=config.get("WorkingDir") or first.cwd,
            user=config.get("User") or first.user,
            tty=found.tty,
            console_size=size,
            capabilities=security.possible() if privileged else first.capabilities,
            seccomp="unconfined" if privileged else first.seccomp,
            no_new_privileges=first.no_new_privileges and not privileged,
        )

    def view(self, found: Exec) -> dict[str, Any]:
        """``GET /exec/{id}/json``."""
        config = found.config
        entrypoint, *arguments = config["Cmd"]
        return {
            "ID": found.id,
            "Running": found.running,
            "ExitCode": found.exit_code,
            "ProcessConfig": {
                "tty": found.tty,
                "entrypoint": entrypoint,
                "arguments": arguments,
                "privileged": bool(config.get("Privileged")),
                "user": config.get("User") or "",
            },
            "OpenStdin": bool(config.get("AttachStdin")),
            "OpenStdout": bool(config.get("AttachStdout")),
            "OpenStderr": bool(config.get("AttachStderr")),
            "CanRemove": False,
            "ContainerID": found.container.id,
            "DetachKeys": config.get("DetachKeys") or "",
            "Pid": found.handle.pid if found.handle else 0,
        }

    def _forget_old(self) -> None:
        ended = [key for key, found in self._execs.items() if found.ended.is_set() or found.container.handle is None]
        for key in ended[: max(len(ended) - _KEPT_ENDED, 0)]:
            del self._execs[key]


def _check_running(container: Container) -> None:
    if container.state.paused:
        raise Conflict(f"container {container.name} is paused, unpause the container before exec")
    if not container.state.running or container.handle is None:
        raise Conflict(f"container {container.id} is not running")
