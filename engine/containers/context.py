"""What the operations on containers work with; made once by the daemon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from pymachine.engine.containers.documents import Documents
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.options import Options
from pymachine.engine.containers.registry import Registry
from pymachine.engine.events import EventBus
from pymachine.engine.images.base import Images
from pymachine.engine.network.base import NetworkController
from pymachine.engine.runtime.base import Runtime
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.volumes.base import Volumes

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Context:
    """The services that containers need, and the containers themselves."""

    options: Options
    runtime: Runtime
    images: Images
    graph: GraphDriver
    network: NetworkController
    volumes: Volumes
    events: EventBus
    documents: Documents
    registry: Registry = field(default_factory=Registry)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def save(self, container: Container) -> None:
        """Write the container's document."""
        self.documents.save(container)

    def record(self, container: Container) -> None:
        """As `save`, for what has happened already and cannot be refused: a full disk is logged, no more.

        A successor of this daemon then reads an older document, and finds out itself what became of the container.
        """
        try:
            self.documents.save(container)
        except OSError as error:
            _log.error("the state of container %s could not be written: %s", container.id[:12], error)

    def publish(self, container: Container, action: str, **attributes: str) -> None:
        """Tell listeners what happened to a container."""
        self.events.publish("container", action, container.id, container.event_attributes(**attributes))

    def background(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        """Run *work* beside the request; a failure is logged with *what* it was."""
        task = asyncio.get_running_loop().create_task(self._guarded(work, what))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None], what: str) -> None:
        try:
            await work
        except Exception:
            _log.exception("%s failed", what)
