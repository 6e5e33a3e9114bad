"""``/networks``: list, create, inspect, remove, prune (Engine API 1.24–1.47).

Connecting and disconnecting a container also changes the container's document: those two routes are the
container service's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymachine.dockerapi.errors import EngineError
from pymachine.dockerapi.filters import Filters, timestamp
from pymachine.dockerapi.messages import Answer, Request, empty, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.network import views
from pymachine.engine.network.catalog import read_request
from pymachine.engine.network.controller import BridgeController
from pymachine.engine.network.records import NetworkRecord

_LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNE_FILTERS = ("label", "label!", "until")


def network_routes(
    controller: BridgeController, referenced: Callable[[NetworkRecord], bool] = lambda _: False
) -> list[Route]:
    """The routes, served from *controller*. *referenced* says whether containers that don't run are configured
    for a network: prune leaves it then."""
    api = _Networks(controller, referenced)
    return [
        Route("GET", "/networks", api.list),
        Route("POST", "/networks/create", api.create),
        Route("POST", "/networks/prune", api.prune),
        Route("GET", "/networks/{id}", api.inspect),
        Route("DELETE", "/networks/{id}", api.remove),
    ]


class _Networks:
    def __init__(self, controller: BridgeController, referenced: Callable[[NetworkRecord], bool]) -> None:
        self._controller = controller
        self._referenced = referenced

    async def list(self, request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), _LIST_FILTERS)
        dangling = filters.flag("dangling") if "dangling" in filters else None
        shown = [
            views.network(record, None)
            for record in self._controller.catalog.all()
            if _matches(record, filters) and dangling in (None, self._unused(record))
        ]
        return json_response(shown)

    async def create(self, request: Request) -> Answer:
        record = await self._controller.create_network(read_request(await request.json_object()))
        return json_response({"Id": record.id, "Warning": ""}, 201)

    async def inspect(self, request: Request) -> Answer:
        return json_response(self._controller.inspect(request.params["id"]))

    async def remove(self, request: Request) -> Answer:
        await self._controller.remove_network(request.params["id"])
        return empty()

    async def prune(self, request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), _PRUNE_FILTERS)
        until = filters.until()
        removed: list[str] = []
        for record in self._controller.catalog.all():
            wanted = filters.labels(record.labels) and filters.without_labels(record.labels)
            old = until is None or timestamp(record.created) < until
            if wanted and old and self._unused(record):
                try:
                    await self._controller.remove_network(record.id)
                except EngineError:
                    continue  # in use or gone by now
                removed.append(record.name)
        self._controller.tell_pruned()
        answer: dict[str, Any] = {"NetworksDeleted": removed or None}
        return json_response(answer)

    def _unused(self, record: NetworkRecord) -> bool:
        return not record.predefined and not self._controller.members(record) and not self._referenced(record)


def _matches(record: NetworkRecord, filters: Filters) -> bool:
    return (
        filters.contains("name", record.name)
        and filters.prefix("id", record.id)
        and filters.exact("driver", record.driver)
        and filters.exact("scope", "local")
        and filters.exact("type", "builtin" if record.predefined else "custom")
        and filters.labels(record.labels)
    )
