"""``/networks/{id}/connect`` and ``disconnect``: they change a container as much as a network."""

from __future__ import annotations

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.dockerapi.messages import Answer, Request, empty
from pymachine.dockerapi.routing import Route
from pymachine.engine.containers import sandboxes
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.service import Containers


class ConnectingRoutes:
    """Handlers for containers' networks."""

    def __init__(self, service: Containers) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("POST", "/networks/{id}/connect", self.connect),
            Route("POST", "/networks/{id}/disconnect", self.disconnect),
        ]

    async def connect(self, request: Request) -> Answer:
        body = await request.json_object()
        container = self._container(body.get("Container"))
        await sandboxes.connect(self._service.context, container, request.params["id"], body.get("EndpointConfig"))
        return empty(200)

    async def disconnect(self, request: Request) -> Answer:
        body = await request.json_object()
        container = self._container(body.get("Container"))
        await sandboxes.disconnect(
            self._service.context, container, request.params["id"], force=bool(body.get("Force"))
        )
        return empty(200)

    def _container(self, reference: object) -> Container:
        if not isinstance(reference, str) or not reference:
            raise InvalidArgument("Container must name a container")
        container = self._service.get(reference)
        sandboxes.check_joinable(container)
        return container
