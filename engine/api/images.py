"""Routes of images (Engine API 1.24 to 1.47, section "Image")."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.dockerapi.filters import Filters
from pymachine.dockerapi.messages import Answer, Handler, Request, Response, empty, json_lines, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.api.distribution import distribution_routes
from pymachine.engine.images import importing
from pymachine.engine.images.listing import FILTERS, PRUNE_FILTERS
from pymachine.engine.images.progress import Message, failure
from pymachine.engine.images.reference import Reference, parse, parse_pull
from pymachine.engine.images.registry.credentials import from_header
from pymachine.engine.images.service import ImageService


def image_routes(service: ImageService) -> list[Route]:
    """The endpoints that *service* serves."""
    api = _ImageAPI(service)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/images/json", api.summaries),
        ("POST", "/images/create", api.create),
        ("GET", "/images/get", api.save),
        ("POST", "/images/load", api.load),
        ("POST", "/images/prune", api.prune),
        ("GET", "/images/{name*}/json", api.inspect),
        ("GET", "/images/{name*}/get", api.save),
        ("DELETE", "/images/{name*}", api.remove),
        ("GET", "/images/{name*}/history", api.history),
        ("POST", "/images/{name*}/tag", api.tag),
        ("POST", "/images/{name*}/push", api.push),
    ]
    return [
        *(Route(method, pattern, handler) for method, pattern, handler in routes),
        *distribution_routes(service),
    ]


class _ImageAPI:
    def __init__(self, service: ImageService) -> None:
        self._service = service

    async def summaries(self, request: Request) -> Answer:
        query = request.query
        filters = Filters.parse(query.text("filters"), FILTERS)
        if query.text("filter"):  # before API 1.25
            filters = Filters({"reference": [query.text("filter")]})
        images = await self._service.summaries(
            filters, everything=query.flag("all"), shared_size=query.flag("shared-size")
        )
        return json_response([_listed(image, request.version) for image in images])

    async def inspect(self, request: Request) -> Answer:
        image = await self._service.inspect(request.params["name"])
        if request.version < (1, 44):
            image["VirtualSize"] = image["Size"]
        if request.version < (1, 45):
            image |= {"Container": "", "ContainerConfig": image["Config"]}
        return json_response(image)

    async def history(self, request: Request) -> Answer:
        return json_response(await self._service.history(request.params["name"]))

    async def tag(self, request: Request) -> Answer:
        query = request.query
        await self._service.tag(request.params["name"], query.text("repo"), query.text("tag"))
        return empty(201)

    async def push(self, request: Request) -> Answer:
        name, tag = request.params["name"], request.query.text("tag")
        reference = parse(f"{name}:{tag}" if tag else name)
        credentials = from_header(request.headers.get("x-registry-auth", ""))
        return await progress(self._service.push(reference, credentials=credentials))

    async def save(self, request: Request) -> Answer:
        names = [request.params["name"]] if "name" in request.params else request.query.all("names")
        names = [name for text in names for name in text.split(",") if name]
        if not names:
            raise InvalidArgument("at least one image name is required")
        return Response(stream=self._service.save(names), headers={"Content-Type": "application/x-tar"})

    async def load(self, request: Request) -> Answer:
        return await progress(self._service.load(request.body))

    async def remove(self, request: Request) -> Answer:
        query = request.query
        removed = await self._service.remove(
            request.params["name"], force=query.flag("force"), prune=not query.flag("noprune")
        )
        return json_response(removed)

    async def prune(self, request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), PRUNE_FILTERS)
        return json_response(await self._service.prune(filters))

    async def create(self, request: Request) -> Answer:
        if request.query.text("fromSrc"):
            return await self._import(request)
        if not request.query.text("fromImage"):
            raise InvalidArgument("fromImage or fromSrc is required")
        query = request.query
        reference = parse_pull(query.text("fromImage"), query.text("tag"))
        credentials = from_header(request.headers.get("x-registry-auth", ""))
        return await progress(self._service.pull(reference, platform=query.text("platform"), credentials=credentials))

    async def _import(self, request: Request) -> Answer:
        query = request.query
        source = query.text("fromSrc")
        target = _target(query.text("repo"), query.text("tag"))
        options: dict[str, Any] = {
            "changes": query.all("changes"),
            "message": query.text("message") or f"Imported from {source}",
            "platform": query.text("platform"),
        }
        if source == "-":
            image = await self._service.import_archive(request.body, target, **options)
        else:
            async with importing.fetched(source) as body:
                image = await self._service.import_archive(body, target, **options)
        return json_lines(_items([{"status": image.id}]))


async def progress(messages: AsyncIterator[Message]) -> Response:
    """The messages as a stream. An error before the first is an HTTP error, a later one the last message."""
    first = await anext(messages, None)

    async def all_of_them() -> AsyncIterator[Message]:
        try:
            if first is not None:
                yield first
            async for message in messages:
                yield message
        except EngineError as error:
            yield failure(str(error))
        finally:
            if isinstance(messages, AsyncGenerator):
                await messages.aclose()

    return json_lines(all_of_them())


def _target(repository: str, tag: str) -> Reference | None:
    if not repository:
        return None
    reference = parse(f"{repository}:{tag}" if tag else repository)
    if reference.digest:
        raise InvalidArgument("cannot import digest reference")
    return reference.with_default_tag()


def _listed(image: dict[str, Any], version: tuple[int, int]) -> dict[str, Any]:
    if version < (1, 44):
        image["VirtualSize"] = image["Size"]
    if version < (1, 43):
        image["RepoTags"] = image["RepoTags"] or ["<none>:<none>"]
        image["RepoDigests"] = image["RepoDigests"] or ["<none>@<none>"]
    return image


async def _items(values: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for value in values:
        yield value
