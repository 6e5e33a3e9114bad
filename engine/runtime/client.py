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
from pymachine.engine.runtime.base import AttachNetwork, ContainerHandle, ExitStatus, StartFailed
from pymachine.engine.runtime.spec import ContainerSpec

log = logging.getLogger("pyengine.runtime")


class ShimRuntime:
    """Implements `pymachine.engine.runtime.base.Runtime`."""

    def __init__(self, spawner: spawning.Spawner, exec_root: Path) -> None:
        self._spawner = spawner
        self._filters = seccomp.Cache(exec_root / "seccomp")

    @classmethod
    def launch(cls, *, exec_root: Path) -> ShimRuntime:
        """Start the spawner. Call it early, while the process is small; *exec_root* (0700) is for what we cache."""
        exec_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        spawner = spawning.Spawner()
        spawner.launch()
        return cls(spawner, exec_root)

    async def start(self, spec: ContainerSpec, attach_network: AttachNetwork | None = None) -> ContainerHandle:
        """Make *spec* run; raises `StartFailed`, or what *attach_network* raised, and leaves nothing behind."""
        starting = asyncio.ensure_future(self._start(spec, attach_network))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_abandon)  # half a start can't be left: let it end, then end what it made
            raise

    async def _start(self, spec: ContainerSpec, attach_network: AttachNetwork | None) -> handle.ShimHandle:
        bpf = await self._filters.program_for(spec.process)
        document = dataclasses.asdict(spec)
        wait = attach_network is not None and spec.namespaces.net == "private"
        _prepare_bundle(spec.bundle, document)
        connection = await self._new_shim()
        try:
            await connection.send({"spec": document, "bpf": bpf, "wait": wait})
            first = await connection.receive()
            if attach_network is not None and wait and first is not None and "pid" in first:
                await attach_network(first["pid"])
                await connection.send({"go": True})
            return self._started(spec, connection, await _outcome(connection, first))
        except BaseException:
            connection.end_sending()
            await connection.drain()
            connection.close()
            _forget_bundle(spec.bundle)
            raise

    def _started(
        self, spec: ContainerSpec, connection: handle.Connection, outcome: dict[str, Any]
    ) -> handle.ShimHandle:
        for warning in outcome["warnings"]:
            log.warning("container %s: %s", spec.id[:12], warning)
        return handle.ShimHandle(
            connection,
            spec.bundle,
            spec.cgroup,
            self._filters,
            pid=outcome["running"],
            started_at=outcome["started_at"],
        )

    async def _new_shim(self) -> handle.Connection:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._spawner.send(theirs)
        except OSError as error:
            ours.close()
            raise StartFailed(f"OCI runtime create failed: the spawner can't be started: {error}: unknown") from error
        finally:
            theirs.close()
        return await handle.Connection.over(ours)

    async def reconnect(self, container_id: str, bundle: str) -> ContainerHandle | ExitStatus:
        """Find the container of *bundle* again: running, or how it ended, or code 255 if nothing tells."""
        try:
            connection = await handle.connect(bundle)
        except OSError:
            return await leftovers.clear(bundle)
        await connection.send({"op": "control", "id": 0})
        state = await connection.receive()
        if state is None or state.get("exit") is not None:
            connection.close()
            return await leftovers.clear(bundle)
        cgroup = leftovers.cgroup_of(bundle)
        return handle.ShimHandle(
            connection, bundle, cgroup, self._filters, pid=state["pid"], started_at=state["started_at"]
        )

    async def close(self) -> None:
        """End the spawner. Containers go on."""
        await asyncio.to_thread(self._spawner.close)


def _prepare_bundle(bundle: str, document: dict[str, Any]) -> None:
    os.makedirs(bundle, mode=0o700, exist_ok=True)
    path = os.path.join(bundle, leftovers.SPEC)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file, separators=(",", ":"))


def _forget_bundle(bundle: str) -> None:
    try:
        os.unlink(os.path.join(bundle, leftovers.SPEC))
    except FileNotFoundError:
        pass


async def _outcome(connection: handle.Connection, message: dict[str, Any] | None) -> dict[str, Any]:
    """The shim's last word about the start; raises `StartFailed`."""
    while message is not None and "running" not in message:
        if "error" in message:
            raise StartFailed(message["error"], message["code"])
        message = await connection.receive()
    if message is None:
        raise StartFailed("OCI runtime create failed: the container's shim has died: unknown")
    return message


def _abandon(starting: asyncio.Future[handle.ShimHandle]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().abandon()
