"""A container's networks: which it belongs to, and its place in them while it runs.

``NetworkingConfig.EndpointsConfig`` of the container's document holds one entry for each network it belongs to,
under the network's name; ``network connect`` and ``disconnect`` change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymachine.dockerapi.errors import Conflict, EngineError, Forbidden, NotFound
from pymachine.engine.containers import etc, namespaces, ports, shapes
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.problems import Problems
from pymachine.engine.network.base import Sandbox

_ALONE = ("host", "none")
"""Modes without a network of one's own to join others from."""


def complete(context: Context, networking: dict[str, Any], mode: str) -> dict[str, Any]:
    """``NetworkingConfig`` with an entry for the network that the mode names, under networks' names.

    A network that does not exist is left for the start to refuse, as Docker does: ``docker run`` takes "not found"
    in the answer to a create for a missing image, and pulls. Raises `InvalidArgument`.
    """
    if mode in _ALONE or namespaces.joined(mode):
        return {"EndpointsConfig": {}}
    found: dict[str, Any] = {_name_if_known(context, mode): {}}
    problems = Problems()
    for given, entry in (networking.get("EndpointsConfig") or {}).items():
        part = f"NetworkingConfig.EndpointsConfig[{given}]"
        found[_name_if_known(context, given)] = shapes.check(part, entry, shapes.ENDPOINT, problems)
    problems.check()
    return {"EndpointsConfig": found}


def _name_if_known(context: Context, reference: str) -> str:
    try:
        return _name(context, reference)
    except NotFound:
        return reference


def _name(context: Context, reference: str) -> str:
    if reference in ("bridge", "default"):
        return "bridge"
    return str(context.network.inspect(reference)["Name"])


def entries(container: Container) -> dict[str, dict[str, Any]]:
    """The networks that the container belongs to."""
    found: dict[str, dict[str, Any]] = container.networking.setdefault("EndpointsConfig", {})
    return found


async def allocate(context: Context, container: Container) -> Sandbox | None:
    """The container's place in its networks; ``None`` when it shares another container's."""
    mode = container.network_mode
    if reference := namespaces.joined(mode):
        namespaces.running(context.registry.get(reference), "network")
        return None
    first, *others = _networks(container)
    endpoint = entries(container).get(first) or {}
    sandbox = await _take(context, container, first, endpoint)
    try:
        for name in others:
            await _join(context, container, sandbox, 0, name)
    except BaseException:
        await context.network.release(sandbox)
        raise
    return sandbox


async def _take(context: Context, container: Container, mode: str, endpoint: Mapping[str, Any]) -> Sandbox:
    """The first network's address and the ports: of ranges of host ports the first ones that are free."""
    choices = [[]] if mode == "host" else list(ports.choices(container.config, container.host_config))
    while True:
        try:
            return await context.network.allocate(
                container.id,
                mode,
                ports=choices.pop(0),
                hostname=etc.hostname(container),
                **_wishes(container, endpoint),
            )
        except EngineError:
            if not choices:
                raise


def _networks(container: Container) -> list[str]:
    """Its networks, the one of its mode first; ``none`` for a container that was disconnected from all."""
    mode = container.network_mode
    if container.config.get("NetworkDisabled"):
        return ["none"]
    if mode in _ALONE:
        return [mode]
    names = list(entries(container))
    return sorted(names, key=lambda name: name != mode) or ["none"]


def _wishes(container: Container, endpoint: Mapping[str, Any]) -> dict[str, Any]:
    given = endpoint.get("Aliases") or []
    address = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
    return {
        "mac_address": str(endpoint.get("MacAddress") or container.config.get("MacAddress") or ""),
        "ipv4_address": str(address or ""),
        "aliases": tuple(dict.fromkeys([container.name, *map(str, given)])),
    }


async def _join(context: Context, container: Container, sandbox: Sandbox, pid: int, name: str) -> None:
    endpoint = entries(container).get(name) or {}
    await context.network.connect(sandbox, pid, name, hostname=etc.hostname(container), **_wishes(container, endpoint))


async def connect(context: Context, container: Container, reference: str, endpoint: Any) -> None:
    """``network connect``; raises `Forbidden` where it is connected already or cannot be."""
    endpoint = shapes.require("EndpointConfig", endpoint, shapes.ENDPOINT)
    name = _name(context, reference)
    if container.network_mode in _ALONE or namespaces.joined(container.network_mode) or name in _ALONE:
        raise Forbidden("container cannot be connected to host, none or another container's network")
    async with container.lock:
        if name in entries(container):
            raise Forbidden(f"endpoint with name {container.name} already exists in network {name}")
        entries(container)[name] = endpoint
        try:
            if container.state.running and container.sandbox is not None:
                await _join(context, container, container.sandbox, container.state.pid, name)
        except BaseException:
            del entries(container)[name]
            raise
        context.save(container)


async def disconnect(context: Context, container: Container, reference: str, *, force: bool) -> None:
    """``network disconnect``; raises `Forbidden` where it is not connected (unless *force*)."""
    name = _name(context, reference)
    async with container.lock:
        if name not in entries(container):
            if force:
                return
            raise Forbidden(f"container {container.id} is not connected to network {name}")
        if container.settling is not None and not container.state.running:
            await container.settling
        if container.state.running and container.sandbox is not None:
            await context.network.disconnect(container.sandbox, container.state.pid, name)
        del entries(container)[name]
        context.save(container)


def check_joinable(container: Container) -> None:
    """Raise `Conflict` for a container that is going away."""
    if container.state.status in ("removing", "dead"):
        raise Conflict(f"container {container.id} is marked for removal and cannot be connected or disconnected")


def settings(context: Context, container: Container) -> dict[str, Any]:
    """``NetworkSettings`` of inspect: what the container has while it runs, what it is to have otherwise."""
    running = container.sandbox if container.state.running else None
    view = context.network.settings(running, container.network_mode)
    if running is None and entries(container):
        view["Networks"] = {}
        for name in entries(container):
            view["Networks"].update(context.network.settings(None, name).get("Networks") or {})
    for name, shown in (view.get("Networks") or {}).items():
        if (asked := entries(container).get(name)) is not None:
            given = {key: asked.get(key) for key in ("IPAMConfig", "Links", "Aliases", "DriverOpts")}
            shown.update({key: value or None for key, value in given.items()})
    return view
