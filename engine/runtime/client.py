"""The daemon's side of the runtime: `ShimRuntime` starts containers through the spawner and finds them again.

The exchange with a shim is drawn in `pymachine.engine.runtime.shim`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

from pymachine.engine.runtime import handle, leftovers, seccomp, spawning
from pymachine.engine.runtime.base import AttachNetwork, BeforeRun, ContainerHandle, ExitStatus, StartFailed
from pymachine.engine.runtime.connection import Connection, connect
from pymachine.engine.runtime.spec import ContainerSpec

log = logging.getLogger("pyengine.runtime")

_ANSWER_SECONDS = 30.0


class ShimRuntime:
    """Implements `pymachine.engine.runtime.base.Runtime`."""

    def __init__(self, spawner: spawning.Spawner, exec_root: Path) -> None:
        self._spawner = spawner
        self._filters = seccomp.Cache(exec_root / "seccomp")

    @classmethod
    def launch(cls, *, exec_root: Path) -> ShimRuntime:
        """Start the spawner. Call it early, while the process is small; *exec_root* (0700) is for what we cache."""
        exec_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        spawner = spawning.Spawner(exec_root)
        spawner.launch()
        return cls(spawner, exec_root)

    @property
    def spawner_pid(self) -> int:
        """The spawner's process id; 0 when there is none."""
        return self._spawner.pid

    async def start(
        self,
        spec: ContainerSpec,
        attach_network: AttachNetwork | None = None,
        before_run: BeforeRun | None = None,
    ) -> ContainerHandle:
        """Make *spec* run; raises `StartFailed`, or what a callback raised, and leaves nothing behind."""
        starting = asyncio.ensure_future(self._start(spec, attach_network, before_run))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_abandon)  # half a start can't be left: let it end, then end what it made
            raise

    async def _start(
        self, spec: ContainerSpec, attach_network: AttachNetwork | None, before_run: BeforeRun | None
    ) -> handle.ShimHandle:
        bpf = await self._filters.program_for(spec.process)
        document = dataclasses.asdict(spec)
        if spec.namespaces.net != "private":
            attach_network = None
        wait = attach_network is not None or before_run is not None
        _prepare_bundle(spec.bundle, document)
        try:
            connection = await self._new_shim()
            await connection.send({"spec": document, "bpf": bpf, "wait": wait})
            container = await self._born(spec, connection)
            if wait:
                await self._accompany(container, attach_network, before_run)
            for warning in await container.running():
                log.warning("container %s: %s", spec.id[:12], warning)
        except BaseException:
            _forget_bundle(spec.bundle)
            raise
        return container

    async def _born(self, spec: ContainerSpec, connection: Connection) -> handle.ShimHandle:
        first = await connection.receive()
        if first is None or "pid" not in first:
            await connection.drain()
            connection.close()
            raise handle.failure(first)
        return handle.ShimHandle(connection, spec.bundle, spec.cgroup, self._filters, pid=first["pid"])

    async def _accompany(
        self, container: handle.ShimHandle, attach_network: AttachNetwork | None, before_run: BeforeRun | None
    ) -> None:
        """Give the new container its network and its clients, then let it go on."""
        try:
            if attach_network is not None:
                await attach_network(container.pid)
            if before_run is not None:
                await before_run(container)
        except BaseException:
            # Its set-up may have failed meanwhile and be the reason: then that is what the user must read.
            await container.give_up()
            raise
        await container.go()

    async def _new_shim(self) -> Connection:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._spawner.send(theirs)
        except OSError as error:
            ours.close()
            raise StartFailed(f"OCI runtime create failed: the spawner can't be started: {error}: unknown") from error
        finally:
            theirs.close()
        return await Connection.over(ours)

    async def reconnect(self, container_id: str, bundle: str) -> ContainerHandle | ExitStatus:
        """Find the container of *bundle* again: running, or how it ended, or code 255 if nothing tells."""
        try:
            connection = await connect(bundle)
        except OSError:
            return await leftovers.clear(bundle)
        await connection.send({"op": "control", "id": 0})
        try:
            state = await asyncio.wait_for(connection.receive(), _ANSWER_SECONDS)
        except TimeoutError:
            connection.close()
            raise TimeoutError(f"the shim of container {container_id[:12]} does not answer") from None
        if state is None or not state["started_at"] or state.get("exit") is not None:
            connection.close()
            return await leftovers.clear(bundle)
        found = handle.ShimHandle(connection, bundle, leftovers.cgroup_of(bundle), self._filters, pid=state["pid"])
        found.is_running(state["started_at"])
        found.paused = state.get("paused")
        return found

    async def close(self) -> None:
        """End the spawner. Containers go on."""
        await asyncio.to_thread(self._spawner.close)


def _prepare_bundle(bundle: str, document: dict[str, Any]) -> None:
    os.makedirs(bundle, mode=0o700, exist_ok=True)
    path = os.path.join(bundle, leftovers.SPEC)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(json.dumps(document, separators=(",", ":")))  # at once: json.dump has no C behind it


def _forget_bundle(bundle: str) -> None:
    try:
        os.unlink(os.path.join(bundle, leftovers.SPEC))
    except FileNotFoundError:
        pass


def _abandon(starting: asyncio.Future[handle.ShimHandle]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().abandon()
