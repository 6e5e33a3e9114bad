"""Addresses and subnets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.network.config import DEFAULT_POOLS
from pymachine.engine.network.ipam import AddressPool, first_host, free_subnet, mac_of

POOLS = [(IPv4Network(base), size) for base, size in DEFAULT_POOLS]


def pool(subnet: str = "10.0.0.0/29", range_: str = "") -> AddressPool:
    network = IPv4Network(subnet)
    return AddressPool(network, first_host(network), IPv4Network(range_) if range_ else None)


def test_addresses_go_in_turn_and_leave_gateway_and_broadcast_out() -> None:
    addresses = pool()
    assert [addresses.take() for _ in range(5)] == [f"10.0.0.{n}" for n in range(2, 7)]


def test_a_freed_address_is_not_the_next() -> None:
    addresses = pool()
    addresses.give_back(addresses.take())
    assert addresses.take() == "10.0.0.3"


def test_an_exhausted_pool_says_so_and_recovers() -> None:
    addresses = pool()
    for _ in range(5):
        addresses.take()
    with pytest.raises(EngineError, match="no available IPv4 addresses"):
        addresses.take()
    addresses.give_back("10.0.0.4")
    assert addresses.take() == "10.0.0.4"


def test_a_range_bounds_what_is_given_but_not_what_may_be_asked_for() -> None:
    addresses = pool("10.0.0.0/24", "10.0.0.128/30")
    assert [addresses.take() for _ in range(4)] == [f"10.0.0.{n}" for n in range(128, 132)]
    assert addresses.take("10.0.0.9") == "10.0.0.9"


@pytest.mark.parametrize("wanted", ["10.0.1.1", "nonsense", "::1"])
def test_a_wanted_address_must_be_of_the_subnet(wanted: str) -> None:
    with pytest.raises(InvalidArgument):
        pool().take(wanted)


@pytest.mark.parametrize("wanted", ["10.0.0.0", "10.0.0.1", "10.0.0.7"])
def test_network_gateway_and_broadcast_cannot_be_had(wanted: str) -> None:
    with pytest.raises(EngineError, match="in use"):
        pool().take(wanted)


def test_what_live_containers_hold_is_not_given_again() -> None:
    addresses = pool()
    addresses.adopt("10.0.0.3")
    addresses.adopt("192.0.2.1")
    assert [addresses.take() for _ in range(4)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]


def test_reserved_addresses_are_kept_out() -> None:
    addresses = pool()
    addresses.reserve(IPv4Address("10.0.0.2"))
    assert addresses.take() == "10.0.0.3"


def test_a_huge_subnet_costs_nothing() -> None:
    addresses = pool("10.0.0.0/8")
    assert addresses.take() == "10.0.0.2"
    assert addresses.take("10.200.0.1") == "10.200.0.1"
    addresses.give_back("10.0.0.2")


def test_the_first_free_pool_is_chosen() -> None:
    assert free_subnet(POOLS, []) == IPv4Network("172.17.0.0/16")
    used = [IPv4Network("172.17.3.0/24"), IPv4Network("172.18.0.1/32")]
    assert free_subnet(POOLS, used) == IPv4Network("172.19.0.0/16")


def test_after_the_172s_come_twentieths_of_192_168() -> None:
    used = [IPv4Network("172.16.0.0/12"), IPv4Network("192.168.1.0/24")]
    assert free_subnet(POOLS, used) == IPv4Network("192.168.16.0/20")


def test_no_free_pool_is_an_error() -> None:
    with pytest.raises(EngineError, match="fully subnetted"):
        free_subnet(POOLS, [IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1")])


def test_the_mac_follows_from_the_address() -> None:
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"
