"""Which machine has which address, on which subnet: one document under one lock.

The document is the truth: an address belongs to a machine from the moment it is written here, before anything
of the machine comes to exist, until the machine is removed.
"""

from __future__ import annotations

import json
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pymachine.drivers.local import bridge, host, jsonfile
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.locks import LOCK_SECONDS, locked
from pymachine.machine.errors import DriverError, InvalidOption

CANDIDATES = [f"10.{second}.{third}.0/24" for second in (99, 98, 97, 96) for third in range(256)]
"""Tried in this order for the default subnet; seldom used by routers, clouds, Docker or libvirt."""


LONGEST_OWNER = 200
"""Bytes of the local root's path in a bridge's alias, which has 255 at most."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A machine's place in the network."""

    subnet: IPv4Network
    bridge: str
    address: IPv4Address

    @property
    def gateway(self) -> IPv4Address:
        """This computer's own address on the subnet, the first one."""
        return self.subnet.network_address + 1


def bridge_name(subnet: IPv4Network) -> str:
    """The subnet's bridge; at most 15 bytes, the same for whoever uses the subnet."""
    text = f"{int(subnet.network_address):08x}{subnet.prefixlen:02d}"
    return f"pym{text}"


class Leases:
    """The addresses of the machines under one local root."""

    def __init__(self, layout: Layout, *, wait: float = LOCK_SECONDS) -> None:
        """*wait*: seconds that others may have the network's lock."""
        self._layout = layout
        self._wait = wait
        self._path = layout.network / "state.json"
        self._owner = str(layout.root)[-LONGEST_OWNER:]

    def acquire(self, machine_id: str, wanted: IPv4Network | None, preferred: str = "") -> Lease:
        """The machine's lease, made if it has none; its bridge is there when this returns.

        *wanted* is a subnet, else the remembered default. *preferred* is the address to have if it is free.
        Raises `InvalidOption` when the wanted subnet cannot be used, `DriverError` when no address is left.
        """
        with self._locked():
            state = self._load()
            lease = self._find(state, machine_id)
            if lease is None:
                lease = self._allocate(state, machine_id, wanted, preferred)
            elif not bridge.exists(lease.bridge):  # such as after a boot of this computer
                _require_way_to(lease)
            bridge.ensure(lease.bridge, lease.subnet, lease.gateway, self._owner)
        return lease

    def find(self, machine_id: str) -> Lease | None:
        """The machine's lease, if it has one."""
        return self._find(self._load(), machine_id)

    def release(self, machine_id: str) -> None:
        """Give the address back; the subnet's last one takes the bridge and its rules with it."""
        if self.find(machine_id) is None:
            return
        with self._locked():
            state = self._load()
            for subnet in [net for net, leases in state["subnets"].items() if machine_id in leases]:
                del state["subnets"][subnet][machine_id]
                self._drop_if_empty(state, subnet)
            self._save(state)

    def check(self, wanted: IPv4Network | None) -> str:
        """What would stop `acquire`, in a few words; empty when nothing would."""
        state = self._load()
        try:
            subnet = self._choose(state, wanted)
            leases = state["subnets"].get(str(subnet), {})
            self._free_address(subnet, set(leases.values()), "")
        except (InvalidOption, DriverError) as error:
            return str(error)
        return ""

    def _locked(self) -> AbstractContextManager[int]:
        return locked(bridge.LOCK, "waiting for the network lock", wait=self._wait)

    def _load(self) -> dict[str, Any]:
        state = jsonfile.read(self._path)
        return {"default": str(state.get("default", "")), "subnets": dict(state.get("subnets", {}))}

    def _save(self, state: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for left in self._path.parent.glob(f".{self._path.name}.*"):  # by processes that were killed: we have the lock
            left.unlink(missing_ok=True)
        jsonfile.write(self._path, state)

    def _find(self, state: dict[str, Any], machine_id: str) -> Lease | None:
        for text, leases in state["subnets"].items():
            if machine_id in leases:
                subnet = IPv4Network(text)
                return Lease(subnet, bridge_name(subnet), IPv4Address(leases[machine_id]))
        return None

    def _allocate(self, state: dict[str, Any], machine_id: str, wanted: IPv4Network | None, preferred: str) -> Lease:
        self._sweep(state)
        subnet = self._choose(state, wanted)
        leases = state["subnets"].setdefault(str(subnet), {})
        address = self._free_address(subnet, set(leases.values()), preferred)
        leases[machine_id] = str(address)
        if wanted is None:
            state["default"] = str(subnet)
        self._save(state)
        return Lease(subnet, bridge_name(subnet), address)

    def _choose(self, state: dict[str, Any], wanted: IPv4Network | None) -> IPv4Network:
        """The wanted subnet, or the default one, or a new default that is free."""
        ours = {IPv4Network(text) for text, leases in state["subnets"].items() if leases}
        taken = [net for net in routes() if net not in ours] + list(ours)
        if wanted is not None:
            if wanted in ours:
                return wanted
            clash = next((net for net in taken if net.overlaps(wanted)), None)
            if clash is not None:
                raise InvalidOption(f"--local-subnet: {wanted} overlaps with {clash}, which this computer uses")
            return wanted
        for text in [state["default"], *CANDIDATES] if state["default"] else CANDIDATES:
            candidate = IPv4Network(text)
            if candidate in ours or not (self._is_anothers(candidate) or any(net.overlaps(candidate) for net in taken)):
                return candidate
        raise DriverError("no private /24 network is free of this computer's routes; choose one with --local-subnet")

    def _is_anothers(self, subnet: IPv4Network) -> bool:
        """Whether another local root has its bridge on the subnet, be it without its route just now."""
        return bridge.owner_of(bridge_name(subnet)) not in ("", self._owner)

    @staticmethod
    def _free_address(subnet: IPv4Network, used: set[str], preferred: str) -> IPv4Address:
        hosts = list(subnet.hosts())[1:]
        first = [IPv4Address(preferred)] if preferred and IPv4Address(preferred) in hosts else []
        for address in [*first, *hosts]:
            if str(address) not in used:
                return address
        raise DriverError(f"all addresses of {subnet} are taken; remove machines or choose another --local-subnet")

    def _sweep(self, state: dict[str, Any]) -> None:
        """Take addresses back from machines whose folder somebody removed by hand."""
        for subnet, leases in list(state["subnets"].items()):
            for machine_id in [key for key in leases if not self._layout.machine(key).directory.exists()]:
                del leases[machine_id]
            self._drop_if_empty(state, subnet)

    def _drop_if_empty(self, state: dict[str, Any], subnet: str) -> None:
        if not state["subnets"][subnet]:
            bridge.remove(bridge_name(IPv4Network(subnet)), self._owner)
            del state["subnets"][subnet]


def routes() -> list[IPv4Network]:
    """The networks this computer has IPv4 routes to, the default route aside."""
    found = []
    for route in json.loads(host.run(["ip", "-json", "-4", "route", "show", "table", "main"]).stdout or "[]"):
        try:
            network = IPv4Network(route["dst"])
        except (KeyError, ValueError):  # "default", and kinds such as "unreachable"
            continue
        if network.prefixlen:
            found.append(network)
    return found


def _require_way_to(lease: Lease) -> None:
    """Raise `DriverError` when a route that has come since leads elsewhere; a wider one gives way to the bridge's."""
    for network in routes():
        if lease.address in network and network.prefixlen >= lease.subnet.prefixlen:
            raise DriverError(
                f"the machine's address {lease.address} is in {network}, which something else uses by now",
                hint=f"see who has it: ip route show {network}",
            )


def spread(lease: Lease) -> int:
    """A number that differs between neighbours, to spread machines over the CPUs."""
    return int(lease.address) ^ zlib.crc32(str(lease.subnet).encode())
