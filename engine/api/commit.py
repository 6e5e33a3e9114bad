"""``POST /commit``: an image of what a container changed (Engine API 1.24–1.47)."""

from __future__ import annotations

from typing import Any

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.dockerapi.messages import Answer, Request, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.service import Containers
from pymachine.engine.images.reference import Reference, parse
from pymachine.engine.images.service import ImageService

_OF_IMAGES = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "StopTimeout",
    "Healthcheck", "Shell", "OnBuild",
)  # fmt: skip
"""What of a container's ``Config`` belongs to its image too."""


def commit_routes(containers: Containers, images: ImageService) -> list[Route]:
    """The route, served from both services."""

    async def commit(request: Request) -> Answer:
        query, body = request.query, await request.json_object()
        container = containers.get(query.text("container"))
        target = _target(query.text("repo"), query.text("tag"))
        async with containers.control.holding(container, wanted=query.flag("pause", default=True)):
            image = await images.commit(
                container.id,
                container.image,
                _config(container, body),
                target,
                changes=query.all("changes"),
                author=query.text("author"),
                message=query.text("comment"),
                created_by=" ".join(container.config.get("Cmd") or ()),
            )
        containers.context.publish(container, "commit", comment=query.text("comment"), imageID=image.id)
        return json_response({"Id": image.id}, 201)

    return [Route("POST", "/commit", commit)]


def _config(container: Container, body: dict[str, Any]) -> dict[str, Any]:
    merged = {**container.config, **{name: value for name, value in body.items() if value}}
    return {name: merged[name] for name in _OF_IMAGES if merged.get(name)}


def _target(repository: str, tag: str) -> Reference | None:
    if not repository:
        return None
    reference = parse(f"{repository}:{tag}" if tag else repository)
    if reference.digest:
        raise InvalidArgument("cannot commit to a digest reference")
    return reference.with_default_tag()
