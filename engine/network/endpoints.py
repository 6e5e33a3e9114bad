"""Endpoints: addresses are taken for them, and given back when their links are gone."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Sequence
from typing import Any

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.network import wiring
from pymachine.engine.network.base import Endpoint
from pymachine.engine.network.ipam import AddressPool, mac_of
from pymachine.engine.network.links import mac_bytes
from pymachine.engine.network.records import NetworkRecord

_log = logging.getLogger(__name__)


class Endpoints:
    """The address pools of all networks, and the endpoints that are on their way out."""

    def __init__(self) -> None:
        self._pools: dict[str, AddressPool] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def set_pool(self, network_id: str, pool: AddressPool) -> None:
        """Use *pool* for a network from now on."""
        self._pools[network_id] = pool

    def drop_pool(self, network_id: str) -> None:
        """Forget a network's pool; fine when there is none."""
        self._pools.pop(network_id, None)

    async def make(
        self,
        record: NetworkRecord,
        *,
        container_id: str,
        hostname: str,
        ipv4_address: str,
        mac_address: str,
        aliases: tuple[str, ...],
    ) -> Endpoint:
        """A new endpoint with an address (none in ``host`` and ``none``); raises `InvalidArgument`, `EngineError`."""
        endpoint = Endpoint(record.name, record.id, secrets.token_hex(32), aliases=aliases)
        if record.driver != "bridge":
            return endpoint
        if mac_address:
            _check_mac(mac_address)
        if ipv4_address and record.predefined:
            raise InvalidArgument("user specified IP address is supported on user defined networks only")
        endpoint.ip_address = await self._take_address(record, ipv4_address)
        endpoint.prefix_length = record.network.prefixlen
        endpoint.gateway = "" if record.internal else record.gateway
        endpoint.mac_address = mac_address.lower() or mac_of(endpoint.ip_address)
        if not record.predefined:
            endpoint.dns_names = tuple(dict.fromkeys(filter(None, (*aliases, hostname, container_id[:12]))))
        return endpoint

    def adopt(self, endpoint: Endpoint) -> None:
        """Note a live endpoint's address."""
        if endpoint.ip_address and (pool := self._pools.get(endpoint.network_id)):
            pool.adopt(endpoint.ip_address)

    def give_back(self, endpoint: Endpoint) -> None:
        """Free an endpoint's address at once: for one that never had a link."""
        if endpoint.ip_address and (pool := self._pools.get(endpoint.network_id)):
            pool.give_back(endpoint.ip_address)

    def leave(self, endpoints: Sequence[Endpoint], before: Coroutine[Any, Any, None], *, grace: float) -> None:
        """Await *before*, then see the links go, in the background; an address stays taken until its link is gone.

        *grace*: seconds that the kernel has to take the links away with their namespace."""
        leaving = list(endpoints)
        task = self.run(_take_away(leaving, before, grace))
        for endpoint in leaving:
            if endpoint.ip_address:
                self._leaving[endpoint.ip_address] = task

        def done(_: asyncio.Task[None]) -> None:
            for endpoint in leaving:
                self.give_back(endpoint)
                self._leaving.pop(endpoint.ip_address, None)

        task.add_done_callback(done)

    async def gone(self, endpoint: Endpoint) -> None:
        """Wait until an endpoint that leaves has left."""
        if task := self._leaving.get(endpoint.ip_address):
            await asyncio.wait([task])

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do *work* in the background; `settle` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self) -> None:
        """Wait for all that goes on in the background."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_address(self, record: NetworkRecord, wanted: str) -> str:
        while True:
            try:
                return self._pools[record.id].take(wanted)
            except InvalidArgument:
                raise
            except EngineError:
                waiting = [task for address, task in self._leaving.items() if wanted in ("", address)]
                if not waiting:
                    raise
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # let the done callbacks give the address back


async def _take_away(endpoints: list[Endpoint], before: Coroutine[Any, Any, None], grace: float) -> None:
    try:
        await before
    except EngineError as error:
        _log.error("rules of released ports remain until the next start: %s", error)
    names = [wiring.host_link(endpoint.endpoint_id) for endpoint in endpoints if endpoint.ip_address]
    if names and wiring.existing(names):
        await asyncio.sleep(grace)
        try:
            await asyncio.to_thread(lambda: wiring.delete_links(wiring.existing(names)))
        except OSError as error:
            _log.error("%s", error.strerror or error)


def _check_mac(mac: str) -> None:
    try:
        data = mac_bytes(mac)
    except ValueError:
        raise InvalidArgument(f"invalid MAC address: {mac}") from None
    if data[0] & 1:
        raise InvalidArgument(f"invalid MAC address: {mac} is a multicast address")
