"""What a container asks of the network: from its configuration to an allocated sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymachine.engine.containers import etc, namespaces, ports
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.network.base import Sandbox


async def allocate(context: Context, container: Container) -> Sandbox | None:
    """The container's place in its network; ``None`` when it shares another container's."""
    mode = container.network_mode
    if reference := namespaces.joined(mode):
        namespaces.running(context.registry.get(reference), "network")
        return None
    if container.config.get("NetworkDisabled"):
        mode = "none"
    endpoint = endpoint_config(container, mode)
    return await context.network.allocate(
        container.id,
        mode,
        ports=ports.bindings(container.config, container.host_config),
        hostname=etc.hostname(container),
        mac_address=str(endpoint.get("MacAddress") or container.config.get("MacAddress") or ""),
        ipv4_address=str((endpoint.get("IPAMConfig") or {}).get("IPv4Address") or ""),
        aliases=aliases(container, endpoint),
    )


def endpoint_config(container: Container, mode: str) -> Mapping[str, Any]:
    """The ``EndpointsConfig`` entry for the network that *mode* names (clients may say ``default``)."""
    configs = container.networking.get("EndpointsConfig") or {}
    given = container.host_config.get("NetworkMode")
    found = configs.get(mode) or (configs.get(given) if given else None)
    if found is None and len(configs) == 1 and mode not in ("host", "none", "bridge"):
        found = next(iter(configs.values()))  # keyed by the network's id
    return found if isinstance(found, dict) else {}


def aliases(container: Container, endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that other containers of the network reach this one by."""
    given = endpoint.get("Aliases") or []
    return tuple(dict.fromkeys([container.name, *map(str, given)]))
