"""``docker ps``: which containers, in what order, and how each is summarised."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.dockerapi.filters import Filters
from pymachine.engine.containers import sandboxes
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.ports import parse_port
from pymachine.engine.containers.state import Status
from pymachine.engine.containers.times import ago
from pymachine.engine.containers.views import mount_view

FILTERS = (
    "ancestor", "before", "expose", "exited", "health", "id", "isolation", "is-task", "label", "name", "network",
    "publish", "since", "status", "volume",
)  # fmt: skip


async def chosen(context: Context, filters: Filters, *, everything: bool, limit: int) -> list[Container]:
    """The containers to list, newest first; raises `InvalidArgument` for filter values that make no sense."""
    everything = everything or limit > 0 or any(key in filters for key in ("status", "exited", "before", "since"))
    match = await _Match.of(context, filters)
    found = sorted(context.registry, key=lambda container: container.created, reverse=True)
    found = [container for container in found if (everything or container.state.running) and match(container)]
    if not everything:
        found = [container for container in found if container.state.running]
    return found[:limit] if limit > 0 else found


class _Match:
    """The filters of one request, with what their values refer to looked up once."""

    def __init__(self, context: Context, filters: Filters) -> None:
        self._context, self._filters = context, filters
        for value in filters.values("status"):
            if value not in tuple(Status):
                raise InvalidArgument(f"invalid filter 'status={value}'")
        for value in filters.values("health"):
            if value not in ("starting", "healthy", "unhealthy", "none"):
                raise InvalidArgument(f"invalid filter 'health={value}'")
        try:
            self._codes = {int(value) for value in filters.values("exited")}
        except ValueError:
            raise InvalidArgument("invalid filter 'exited': not a number") from None
        self._names = [_pattern(value) for value in filters.values("name")]
        self._publish = _port_range(filters.values("publish"))
        self._expose = _port_range(filters.values("expose"))
        self._before = self._moment("before")
        self._since = self._moment("since")
        self._ancestors: set[str] | None = None

    @classmethod
    async def of(cls, context: Context, filters: Filters) -> _Match:
        self = cls(context, filters)
        if "ancestor" in filters:
            self._ancestors = set()
            for value in filters.values("ancestor"):
                try:
                    self._ancestors.add((await context.images.get(value)).id)
                except NotFound:
                    continue
        return self

    def _moment(self, key: str) -> float | None:
        values = self._filters.values(key)
        return self._context.registry.get(values[-1]).created if values else None

    def __call__(self, container: Container) -> bool:
        filters, state = self._filters, container.state
        return (
            filters.prefix("id", container.id)
            and filters.exact("status", state.status)
            and filters.labels(container.labels)
            and (not self._names or any(_named(pattern, container.name) for pattern in self._names))
            and (not self._codes or (state.exit_code in self._codes and state.status is Status.EXITED))
            and (self._before is None or container.created < self._before)
            and (self._since is None or container.created > self._since)
            and (self._ancestors is None or container.image in self._ancestors)
            and filters.exact("health", _health(container))
            and not filters.flag("is-task")
            and filters.exact("volume", *(text for m in container.mounts for text in (m.name, m.destination) if text))
            and self._in_network(container)
            and self._has_port(container)
        )

    def _in_network(self, container: Container) -> bool:
        if "network" not in self._filters:
            return True
        names = [container.network_mode]
        if container.sandbox is not None:
            for endpoint in container.sandbox.endpoints:
                names += [endpoint.network_name, endpoint.network_id]
        return self._filters.exact("network", *names)

    def _has_port(self, container: Container) -> bool:
        exposed = {parse_port(key) for key in container.config.get("ExposedPorts") or {}}
        published = {parse_port(key) for key in container.host_config.get("PortBindings") or {}}
        return (not self._publish or bool(self._publish & published)) and (
            not self._expose or bool(self._expose & (exposed | published))
        )


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error:
        return re.compile(re.escape(text))


def _named(pattern: re.Pattern[str], name: str) -> bool:
    return bool(pattern.search(name) or pattern.search(f"/{name}"))


def _port_range(values: Iterable[str]) -> set[tuple[int, str]]:
    """The ports of ``80``, ``80/udp``, ``8000-8010/tcp``."""
    found: set[tuple[int, str]] = set()
    for value in values:
        numbers, _, protocol = value.partition("/")
        first, _, last = numbers.partition("-")
        low, kind = parse_port(f"{first}/{protocol or 'tcp'}")
        high, _ = parse_port(f"{last or first}/{kind}")
        found.update((number, kind) for number in range(low, high + 1))
    return found


def _health(container: Container) -> str:
    return container.health.status if container.health is not None else "none"


def status_text(container: Container) -> str:
    """``Up 3 minutes (healthy)``, ``Exited (0) 5 seconds ago``…"""
    state, now = container.state, time.time()
    match state.status:
        case Status.RUNNING | Status.PAUSED:
            text = f"Up {ago(now - state.started_at)}"
            if state.paused:
                return f"{text} (Paused)"
            if container.health is None:
                return text
            health = container.health.status
            return f"{text} ({'health: starting' if health == 'starting' else health})"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {ago(now - state.finished_at)} ago"
        case Status.CREATED:
            return "Created"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case _:
            if not state.finished_at:
                return "Created"
            return f"Exited ({state.exit_code}) {ago(now - state.finished_at)} ago"


def summary(context: Context, container: Container) -> dict[str, Any]:
    """One entry of ``GET /containers/json``, without sizes."""
    settings = sandboxes.settings(context, container)
    words = [*(container.config.get("Entrypoint") or ()), *(container.config.get("Cmd") or ())]
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": _image_name(context, container),
        "ImageID": container.image,
        "Command": " ".join(f"'{word}'" if " " in word else word for word in words),
        "Created": int(container.created),
        "Ports": _ports(container, settings),
        "Labels": container.labels,
        "State": container.state.status,
        "Status": status_text(container),
        "HostConfig": {"NetworkMode": container.host_config.get("NetworkMode") or "default"},
        "NetworkSettings": {"Networks": settings.get("Networks") or {}},
        "Mounts": [mount_view(point) for point in container.mounts],
    }


def _image_name(context: Context, container: Container) -> str:
    """The name the container was made from, unless that name means another image now."""
    given = str(container.config.get("Image") or "")
    names = context.images.names(container.image)
    bare = container.image.removeprefix("sha256:")
    same = given in names or f"{given}:latest" in names or "@" in given or "/" in given
    return given if same or (given and bare.startswith(given.removeprefix("sha256:"))) else container.image


def _ports(container: Container, settings: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    published = settings.get("Ports") or {}
    if not container.state.running:
        return found
    for key in sorted({*published, *(container.config.get("ExposedPorts") or {})}):
        number, kind = parse_port(key)
        entries = published.get(key) or []
        if not entries:
            found.append({"PrivatePort": number, "Type": kind})
        for entry in entries:
            found.append(
                {"IP": entry["HostIp"], "PrivatePort": number, "PublicPort": int(entry["HostPort"]), "Type": kind}
            )
    return found
