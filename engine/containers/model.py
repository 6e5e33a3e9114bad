"""The container: what is kept of it on disk, and what only a running daemon knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from pymachine.engine.containers import shapes
from pymachine.engine.containers.health import Health
from pymachine.engine.containers.state import State, Status
from pymachine.engine.containers.waiting import Waiters
from pymachine.engine.network.base import Endpoint, PortBinding, Sandbox
from pymachine.engine.runtime.base import ContainerHandle
from pymachine.engine.runtime.spec import Rootfs


class Joiner(Protocol):
    """A client that attached before the start."""

    async def join(self, handle: ContainerHandle) -> None:
        """Attach now: the program is about to run."""
        ...

    def give_up(self, error: Exception) -> None:
        """There will be no run to attach to."""
        ...


SCHEMA = 1
"""Version of the document. One from the future is refused, never guessed at."""


@dataclass(slots=True)
class MountPoint:
    """One of a container's mounts that its user asked for (or its image)."""

    type: str
    """``bind``, ``volume`` or ``tmpfs``."""
    destination: str
    source: str = ""
    """Path on the host; empty for tmpfs."""
    name: str = ""
    """Of the volume."""
    read_only: bool = False
    propagation: str = ""
    mode: str = ""
    """Options as given, for inspect."""
    options: tuple[str, ...] = ()
    """Of a tmpfs; ``nonrecursive`` for a bind without what is mounted below it."""
    anonymous: bool = False
    """A volume made for this container only."""

    def __post_init__(self) -> None:
        self.options = tuple(self.options)


@dataclass(slots=True)
class Container:
    """One container. The fields down to *volumes_go* are its document; the rest lives in this process only."""

    id: str
    name: str
    """Without the leading slash."""
    created: float
    """Seconds since the epoch."""
    image: str
    """``sha256:…``."""
    config: dict[str, Any]
    """``Config`` of the request, completed from the image."""
    host_config: dict[str, Any]
    networking: dict[str, Any]
    """``NetworkingConfig`` as given, changed by network connect and disconnect."""
    request: dict[str, Any]
    """The create request, whole and as given."""
    state: State = field(default_factory=State)
    mounts: list[MountPoint] = field(default_factory=list)
    restart_count: int = 0
    stopped_by_user: bool = False
    """The last stop was asked for: ``unless-stopped`` then means stopped, and no policy applies."""
    sandbox: Sandbox | None = None
    half_made: bool = False
    """Its creation has not been finished: a daemon that reads this in a document removes it."""
    held: bool = False
    """Paused by the daemon for a while, and not by its user."""
    volumes_go: bool = False
    """It is being removed together with its anonymous volumes."""

    handle: ContainerHandle | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by operations that change the container; not while it merely runs."""
    monitor: asyncio.Task[None] | None = None
    """Waits for the exit."""
    settling: asyncio.Task[None] | None = None
    """Gives back what the last run held; a new start waits for it."""
    restart_timer: asyncio.Task[None] | None = None
    kept: bool = False
    """Not to be removed at its end, ``AutoRemove`` or not: it is being restarted."""
    rootfs: Rootfs | None = None
    """How its root is mounted, once known."""
    failures: int = 0
    """Quick exits in a row: the back-off's exponent."""
    waiters: Waiters = field(default_factory=Waiters)
    joiners: list[Joiner] = field(default_factory=list)
    """Clients that attached before the start."""
    health: Health | None = None

    @property
    def tty(self) -> bool:
        return bool(self.config.get("Tty"))

    @property
    def auto_remove(self) -> bool:
        return bool(self.host_config.get("AutoRemove"))

    @property
    def network_mode(self) -> str:
        """The network mode with Docker's default filled in."""
        return network_mode(self.host_config)

    @property
    def labels(self) -> dict[str, str]:
        return self.config.get("Labels") or {}

    @property
    def restart_policy(self) -> tuple[str, int]:
        """The policy's name and its maximum of tries."""
        policy = self.host_config.get("RestartPolicy") or {}
        return policy.get("Name") or "no", int(policy.get("MaximumRetryCount") or 0)

    def event_attributes(self, **more: str) -> dict[str, str]:
        """What an event about this container carries."""
        return {**self.labels, "image": str(self.config.get("Image") or self.image), "name": self.name, **more}


def network_mode(host_config: Mapping[str, Any]) -> str:
    """``NetworkMode`` with Docker's default filled in."""
    mode = host_config.get("NetworkMode") or "default"
    return "bridge" if mode == "default" else str(mode)


_KEPT = (
    "id", "name", "created", "image", "config", "host_config", "networking", "request",
    "restart_count", "stopped_by_user",
)  # fmt: skip


_RARE = ("half_made", "held", "volumes_go")
"""Kept only where they are true."""


def to_document(container: Container) -> dict[str, Any]:
    """The container's document."""
    document: dict[str, Any] = {"schema": SCHEMA}
    document.update((name, getattr(container, name)) for name in _KEPT)
    document["state"] = asdict(container.state)
    document["mounts"] = [asdict(mount) for mount in container.mounts]
    document["sandbox"] = asdict(container.sandbox) if container.sandbox else None
    for name in _RARE:
        if getattr(container, name):
            document[name] = True
    return document


def from_document(document: Any) -> Container:
    """The container of a document; raises `ValueError` for anything that `to_document` did not write."""
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    if document.get("schema") != SCHEMA:
        raise ValueError(f"schema {document.get('schema')!r} is not known to this version")
    try:
        shapes.require("config", document["config"], shapes.CONFIG)
        shapes.require("host_config", document["host_config"], shapes.HOST_CONFIG)
        state = dict(document["state"])
        state["status"] = Status(state["status"])
        container = Container(
            **{name: document[name] for name in _KEPT},
            state=State(**state),
            mounts=[MountPoint(**mount) for mount in document["mounts"]],
            sandbox=sandbox_from(document["sandbox"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a container document: {error}") from error
    for name in _RARE:
        setattr(container, name, bool(document.get(name)))
    return container


def sandbox_from(value: dict[str, Any] | None) -> Sandbox | None:
    """The `Sandbox` that ``asdict`` took apart."""
    if value is None:
        return None
    endpoints = [_endpoint_from(endpoint) for endpoint in value["endpoints"]]
    ports = [PortBinding(**item) for item in value["ports"]]
    return Sandbox(value["container_id"], value["mode"], endpoints, ports)


def _endpoint_from(value: dict[str, Any]) -> Endpoint:
    fields: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    return Endpoint(**fields)
