"""All routes that the container service answers."""

from __future__ import annotations

from pymachine.dockerapi.routing import Route
from pymachine.engine.api.archive import ArchiveRoutes
from pymachine.engine.api.attach import StreamRoutes
from pymachine.engine.api.connecting import ConnectingRoutes
from pymachine.engine.api.containers import StateRoutes
from pymachine.engine.api.exec import ExecRoutes
from pymachine.engine.api.stats import StatsRoutes
from pymachine.engine.containers.service import Containers


def container_routes(service: Containers) -> list[Route]:
    """The routes of all container and exec calls."""
    return [
        *StateRoutes(service).routes(),
        *StreamRoutes(service).routes(),
        *ExecRoutes(service).routes(),
        *StatsRoutes(service).routes(),
        *ArchiveRoutes(service).routes(),
        *ConnectingRoutes(service).routes(),
    ]
