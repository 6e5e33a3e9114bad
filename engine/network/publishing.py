"""Publishing: a sandbox's held ports lead to one of its endpoints, by rules and by forwarders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network import conntrack
from pymachine.engine.network.base import Endpoint, PortBinding
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.firewall import Firewall
from pymachine.engine.network.forwarder import Relay
from pymachine.engine.network.ports import HeldPort, PortTable, host_has_ipv6
from pymachine.engine.network.records import NetworkRecord
from pymachine.engine.network.rules import Published
from pymachine.engine.network.sandboxes import LiveSandbox

_log = logging.getLogger(__name__)


class Publisher:
    """Takes host ports and leads them to containers."""

    def __init__(self, config: NetworkConfig, find: Callable[[str], NetworkRecord]) -> None:
        self._find = find
        self._firewall = Firewall(config.bridge) if config.iptables else None
        self._userland = config.userland_proxy
        ipv6 = config.userland_proxy and host_has_ipv6()
        self._ports = PortTable(default_ip=config.default_bind_ip, ipv6=ipv6)

    def take(self, ports: Sequence[PortBinding]) -> list[HeldPort]:
        """See `PortTable.take`."""
        return self._ports.take(ports)

    async def start(self, networks: Sequence[NetworkRecord], live: Sequence[LiveSandbox]) -> None:
        """Write all rules; raises `EngineError`."""
        if self._firewall is not None:
            await self._firewall.start(networks, [port for state in live for port in state.published])

    async def set_networks(self, networks: Sequence[NetworkRecord]) -> None:
        """Write the rules for another set of networks; raises `EngineError`."""
        if self._firewall is not None:
            await self._firewall.set_networks(networks)

    async def remove(self) -> None:
        """Remove all rules."""
        if self._firewall is not None:
            await self._firewall.remove()

    async def adopt(self, state: LiveSandbox) -> None:
        """Take a live sandbox's ports again; its rules are written by `start`."""
        state.held, problems = self._ports.adopt(state.sandbox.ports)
        for problem in problems:
            _log.warning("container %s: %s", state.sandbox.container_id[:12], problem)
        if endpoint := target(state):
            await self._relay(state, endpoint)
            if self._firewall is not None:
                state.published = self._translated(state, endpoint)

    async def publish(self, state: LiveSandbox) -> None:
        """Lead the ports to the first endpoint that has a way out; nothing to do if they are led already."""
        if not state.held or state.published or state.relays or (endpoint := target(state)) is None:
            return
        await self._relay(state, endpoint)
        if self._firewall is not None:
            state.published = self._translated(state, endpoint)
            try:
                await self._firewall.publish(state.published)
            except EngineError:
                state.published = []
                raise
            if ports := {(p.host_ip, p.host_port): p.address for p in state.published if p.protocol == "udp"}:
                await _forget(lambda: conntrack.forget_misled(ports))

    async def unpublish(self, state: LiveSandbox) -> None:
        """Lead them nowhere; they stay taken."""
        state.close_relays()
        published, state.published = state.published, []
        if self._firewall is not None and published:
            await self._firewall.unpublish(published)
            if addresses := {port.address for port in published if port.protocol == "udp"}:
                await _forget(lambda: conntrack.forget_container(addresses))

    def give_back(self, state: LiveSandbox) -> None:
        """Free the ports and end the forwarders at once."""
        state.close_relays()
        self._ports.give_back(state.held)
        state.held = []

    async def _relay(self, state: LiveSandbox, endpoint: Endpoint) -> None:
        for held in state.held:
            if self._firewall is None or self._userland:
                relay = Relay(held, endpoint.ip_address, held.binding.container_port)
                state.relays.append(relay)
                await relay.start()

    def _translated(self, state: LiveSandbox, endpoint: Endpoint) -> list[Published]:
        bridge = self._find(endpoint.network_id).bridge
        return [
            Published(
                held.binding.protocol,
                held.binding.host_ip,
                held.binding.host_port,
                endpoint.ip_address,
                held.binding.container_port,
                bridge,
            )
            for held in state.held
            if ":" not in held.binding.host_ip
        ]


async def _forget(work: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        _log.warning("udp clients of old may not reach a published port: %s", error.strerror or error)


def target(state: LiveSandbox) -> Endpoint | None:
    """Where published ports lead: the first endpoint that has a way out."""
    return next((endpoint for endpoint in state.sandbox.endpoints if endpoint.gateway), None)
