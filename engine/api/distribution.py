"""The route of registries' descriptions (Engine API 1.30 to 1.47, section "Distribution")."""

from __future__ import annotations

from pymachine.dockerapi.messages import Answer, Request, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.images.reference import parse
from pymachine.engine.images.registry.credentials import from_header
from pymachine.engine.images.service import ImageService


def distribution_routes(service: ImageService) -> list[Route]:
    """The endpoint that *service* serves."""

    async def inspect(request: Request) -> Answer:
        credentials = from_header(request.headers.get("x-registry-auth", ""))
        return json_response(await service.distribution(parse(request.params["name"]), credentials))

    return [Route("GET", "/distribution/{name*}/json", inspect)]
