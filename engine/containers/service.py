"""The container service: all that the API asks of containers, over the modules that do it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from pymachine.dockerapi.errors import Conflict, EngineError, InvalidArgument, NotFound
from pymachine.engine.containers import creation, limits, names, request, specs
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.control import Control
from pymachine.engine.containers.documents import Documents
from pymachine.engine.containers.execs import Execs
from pymachine.engine.containers.lifecycle import Lifecycle
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.options import Options
from pymachine.engine.containers.problems import Problems
from pymachine.engine.containers.recovery import Recovery
from pymachine.engine.containers.removal import remove_quickly
from pymachine.engine.containers.state import Status
from pymachine.engine.events import EventBus
from pymachine.engine.images.base import Images, ImageUser
from pymachine.engine.network.base import NetworkController, Sandbox
from pymachine.engine.runtime import cgroups
from pymachine.engine.runtime.base import Runtime
from pymachine.engine.runtime.spec import Rootfs
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.volumes.base import Volumes

_log = logging.getLogger(__name__)


class Containers:
    """Every container of this engine."""

    def __init__(
        self,
        options: Options,
        *,
        runtime: Runtime,
        images: Images,
        graph: GraphDriver,
        network: NetworkController,
        volumes: Volumes,
        events: EventBus,
    ) -> None:
        documents = Documents(options.data_root / "containers")
        self.context = Context(options, runtime, images, graph, network, volumes, events, documents)
        self.lifecycle = Lifecycle(self.context, self._remove_ended)
        self.control = Control(self.context, self.lifecycle)
        self.execs = Execs(self.context)
        self._recovery = Recovery(self.context, self.lifecycle)

    async def _remove_ended(self, container: Container) -> None:
        try:
            await remove_quickly(self.context, container)
        except Conflict:
            pass  # someone removes it already

    # --- the daemon's life

    async def restore(self) -> list[Sandbox]:
        """Load all containers and find the running ones again; what they hold of the network.

        To be followed by the network controller's ``start`` with it, then by `resume`.
        """
        return await self._recovery.load()

    async def resume(self) -> None:
        """Deal with the containers that ended while no daemon ran, and start those that policies want."""
        await self._recovery.resume()

    async def end_all(self) -> None:
        """Stop every container because the computer shuts down; policies start them again at the next boot."""
        self.lifecycle.closing = True
        running = [container for container in self.context.registry if container.state.running]
        ends = await asyncio.gather(*map(self.control.end, running), return_exceptions=True)
        for container, error in zip(running, ends, strict=True):
            if error is not None:
                _log.error("container %s: %s", container.name, error)

    async def close(self) -> None:
        """Let go of the containers, which live on, and finish what is under way."""
        self.lifecycle.closing = True
        for container in self.context.registry:
            for task in (container.monitor, container.restart_timer):
                if task is not None:
                    task.cancel()
            container.handle = None
        pending = [task for task in self.context.tasks if not task.cancelled()]
        if pending:
            _, late = await asyncio.wait(pending, timeout=self.context.options.shutdown_timeout)
            for task in late:
                task.cancel()

    # --- single containers

    def get(self, reference: str) -> Container:
        """By id, name or id prefix; raises `NotFound`."""
        return self.context.registry.get(reference)

    async def create(self, body: dict[str, Any], name: str = "") -> Container:
        """Make a container; see `pymachine.engine.containers.creation`."""
        return await creation.create(self.context, body, name)

    async def start(self, container: Container) -> None:
        """Start; raises `NotModified` for a running one, or why it cannot start."""
        await self.lifecycle.start(container)

    async def rename(self, container: Container, name: str) -> None:
        """Give another name; raises `InvalidArgument` or `Conflict`."""
        if not name:
            raise InvalidArgument("Neither old nor new names may be empty")
        chosen = names.check(name)
        async with container.lock:
            old = container.name
            if chosen == old:
                raise Conflict("Renaming a container with the same name as its current name")
            self.context.registry.reserve(chosen, container.id)
            container.name = chosen
            self.context.save(container)
            self.context.registry.release(old, container.id)
            if container.sandbox is not None:
                self.context.network.rename(container.sandbox, old, chosen)
                self.context.save(container)
            self.context.publish(container, "rename", oldName=f"/{old}")

    async def update(self, container: Container, body: dict[str, Any]) -> list[str]:
        """Change limits and the restart policy, of a running container at once; warnings."""
        problems = Problems()
        changes = {name: value for name, value in body.items() if name in _UPDATABLE and value is not None}
        checked = request.host_part(changes, problems)
        if checked.get("PidsLimit") == 0:
            checked["PidsLimit"] = -1  # both mean no limit, and nought is what was not asked for
        merged = {**container.host_config, **{name: value for name, value in checked.items() if value}}
        limits.check(merged, problems)
        request.check_restart(merged, problems)
        problems.check()
        async with container.lock:
            warnings = await self._apply_limits(container, merged) if container.state.running else []
            container.host_config = merged
            self.context.save(container)
        self.context.publish(container, "update")
        return warnings

    async def _apply_limits(self, container: Container, host_config: dict[str, Any]) -> list[str]:
        parent = (host_config.get("CgroupParent") or self.context.options.cgroup_parent).strip("/")
        group = cgroups.of(f"{parent}/{container.id}")
        try:
            return await asyncio.to_thread(group.update, limits.resources(host_config))
        except OSError as error:
            raise EngineError(f"Cannot update container {container.id}: {error}") from error

    async def resize(self, container: Container, rows: int, columns: int) -> None:
        """Tell a running container's terminal its size."""
        if container.handle is None:
            raise Conflict(f"container {container.id} is not running")
        try:
            await container.handle.resize(rows, columns)
        except ProcessLookupError:
            raise Conflict(f"container {container.id} is not running") from None
        self.context.publish(container, "resize", height=str(rows), width=str(columns))

    async def rootfs(self, container: Container) -> Rootfs | None:
        """How the container's root is mounted; ``None`` when its layer is lost."""
        if container.rootfs is None:
            try:
                container.rootfs = await asyncio.to_thread(self.context.graph.container_rootfs, container.id)
            except KeyError:
                return None
        return container.rootfs

    async def sizes(self, container: Container) -> tuple[int, int]:
        """Bytes of the writable layer, and of the whole root file system."""
        try:
            own = await asyncio.to_thread(self.context.graph.usage, container.id)
        except KeyError:
            own = 0  # its layer is lost: it can still be listed and removed
        return own, own + self.context.images.size(container.image)

    # --- what others ask

    def count(self) -> dict[str, int]:
        """How many containers run, are paused, and do not run."""
        statuses = [container.state.status for container in self.context.registry]
        running = sum(status is Status.RUNNING for status in statuses)
        paused = sum(status is Status.PAUSED for status in statuses)
        return {"running": running, "paused": paused, "stopped": len(statuses) - running - paused}

    def image_users(self, image_id: str) -> list[ImageUser]:
        """The containers made from an image."""
        found = (container for container in self.context.registry if container.image == image_id)
        return [ImageUser(container.id, container.state.running) for container in found]

    def volume_users(self) -> Iterable[tuple[str, str]]:
        """Every (volume, container id) in use; the volume service learns them at the daemon's start."""
        for container in self.context.registry:
            for point in container.mounts:
                if point.type == "volume":
                    yield point.name, container.id

    def name_of(self, container_id: str) -> str:
        """A container's name, or its short id when it is gone."""
        try:
            return self.context.registry.get(container_id).name
        except (NotFound, InvalidArgument):
            return container_id[:12]

    def bundle(self, container: Container) -> str:
        """The run-time directory of a container."""
        return str(specs.bundle(self.context.options, container.id))


_UPDATABLE = frozenset(
    (
        "Memory", "MemorySwap", "MemoryReservation", "NanoCpus", "CpuQuota", "CpuPeriod", "CpuShares", "CpusetCpus",
        "CpusetMems", "PidsLimit", "BlkioWeight", "RestartPolicy",
    )
)  # fmt: skip
