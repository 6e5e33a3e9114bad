"""Addresses: one `AddressPool` a network, and the choice of free subnets.

A pool lives in memory. What is taken is no more than what live containers hold, so it is rebuilt from them
when the daemon starts, and no crash can leak an address.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from pymachine.dockerapi.errors import EngineError, InvalidArgument


class AddressPool:
    """The addresses of one subnet, as a bitmap; handed out in turn, so that a freed one is not soon re-used
    (clients keep ARP entries and connections to the container that had it)."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address | None, range_: IPv4Network | None = None) -> None:
        within = range_ or subnet
        self.subnet = subnet
        self._base = int(subnet.network_address)
        self._first = int(within.network_address) - self._base
        self._last = int(within.broadcast_address) - self._base
        small = subnet.prefixlen >= 12
        self._bits: bytearray | _Sparse = bytearray((subnet.num_addresses + 7) // 8) if small else _Sparse()
        self._next = self._first
        for reserved in _reserved(subnet, gateway):
            self._mark(int(reserved) - self._base)

    def take(self, wanted: str = "") -> str:
        """A free address, or *wanted*; raises `EngineError` when there is none, `InvalidArgument` when *wanted*
        is not an address of the subnet."""
        if wanted:
            return self._take_wanted(wanted)
        for offset in self._candidates():
            if not self._taken(offset):
                self._mark(offset)
                self._next = offset + 1
                return str(IPv4Address(self._base + offset))
        raise EngineError(f"no available IPv4 addresses on this network's address pools: {self.subnet}")

    def adopt(self, address: str) -> None:
        """Note that a live container holds *address* (outside the subnet: nothing to note)."""
        if (value := IPv4Address(address)) in self.subnet:
            offset = int(value) - self._base
            self._mark(offset)
            if self._first <= offset <= self._last:
                self._next = max(self._next, offset + 1)

    def reserve(self, address: IPv4Address) -> None:
        """Never hand *address* out."""
        self._mark(int(address) - self._base)

    def give_back(self, address: str) -> None:
        """Free *address*; fine when it is free."""
        if (value := IPv4Address(address)) in self.subnet:
            offset = int(value) - self._base
            self._bits[offset >> 3] &= ~(1 << (offset & 7)) & 0xFF

    def _candidates(self) -> Iterable[int]:
        start = self._next if self._first <= self._next <= self._last else self._first
        yield from range(start, self._last + 1)
        yield from range(self._first, start)

    def _take_wanted(self, wanted: str) -> str:
        try:
            value = IPv4Address(wanted)
        except ValueError:
            raise InvalidArgument(f"invalid IPv4 address: {wanted}") from None
        if value not in self.subnet:
            raise InvalidArgument(f"no configured subnet contains the IP address {wanted}")
        if self._taken(offset := int(value) - self._base):
            raise EngineError(f"Address already in use: {wanted}")
        self._mark(offset)
        return str(value)

    def _taken(self, offset: int) -> bool:
        return bool(self._bits[offset >> 3] & 1 << (offset & 7))

    def _mark(self, offset: int) -> None:
        self._bits[offset >> 3] |= 1 << (offset & 7)


class _Sparse(dict[int, int]):
    """The bitmap of a huge subnet (a /8 would be 2 MiB): only the bytes in use."""

    def __missing__(self, key: int) -> int:
        return 0


def _reserved(subnet: IPv4Network, gateway: IPv4Address | None) -> list[IPv4Address]:
    reserved = [gateway] if gateway is not None else []
    if subnet.prefixlen < 31:
        reserved += [subnet.network_address, subnet.broadcast_address]
    return reserved


def free_subnet(pools: Iterable[tuple[IPv4Network, int]], used: Iterable[IPv4Network]) -> IPv4Network:
    """The first network of *pools* that overlaps none of *used*; raises `EngineError` when all do."""
    taken = list(used)
    for base, size in pools:
        relevant = [other for other in taken if other.overlaps(base)]
        for candidate in base.subnets(new_prefix=max(size, base.prefixlen)):
            if not any(candidate.overlaps(other) for other in relevant):
                return candidate
    raise EngineError("all predefined address pools have been fully subnetted")


def first_host(subnet: IPv4Network) -> IPv4Address:
    """The address that is the gateway's when none is asked for."""
    return subnet.network_address + (1 if subnet.prefixlen < 31 else 0)


def mac_of(address: str) -> str:
    """Docker's MAC for an IPv4 address: ``02:42`` and its four bytes. Equal addresses, equal MACs, so that
    a re-used address needs no ARP entry to time out."""
    return "02:42:" + IPv4Address(address).packed.hex(":")
