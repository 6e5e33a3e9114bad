"""Legacy links (``--link``): other containers' addresses under names of one's own, in ``/etc/hosts``."""

from __future__ import annotations

from collections.abc import Iterator

from pymachine.dockerapi.errors import Conflict
from pymachine.engine.containers import sandboxes
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container


def hosts(context: Context, container: Container) -> list[str]:
    """``name:address`` entries for every link; raises `NotFound`, or `Conflict` for a peer that does not run."""
    return [entry for link in _links(container) for entry in _entries(context, container, link)]


def _links(container: Container) -> Iterator[str]:
    yield from container.host_config.get("Links") or ()
    for endpoint in sandboxes.entries(container).values():
        yield from endpoint.get("Links") or ()


def _entries(context: Context, container: Container, link: str) -> Iterator[str]:
    reference, _, alias = link.partition(":")
    peer = context.registry.get(reference)
    if not peer.state.running or peer.sandbox is None:
        raise Conflict(
            f"Cannot link to a non running container: /{peer.name} AS /{container.name}/{alias or peer.name}"
        )
    address = _address(container, peer)
    for name in dict.fromkeys((alias or peer.name, peer.name)):
        yield f"{name}:{address}"


def _address(container: Container, peer: Container) -> str:
    """The peer's address in a network that both are in, else its first one."""
    assert peer.sandbox is not None
    mine = set(sandboxes.entries(container))
    found = sorted(peer.sandbox.endpoints, key=lambda endpoint: endpoint.network_name not in mine)
    return next((endpoint.ip_address for endpoint in found if endpoint.ip_address), "127.0.0.1")
