"""The network controller: puts records, addresses, links, ports and rules together.

Runs on the event loop; what blocks (netlink, iptables) goes to threads. The state of a container's network
is the `Sandbox` in its document, the kernel's links and the firewall's rules; everything here can be made
again from those (`start`), so a daemon that was killed loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

from pymachine.dockerapi.errors import EngineError, Forbidden, InvalidArgument, NotFound
from pymachine.engine.events import EventBus
from pymachine.engine.network import hostfiles, startup, views, wiring
from pymachine.engine.network.base import Endpoint, PortBinding, Sandbox
from pymachine.engine.network.catalog import Catalog, NetworkRequest
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.endpoints import Endpoints
from pymachine.engine.network.namespaces import run_in_thread
from pymachine.engine.network.publishing import Publisher, target
from pymachine.engine.network.records import NetworkRecord, RecordStore
from pymachine.engine.network.resolving import Resolver, wanted
from pymachine.engine.network.sandboxes import LiveSandbox, NamespaceLinks

_LINK_GRACE = 0.2
"""Seconds that a dying network namespace has to take its links along, before we delete them ourselves:
each deletion stalls every other change of links for about 16 ms."""


class BridgeController:
    """Implements `pymachine.engine.network.base.NetworkController` with Linux bridges."""

    def __init__(self, data_root: Path, exec_root: Path, config: NetworkConfig, events: EventBus) -> None:
        self.config = config
        self.catalog = Catalog(RecordStore(data_root), config)
        self.name_of: views.NameOf = lambda container_id: container_id[:12]
        """Tells a container's name for ``network inspect``; the container service sets it."""
        self._events = events
        self._namespaces = NamespaceLinks(exec_root / "netns")
        self._publisher = Publisher(config, self.catalog.find)
        self._endpoints = Endpoints()
        self._resolver = Resolver(translate=config.iptables)
        self._live: dict[str, LiveSandbox] = {}
        self._changing = asyncio.Lock()

    # --- the daemon's life

    async def start(self, live: list[Sandbox]) -> None:
        """Bring networks up, adopting what *live* containers hold. Fine to call again. Raises `EngineError`."""
        async with self._changing:
            await asyncio.to_thread(self.catalog.load)
            view = await asyncio.to_thread(wiring.look, startup.own_bridges(self.catalog, self.config))
            startup.settle_default_bridge(self.catalog, self.config, view)
            await asyncio.to_thread(startup.make_bridges, self.catalog.bridges(), self.config.mtu)
            for record in self.catalog.bridges():
                self._endpoints.set_pool(record.id, startup.pool_of(record))
            self._drop_all()
            for sandbox in live:
                await self._adopt(sandbox)
            self._namespaces.keep_only({sandbox.container_id for sandbox in live})
            if self.config.ip_forward:
                await asyncio.to_thread(wiring.turn_forwarding_on)
            await self._publisher.start(self.catalog.bridges(), list(self._live.values()))
            await self._sort_out_links(view)

    async def close(self) -> None:
        """Stop what runs in the daemon; containers' networks stay."""
        await self.settle()
        self._drop_all()

    async def settle(self) -> None:
        """Wait for what goes on in the background (links and rules of released sandboxes)."""
        await self._endpoints.settle()

    async def remove_all(self) -> None:
        """A clean uninstall: no link, rule or record of ours is left. Containers must have been released."""
        await self.close()
        await self._publisher.remove()
        ours = [record.bridge for record in self.catalog.bridges() if not record.found_bridge]
        await asyncio.to_thread(wiring.delete_links, ours)
        for record in self.catalog.all():
            self.catalog.drop(record)

    # --- one container

    async def allocate(
        self,
        container_id: str,
        mode: str,
        *,
        ports: list[PortBinding],
        hostname: str,
        mac_address: str = "",
        ipv4_address: str = "",
        aliases: tuple[str, ...] = (),
    ) -> Sandbox:
        """Take an address and the ports. See `NetworkController.allocate`."""
        if (old := self._live.get(container_id)) is not None:
            await self.release(old.sandbox)
        sandbox = Sandbox(container_id, mode)
        state = LiveSandbox(sandbox)
        if not mode.startswith("container:"):
            endpoint = await self._endpoints.make(
                self.catalog.find(_reference(mode)),
                container_id=container_id,
                hostname=hostname,
                ipv4_address=ipv4_address,
                mac_address=mac_address,
                aliases=aliases,
            )
            sandbox.endpoints.append(endpoint)
            try:
                if endpoint.ip_address:
                    state.held = self._publisher.take(ports)
            except BaseException:
                self._endpoints.give_back(endpoint)
                raise
            sandbox.ports = [held.binding for held in state.held]
        self._live[container_id] = state
        return sandbox

    async def attach(self, sandbox: Sandbox, pid: int) -> None:
        """Wire the namespace of process *pid* up and publish the ports. Call `release` when it raises."""
        if sandbox.mode.startswith("container:") or sandbox.mode == "host":
            return
        state = self._state(sandbox)
        self._namespaces.put(sandbox.container_id, pid)
        plugs = [self._plug(state, endpoint) for endpoint in sandbox.endpoints if endpoint.ip_address]
        # Both at once, and both to their end: a failed start must find all that it has to take back.
        wiring_up = self._in_namespace(lambda: wiring.plug_in(pid, plugs, fresh=True))
        naming = self._resolver.open(state, f"/proc/{pid}/ns/net", fresh=True)
        results = await asyncio.gather(wiring_up, self._publisher.publish(state), naming, return_exceptions=True)
        for result in results:
            if result is not None:
                raise result
        state.wired = True
        for endpoint in sandbox.endpoints:
            self._resolver.join(endpoint)
            self._tell("connect", endpoint, sandbox.container_id)

    async def release(self, sandbox: Sandbox) -> None:
        """Give everything back; links and rules go in the background. Fine when called twice."""
        state = self._live.pop(sandbox.container_id, None)
        if state is None:
            return
        self._namespaces.remove(sandbox.container_id)
        self._resolver.close(state)
        self._publisher.give_back(state)
        self._endpoints.leave(state.sandbox.endpoints, self._publisher.unpublish(state), grace=_LINK_GRACE)
        if state.wired:
            for endpoint in state.sandbox.endpoints:
                self._tell("disconnect", endpoint, sandbox.container_id)

    async def connect(
        self,
        sandbox: Sandbox,
        pid: int,
        network: str,
        *,
        hostname: str = "",
        ipv4_address: str = "",
        mac_address: str = "",
        aliases: tuple[str, ...] = (),
    ) -> Endpoint:
        """Join another network. *pid* is 0 before `attach`, which then makes all interfaces."""
        state = self._state(sandbox)
        record = self.catalog.find(network)
        if any(endpoint.network_id == record.id for endpoint in sandbox.endpoints):
            name = self.name_of(sandbox.container_id)
            raise Forbidden(f"endpoint with name {name} already exists in network {record.name}")
        _check_joinable(sandbox, record)
        endpoint = await self._endpoints.make(
            record,
            container_id=sandbox.container_id,
            hostname=hostname,
            ipv4_address=ipv4_address,
            mac_address=mac_address,
            aliases=aliases,
        )
        if pid:
            plug = self._plug(state, endpoint)
            try:
                await self._in_namespace(lambda: wiring.plug_in(pid, [plug], fresh=False))
            except BaseException:
                self._endpoints.give_back(endpoint)
                raise
        sandbox.endpoints.append(endpoint)
        if pid:
            self._resolver.join(endpoint)
            await self._resolver.open(state, f"/proc/{pid}/ns/net", fresh=True)
            await self._publisher.publish(state)
            self._tell("connect", endpoint, sandbox.container_id)
        return endpoint

    async def disconnect(self, sandbox: Sandbox, pid: int, network: str) -> None:
        """Leave a network; the ports move to another of the sandbox's networks, if there is one."""
        state = self._state(sandbox)
        record = self.catalog.find(network)
        endpoint = next((e for e in sandbox.endpoints if e.network_id == record.id), None)
        if endpoint is None or record.driver != "bridge":
            name = self.name_of(sandbox.container_id)
            raise Forbidden(f"container {name} is not connected to network {record.name}")
        sandbox.endpoints.remove(endpoint)
        self._resolver.leave(endpoint)
        self._endpoints.leave([endpoint], self._publisher.unpublish(state), grace=0.0)
        if pid:
            await self._endpoints.gone(endpoint)
            await self._reroute(state, pid)
            self._tell("disconnect", endpoint, sandbox.container_id)

    def rename(self, sandbox: Sandbox, old: str, new: str) -> None:
        """The container is called *new* now, also by the embedded DNS."""
        for endpoint in sandbox.endpoints:
            self._resolver.leave(endpoint)
            endpoint.aliases = tuple(new if name == old else name for name in endpoint.aliases)
            endpoint.dns_names = tuple(new if name == old else name for name in endpoint.dns_names)
            if (state := self._live.get(sandbox.container_id)) is not None and state.wired:
                self._resolver.join(endpoint)

    # --- what the container sees

    def resolv_conf(self, sandbox: Sandbox, dns: list[str], search: list[str], options: list[str]) -> str:
        """The container's ``/etc/resolv.conf``; the host's own for ``host`` mode, unless options say otherwise."""
        host = hostfiles.host_resolv_conf()
        if sandbox.mode == "host" and not (dns or search or options):
            return host
        for endpoint in sandbox.endpoints:
            endpoint.dns_servers = tuple(dns or self.config.dns)
        return hostfiles.resolv_conf(
            host,
            dns=dns or self.config.dns,
            search=search or self.config.dns_search,
            options=options or self.config.dns_opts,
            embedded=wanted(sandbox),
        )

    def hosts(self, sandbox: Sandbox, hostname: str, domainname: str, extra: list[str]) -> str:
        """The container's ``/etc/hosts``; ``host-gateway`` as an extra entry's address is the default bridge's."""
        entries = []
        for entry in extra:
            name, _, address = entry.partition(":")
            entries.append((self.catalog.default.gateway if address == "host-gateway" else address, name))
        names = hostfiles.own_names(hostname, domainname)
        entries += [(endpoint.ip_address, names) for endpoint in sandbox.endpoints if endpoint.ip_address]
        return hostfiles.hosts(entries)

    def settings(self, sandbox: Sandbox | None, mode: str) -> dict[str, Any]:
        """The Engine API's ``NetworkSettings``."""
        if sandbox is not None:
            key = "" if sandbox.mode.startswith("container:") else str(self._namespaces.path(sandbox.container_id))
            return views.settings(sandbox, key)
        if mode.startswith("container:"):
            return views.settings(Sandbox("", mode), "")
        try:
            record = self.catalog.find(_reference(mode))
            endpoint = Endpoint(record.name, record.id, "")
        except (NotFound, InvalidArgument):
            endpoint = Endpoint(mode, "", "")
        return views.settings(Sandbox("", mode, [endpoint]), "")

    # --- networks

    def inspect(self, reference: str) -> dict[str, Any]:
        """A network with its containers; raises `NotFound`."""
        record = self.catalog.find(reference)
        return views.network(record, self.members(record))

    def members(self, record: NetworkRecord) -> list[tuple[str, str, Endpoint]]:
        """The live endpoints in a network: (container id, name, endpoint)."""
        return [
            (container, self.name_of(container), endpoint)
            for container, state in self._live.items()
            for endpoint in state.sandbox.endpoints
            if endpoint.network_id == record.id
        ]

    async def create_network(self, request: NetworkRequest) -> NetworkRecord:
        """Make a network; raises `InvalidArgument`, `Conflict`, `Forbidden`, or `EngineError` if the host refuses."""
        async with self._changing:
            view = await asyncio.to_thread(wiring.look, startup.own_bridges(self.catalog, self.config))
            record = self.catalog.draft(request, view.networks, {*view.other_links, *view.bridges})
            self.catalog.keep(record)
            try:
                await asyncio.to_thread(startup.make_bridges, [record], self.config.mtu)
                self._endpoints.set_pool(record.id, startup.pool_of(record))
                await self._publisher.set_networks(self.catalog.bridges())
            except BaseException:
                await self._discard(record)
                raise
        self._events.publish("network", "create", record.id, {"name": record.name, "type": record.driver})
        return record

    async def remove_network(self, reference: str) -> None:
        """Remove a network; raises `NotFound`, or `Forbidden` for predefined ones and those in use."""
        async with self._changing:
            record = self.catalog.find(reference)
            if record.predefined:
                raise Forbidden(f"{record.name} is a pre-defined network and cannot be removed")
            if self.members(record):
                raise Forbidden(
                    f"error while removing network: network {record.name} id {record.id} has active endpoints"
                )
            await self._discard(record)
        self._events.publish("network", "destroy", record.id, {"name": record.name, "type": record.driver})

    def tell_pruned(self) -> None:
        """Publish the event that ends a prune."""
        self._events.publish("network", "prune", "", {"reclaimed": "0"})

    # --- inside

    def _state(self, sandbox: Sandbox) -> LiveSandbox:
        state = self._live.get(sandbox.container_id)
        if state is None:
            raise EngineError(f"the network of container {sandbox.container_id[:12]} was given back already")
        return state

    def _plug(self, state: LiveSandbox, endpoint: Endpoint) -> wiring.Plug:
        record = self.catalog.find(endpoint.network_id)
        return wiring.Plug(
            endpoint_id=endpoint.endpoint_id,
            bridge=record.bridge,
            mtu=record.mtu or self.config.mtu,
            mac=endpoint.mac_address,
            address=IPv4Interface(f"{endpoint.ip_address}/{endpoint.prefix_length}"),
            gateway=IPv4Address(endpoint.gateway) if endpoint.gateway else None,
            hairpin=bool(state.held),
        )

    async def _in_namespace(self, work: Callable[[], None]) -> None:
        try:
            await run_in_thread(work)
        except OSError as error:
            raise EngineError(f"failed to set up the container's network: {error.strerror or error}") from error

    async def _reroute(self, state: LiveSandbox, pid: int) -> None:
        if (endpoint := target(state)) is not None:
            gateway = IPv4Address(endpoint.gateway)
            await self._in_namespace(lambda: wiring.set_default_route(pid, gateway))
            await self._publisher.publish(state)

    async def _adopt(self, sandbox: Sandbox) -> None:
        state = self._live[sandbox.container_id] = LiveSandbox(sandbox, wired=True)
        for endpoint in sandbox.endpoints:
            self._endpoints.adopt(endpoint)
            self._resolver.join(endpoint)
        await self._publisher.adopt(state)
        await self._resolver.open(state, str(self._namespaces.path(sandbox.container_id)), fresh=False)

    def _drop_all(self) -> None:
        for state in self._live.values():
            self._resolver.close(state)
            self._publisher.give_back(state)
        self._live.clear()

    async def _sort_out_links(self, view: wiring.HostView) -> None:
        """Links of containers that ended while no daemon ran go; those that lost their bridge get it back."""
        bridges = {
            wiring.host_link(endpoint.endpoint_id): self.catalog.find(endpoint.network_id).bridge
            for state in self._live.values()
            for endpoint in state.sandbox.endpoints
            if endpoint.ip_address
        }
        ours = [name for record in self.catalog.bridges() for name in view.strays.get(record.bridge, [])]
        if strays := [name for name in ours if name not in bridges]:
            self._endpoints.run(asyncio.to_thread(wiring.delete_links, strays))
        for name in view.strays.get("", []):
            if name in bridges:
                await asyncio.to_thread(wiring.reconnect, bridges[name], [name])

    async def _discard(self, record: NetworkRecord) -> None:
        """Remove a network. Its record goes last: the successor of a killed daemon finds the bridge by it."""
        self.catalog.hide(record)
        self._endpoints.drop_pool(record.id)
        await self._publisher.set_networks(self.catalog.bridges())
        await asyncio.to_thread(wiring.delete_links, [record.bridge])
        self.catalog.drop(record)

    def _tell(self, action: str, endpoint: Endpoint, container_id: str) -> None:
        record = self.catalog.find(endpoint.network_id)
        attributes = {"container": container_id, "name": record.name, "type": record.driver}
        self._events.publish("network", action, record.id, attributes)


def _check_joinable(sandbox: Sandbox, record: NetworkRecord) -> None:
    if record.driver != "bridge" or sandbox.mode == "host" or sandbox.mode.startswith("container:"):
        raise Forbidden("container cannot be connected to host, none or another container's network")


def _reference(mode: str) -> str:
    return "bridge" if mode in ("", "default") else mode
