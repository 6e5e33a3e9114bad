"""The composition root: makes the services from the configuration, and the router from the services."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pymachine.dockerapi.routing import Router
from pymachine.engine import identity
from pymachine.engine.api.events import event_routes
from pymachine.engine.api.system import system_routes
from pymachine.engine.api.unserved import unserved_routes
from pymachine.engine.config import EngineConfig
from pymachine.engine.events import EventBus
from pymachine.engine.info import Census, EngineInfo
from pymachine.engine.runtime.base import Runtime

_log = logging.getLogger(__name__)


class Daemon:
    """One engine: its services, their routes, their start and end."""

    def __init__(self, config: EngineConfig, runtime: Runtime) -> None:
        self.config = config
        self.events = EventBus()
        self.router = Router()
        self._runtime = runtime
        self._parts: dict[str, Any] = {}
        self._make(config)
        self._info = EngineInfo(
            lambda: self.config,
            self._census,
            engine_id=identity.engine_id(config.data_root),
            driver=getattr(self._parts.get("driver"), "name", ""),
        )
        self._add_routes()

    def _make(self, config: EngineConfig) -> None:
        try:
            from pymachine.engine.storage.select import open_driver

            self._parts["driver"] = open_driver(config.storage_driver, config.data_root)
        except ModuleNotFoundError as error:
            _log.warning("%s", error)

    def _add_routes(self) -> None:
        self.router.add(*system_routes(self._info, self._disk_usage, self._login), *event_routes(self.events))
        self.router.add(*unserved_routes())

    async def _disk_usage(self, wanted: frozenset[str]) -> dict[str, Any]:
        return {"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": []}

    async def _login(self, credentials: dict[str, Any]) -> dict[str, str]:
        return {"Status": "Login Succeeded", "IdentityToken": ""}

    def _census(self) -> Census:
        return Census(tasks=len(asyncio.all_tasks()))

    async def start(self) -> None:
        """Bring everything up, and find the containers of an earlier daemon again."""

    def reconfigure(self, config: EngineConfig) -> None:
        """Take over what of a new configuration can change while running."""
        self.config = config

    async def close(self) -> None:
        """End what runs in the daemon. Containers go on."""
