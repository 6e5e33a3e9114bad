"""System routes: ping, version, info, disk usage, registry login (Engine API 1.24–1.47)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.dockerapi.messages import Answer, Request, Response, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.info import EngineInfo

_PING_HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Builder-Version": "1",
    "Swarm": "inactive",
}
"""Builder-Version 1 keeps older clients with the classic builder, the one that is served."""

DISK_USAGE_TYPES = frozenset({"container", "image", "volume", "build-cache"})

DiskUsage = Callable[[frozenset[str]], Awaitable[dict[str, Any]]]
"""The document of ``GET /system/df`` for the object types asked for."""
Login = Callable[[dict[str, Any]], Awaitable[dict[str, str]]]
"""Checks credentials (the body of ``POST /auth``); raises `Unauthorized`."""


def system_routes(info: EngineInfo, disk_usage: DiskUsage, login: Login) -> list[Route]:
    """The routes of the engine itself."""

    async def ping(request: Request) -> Answer:
        return Response(200, b"OK", headers=_PING_HEADERS)

    async def version(request: Request) -> Answer:
        return json_response(info.version())

    async def describe(request: Request) -> Answer:
        return json_response(info.info())

    async def usage(request: Request) -> Answer:
        wanted = frozenset(request.query.all("type")) or DISK_USAGE_TYPES
        unknown = wanted - DISK_USAGE_TYPES
        if unknown:
            raise InvalidArgument(f"unknown object type: {min(unknown)}")
        return json_response(await disk_usage(wanted))

    async def auth(request: Request) -> Answer:
        return json_response(await login(await request.json_object()))

    async def plugins(request: Request) -> Answer:
        return json_response([])

    async def prune_builds(request: Request) -> Answer:
        # Asked by ``docker system prune`` too. Nothing is built here, so there is no cache of it.
        return json_response({"CachesDeleted": [], "SpaceReclaimed": 0})

    async def plugin(request: Request) -> Answer:
        # Asked by ``docker inspect`` too, for any name that is no other object's.
        raise NotFound(f'plugin "{request.params["name"]}" not found')

    return [
        Route("HEAD", "/_ping", ping),
        Route("GET", "/_ping", ping),
        Route("GET", "/version", version),
        Route("GET", "/info", describe),
        Route("GET", "/system/df", usage),
        Route("POST", "/auth", auth),
        Route("POST", "/build/prune", prune_builds),
        Route("GET", "/plugins", plugins),
        Route("GET", "/plugins/{name*}/json", plugin),
    ]
