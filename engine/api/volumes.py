"""``/volumes``: list, create, inspect, remove, prune (Engine API 1.24–1.47)."""

from __future__ import annotations

import asyncio
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.dockerapi.filters import Filters
from pymachine.dockerapi.messages import Answer, Request, empty, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.volumes.records import VolumeRecord
from pymachine.engine.volumes.service import VolumeService

_LIST_FILTERS = ("dangling", "driver", "label", "name")
_PRUNE_FILTERS = ("all", "label", "label!")
_NAMED_ARE_KEPT = (1, 42)
"""The API version from which prune takes anonymous volumes only, unless told otherwise."""


def volume_routes(service: VolumeService) -> list[Route]:
    """The routes, served from *service*."""
    api = _Volumes(service)
    return [
        Route("GET", "/volumes", api.list),
        Route("POST", "/volumes/create", api.create),
        Route("POST", "/volumes/prune", api.prune),
        Route("GET", "/volumes/{name}", api.inspect),
        Route("DELETE", "/volumes/{name}", api.remove),
    ]


class _Volumes:
    def __init__(self, service: VolumeService) -> None:
        self._service = service

    async def list(self, request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), _LIST_FILTERS)
        dangling = filters.flag("dangling") if "dangling" in filters else None

        def shown(record: VolumeRecord) -> bool:
            return (
                filters.contains("name", record.name)
                and filters.exact("driver", "local")
                and filters.labels(record.labels)
                and dangling in (None, self._service.users(record.name) == 0)
            )

        volumes = [self._service.describe(record) for record in self._service.all() if shown(record)]
        return json_response({"Volumes": volumes, "Warnings": None})

    async def create(self, request: Request) -> Answer:
        body = await request.json_object()
        driver = body.get("Driver") or "local"
        if driver != "local":
            raise NotFound(
                f'create {body.get("Name", "")}: error looking up volume plugin {driver}: plugin "{driver}" not found'
            )
        name = body.get("Name") or ""
        if not isinstance(name, str):
            raise InvalidArgument("Name must be a string")
        labels, options = _strings(body, "Labels"), _strings(body, "DriverOpts")
        record = await asyncio.to_thread(self._service.create, name, labels=labels, options=options)
        return json_response(self._service.describe(record), 201)

    async def inspect(self, request: Request) -> Answer:
        return json_response(self._service.describe(self._service.get(request.params["name"])))

    async def remove(self, request: Request) -> Answer:
        force = request.query.flag("force")
        await asyncio.to_thread(self._service.remove, request.params["name"], force=force)
        return empty()

    async def prune(self, request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), _PRUNE_FILTERS)
        every = filters.flag("all", default=request.version < _NAMED_ARE_KEPT)

        def doomed(record: VolumeRecord) -> bool:
            kind = every or record.anonymous
            return kind and filters.labels(record.labels) and filters.without_labels(record.labels)

        removed, freed = await asyncio.to_thread(self._service.prune, doomed)
        return json_response({"VolumesDeleted": removed, "SpaceReclaimed": freed})


def _strings(body: dict[str, Any], key: str) -> dict[str, str]:
    value = body.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise InvalidArgument(f"{key} must be an object of strings")
    return value
