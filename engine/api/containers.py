"""``/containers``: list, create, inspect, and what changes a container's state (Engine API 1.24–1.47)."""

from __future__ import annotations

import asyncio

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.dockerapi.filters import Filters
from pymachine.dockerapi.messages import Answer, Request, empty, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.api.terminal import terminal_size
from pymachine.engine.containers import listing, processes, views
from pymachine.engine.containers.prune import FILTERS as PRUNE_FILTERS
from pymachine.engine.containers.prune import prune
from pymachine.engine.containers.service import Containers


class StateRoutes:
    """Thin handlers over the container service."""

    def __init__(self, service: Containers) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Every route of this module."""
        base = "/containers/{id}"
        return [
            Route("GET", "/containers/json", self.list),
            Route("POST", "/containers/create", self.create),
            Route("POST", "/containers/prune", self.prune),
            Route("GET", f"{base}/json", self.inspect),
            Route("GET", f"{base}/top", self.top),
            Route("POST", f"{base}/start", self.start),
            Route("POST", f"{base}/stop", self.stop),
            Route("POST", f"{base}/restart", self.restart),
            Route("POST", f"{base}/kill", self.kill),
            Route("POST", f"{base}/pause", self.pause),
            Route("POST", f"{base}/unpause", self.unpause),
            Route("POST", f"{base}/rename", self.rename),
            Route("POST", f"{base}/update", self.update),
            Route("POST", f"{base}/resize", self.resize),
            Route("DELETE", base, self.remove),
        ]

    async def list(self, request: Request) -> Answer:
        query = request.query
        filters = Filters.parse(query.text("filters"), listing.FILTERS)
        found = await listing.chosen(
            self._service.context, filters, everything=query.flag("all"), limit=query.integer("limit") or 0
        )
        entries = [listing.summary(self._service.context, container) for container in found]
        if query.flag("size"):
            for entry, container in zip(entries, found, strict=True):
                entry["SizeRw"], entry["SizeRootFs"] = await self._service.sizes(container)
        return json_response(entries)

    async def create(self, request: Request) -> Answer:
        body = await request.json_object()
        if not body:
            raise InvalidArgument("config cannot be empty in order to create a container")
        _check_platform(request.query.text("platform"))
        container = await self._service.create(body, request.query.text("name"))
        return json_response({"Id": container.id, "Warnings": []}, 201)

    async def inspect(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        view = views.inspect(self._service.context, container, self._service.execs.of(container))
        view["GraphDriver"]["Data"] = views.layers(await self._service.rootfs(container))
        if request.query.flag("size"):
            view["SizeRw"], view["SizeRootFs"] = await self._service.sizes(container)
        return json_response(view)

    async def top(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        views.require_running(container)
        arguments = request.query.text("ps_args", "-ef")
        return json_response(await asyncio.to_thread(processes.table, container.state.pid, arguments))

    async def start(self, request: Request) -> Answer:
        await self._service.start(self._service.get(request.params["id"]))
        return empty()

    async def stop(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        await self._service.control.stop(container, request.query.integer("t"), request.query.text("signal"))
        return empty()

    async def restart(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        await self._service.control.restart(container, request.query.integer("t"), request.query.text("signal"))
        return empty()

    async def kill(self, request: Request) -> Answer:
        reference = request.params["id"]
        try:
            container = self._service.get(reference)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {reference}: {error}") from None
        await self._service.control.kill(container, request.query.text("signal"))
        return empty()

    async def pause(self, request: Request) -> Answer:
        await self._service.control.pause(self._service.get(request.params["id"]))
        return empty()

    async def unpause(self, request: Request) -> Answer:
        await self._service.control.unpause(self._service.get(request.params["id"]))
        return empty()

    async def rename(self, request: Request) -> Answer:
        await self._service.rename(self._service.get(request.params["id"]), request.query.text("name"))
        return empty()

    async def update(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        warnings = await self._service.update(container, await request.json_object())
        return json_response({"Warnings": warnings})

    async def resize(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        await self._service.resize(container, *terminal_size(request))
        return empty(200)

    async def remove(self, request: Request) -> Answer:
        query = request.query
        if query.flag("link"):
            raise InvalidArgument("links between containers are not supported by this engine")
        container = self._service.get(request.params["id"])
        await self._service.control.remove(container, force=query.flag("force"), volumes=query.flag("v"))
        return empty()

    async def prune(self, request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), PRUNE_FILTERS)
        return json_response(await prune(self._service, filters))


def _check_platform(platform: str) -> None:
    if platform and platform.partition("/")[0].lower() != "linux":
        raise InvalidArgument(f"this engine runs linux containers, not {platform}")
