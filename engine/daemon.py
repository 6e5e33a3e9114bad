"""The composition root: makes the services from the configuration, and the router from the services."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

from pymachine.dockerapi.errors import EngineError
from pymachine.dockerapi.routing import Router
from pymachine.engine import identity, parts
from pymachine.engine.api.commit import commit_routes
from pymachine.engine.api.container_routes import container_routes
from pymachine.engine.api.events import event_routes
from pymachine.engine.api.images import image_routes
from pymachine.engine.api.networks import network_routes
from pymachine.engine.api.system import system_routes
from pymachine.engine.api.unserved import unserved_routes
from pymachine.engine.api.volumes import volume_routes
from pymachine.engine.config import EngineConfig
from pymachine.engine.containers.service import Containers
from pymachine.engine.diskusage import disk_usage
from pymachine.engine.events import EventBus
from pymachine.engine.images.base import ImageUser
from pymachine.engine.images.service import ImageService
from pymachine.engine.info import Census, EngineInfo
from pymachine.engine.network.controller import BridgeController
from pymachine.engine.network.records import NetworkRecord
from pymachine.engine.runtime.base import Runtime
from pymachine.engine.storage.select import open_driver
from pymachine.engine.volumes.service import VolumeService

_log = logging.getLogger(__name__)

RELOADABLE = ("labels", "insecure_registries", "registry_mirrors", "debug", "log_level")
"""What a reload changes; the rest counts from the next start."""


class Daemon:
    """One engine: its services, their routes, their start and end. Made on the event loop it lives on."""

    def __init__(self, config: EngineConfig, runtime: Runtime) -> None:
        """Opens what is on disk; raises `EngineError` and `OSError` when that cannot be."""
        self.config = config
        self.events = EventBus()
        self.graph = open_driver(config.storage_driver, config.data_root)
        self.network = BridgeController(
            config.data_root / "networks", config.exec_root, parts.network_config(config), self.events
        )
        self.volumes = VolumeService(config.data_root / "volumes", self.events)
        self.images = ImageService(
            config.data_root / "images",
            self.graph,
            self.events,
            insecure_registries=config.insecure_registries,
            mirrors=config.registry_mirrors,
            users=self._image_users,
        )
        self.containers = Containers(
            parts.container_options(config),
            runtime=runtime,
            images=self.images,
            graph=self.graph,
            network=self.network,
            volumes=self.volumes,
            events=self.events,
        )
        self.network.name_of = self.containers.name_of
        self.info = EngineInfo(
            lambda: self.config,
            self._census,
            engine_id=identity.engine_id(config.data_root),
            driver=self.graph.name,
        )
        self.router = self._routes()

    def _routes(self) -> Router:
        router = Router()
        router.add(*system_routes(self.info, self._disk_usage, self._login), *event_routes(self.events))
        router.add(*container_routes(self.containers), *image_routes(self.images))
        router.add(*commit_routes(self.containers, self.images))
        router.add(*network_routes(self.network, self._refers), *volume_routes(self.volumes))
        router.add(*unserved_routes())
        return router

    # --- life

    async def start(self) -> None:
        """Find the containers of an earlier daemon again, bring the network up, and apply restart policies."""
        live = await self.containers.restore()
        await self.network.start(live)
        await self.containers.resume()

    def reconfigure(self, config: EngineConfig) -> None:
        """Take over what of a new configuration can change while running; say what cannot."""
        changes = {name: getattr(config, name) for name in RELOADABLE}
        for item in dataclasses.fields(config):
            fixed = item.name not in RELOADABLE and item.name != "warnings"
            if fixed and getattr(config, item.name) != getattr(self.config, item.name):
                _log.warning("%s changes at the next start of the engine", item.name.replace("_", "-"))
        try:
            self.images.reconfigure(config.insecure_registries, config.registry_mirrors)
        except EngineError as error:
            _log.error("registries not reloaded: %s", error)
            del changes["insecure_registries"], changes["registry_mirrors"]
        self.config = dataclasses.replace(self.config, **changes)
        self.events.publish("daemon", "reload", self.info.engine_id, {"name": identity.host_name()})

    async def close(self) -> None:
        """End what runs in the daemon. Containers go on."""
        for part in (self.containers, self.network, self.images):
            try:
                await part.close()
            except (EngineError, OSError):
                _log.exception("closing %s failed", type(part).__name__)

    # --- what the services and routes ask

    def _image_users(self, image_id: str) -> list[ImageUser]:
        return self.containers.image_users(image_id)

    def _refers(self, record: NetworkRecord) -> bool:
        """Whether a container, running or not, is configured for a network."""
        wanted = {record.name, record.id}
        return any(container.network_mode in wanted for container in self.containers.context.registry)

    def _census(self) -> Census:
        return Census(
            **self.containers.count(),
            images=self.images.count(),
            listeners=self.events.listeners,
            tasks=len(asyncio.all_tasks()),
        )

    async def _disk_usage(self, wanted: frozenset[str]) -> dict[str, Any]:
        return await disk_usage(wanted, self.images, self.containers, self.volumes)

    async def _login(self, credentials: dict[str, Any]) -> dict[str, str]:
        from pymachine.engine.registry_login import login  # rarely asked for

        return await login(credentials, parts.registries(self.config))
