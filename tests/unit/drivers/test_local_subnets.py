"""Addresses: given once, kept, taken back; subnets free of this computer's routes."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pymachine.drivers.local import bridge, subnets
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.subnets import Leases, bridge_name
from pymachine.machine.errors import DriverError, InvalidOption


class Network:
    """The computer's bridges and routes, without a computer."""

    def __init__(self) -> None:
        self.bridges: set[str] = set()
        self.routes: list[IPv4Network] = []
        self.owners: dict[str, str] = {}

    def ensure(self, name: str, *_: object) -> None:
        self.bridges.add(name)

    def remove(self, name: str, *_: object) -> None:
        self.bridges.discard(name)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Network:
    network = Network()
    monkeypatch.setattr(bridge, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(bridge, "ensure", network.ensure)
    monkeypatch.setattr(bridge, "remove", network.remove)
    monkeypatch.setattr(bridge, "exists", lambda name: name in network.bridges)
    monkeypatch.setattr(bridge, "owner_of", lambda name: network.owners.get(name, ""))
    monkeypatch.setattr(subnets, "routes", lambda: network.routes)
    return network


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "root", tmp_path / "images")


def add(layout: Layout, machine_id: str) -> str:
    layout.machine(machine_id).directory.mkdir(parents=True)
    return machine_id


def test_each_machine_has_its_own_address_and_keeps_it(network: Network, layout: Layout) -> None:
    """Asked again, the lease is the same; the gateway is never given away."""
    leases = Leases(layout)
    first = leases.acquire(add(layout, "a"), None)
    second = leases.acquire(add(layout, "b"), None)
    assert (str(first.gateway), str(first.address), str(second.address)) == ("10.99.0.1", "10.99.0.2", "10.99.0.3")
    assert leases.acquire("a", None) == first == Leases(layout).find("a")


def test_a_subnet_with_the_bridge_of_another_root_is_passed_over(network: Network, layout: Layout) -> None:
    """Also when no route leads there."""
    network.owners[bridge_name(IPv4Network("10.99.0.0/24"))] = "/somebody/elses"
    assert str(Leases(layout).acquire(add(layout, "a"), None).address) == "10.99.1.2"


def test_the_last_machine_takes_the_bridge_with_it(network: Network, layout: Layout) -> None:
    """Not an earlier one; the subnet stays the default for the next."""
    leases = Leases(layout)
    for name in "ab":
        leases.acquire(add(layout, name), None)
    leases.release("a")
    assert len(network.bridges) == 1
    leases.release("b")
    leases.release("b")
    assert network.bridges == set()
    assert str(leases.acquire("a", None).address) == "10.99.0.2"


def test_the_default_subnet_keeps_clear_of_routes(network: Network, layout: Layout) -> None:
    """The first free one is taken and remembered; when a route takes it while nobody is there, another one."""
    network.routes = [IPv4Network("10.99.0.0/23")]
    leases = Leases(layout)
    assert str(leases.acquire(add(layout, "a"), None).subnet) == "10.99.2.0/24"
    network.routes = []
    assert str(leases.acquire(add(layout, "b"), None).subnet) == "10.99.2.0/24"
    for name in "ab":
        leases.release(name)
    network.routes = [IPv4Network("10.99.2.0/24")]
    assert str(leases.acquire("a", None).subnet) == "10.99.0.0/24"


def test_a_wanted_subnet_that_overlaps_is_refused(network: Network, layout: Layout) -> None:
    """With a route of the computer, or with another subnet of ours; the very same subnet is shared."""
    leases = Leases(layout)
    leases.acquire(add(layout, "a"), IPv4Network("10.5.0.0/24"))
    network.routes = [IPv4Network("10.5.0.0/24"), IPv4Network("192.168.1.0/24")]
    assert str(leases.acquire(add(layout, "b"), IPv4Network("10.5.0.0/24")).address) == "10.5.0.3"
    for wanted in ("10.5.0.0/25", "192.168.0.0/16"):
        assert "overlaps" in leases.check(IPv4Network(wanted))
        with pytest.raises(InvalidOption, match="overlaps"):
            leases.acquire(add(layout, f"c{wanted[:2]}"), IPv4Network(wanted))


@pytest.mark.parametrize(
    ("route", "in_the_way"),
    [("10.99.0.0/24", True), ("10.99.0.2/32", True), ("10.99.0.128/25", False), ("10.0.0.0/8", False)],
)
def test_a_route_that_has_come_since(network: Network, layout: Layout, route: str, in_the_way: bool) -> None:
    """While the machine was off and this computer booted; a wider one, as VPNs have, is none in the way."""
    leases = Leases(layout)
    lease = leases.acquire(add(layout, "a"), None)
    network.routes = [IPv4Network(route)]
    assert leases.acquire("a", None) == lease  # its bridge is there
    network.bridges.clear()
    if not in_the_way:
        assert leases.acquire("a", None) == lease
        return
    with pytest.raises(DriverError, match=rf"the machine's address 10\.99\.0\.2 is in {route}, which") as caught:
        leases.acquire("a", None)
    assert caught.value.hint == f"see who has it: ip route show {route}"


def test_a_full_subnet(network: Network, layout: Layout) -> None:
    """A /29 has five addresses for machines; the sixth machine is told."""
    leases = Leases(layout)
    wanted = IPv4Network("10.5.0.0/29")
    for number in range(5):
        leases.acquire(add(layout, f"m{number}"), wanted)
    with pytest.raises(DriverError, match=r"all addresses of 10\.5\.0\.0/29 are taken"):
        leases.acquire(add(layout, "m5"), wanted)
    layout.machine("m3").directory.rmdir()
    assert str(leases.acquire("m5", wanted).address) == "10.5.0.5"


def test_the_former_address_is_given_again_if_it_is_free(network: Network, layout: Layout) -> None:
    """For a machine whose lease was lost with the state file."""
    leases = Leases(layout)
    assert str(leases.acquire(add(layout, "a"), None, "10.99.0.77").address) == "10.99.0.77"
    assert str(leases.acquire(add(layout, "b"), None, "10.99.0.77").address) == "10.99.0.2"
    assert str(leases.acquire(add(layout, "c"), None, "10.1.0.1").address) == "10.99.0.3"


def test_a_damaged_state_file_is_as_none(network: Network, layout: Layout) -> None:
    """Machines get their addresses again by asking."""
    layout.network.mkdir(parents=True)
    (layout.network / "state.json").write_text("{")
    assert str(Leases(layout).acquire(add(layout, "a"), None).address) == "10.99.0.2"


def test_bridge_names_fit_an_interface() -> None:
    """15 bytes, and different for different subnets."""
    names = {bridge_name(IPv4Network(text)) for text in ("10.0.0.0/16", "10.0.0.0/24", "192.168.255.0/24")}
    assert len(names) == 3
    assert all(len(name) <= 15 for name in names)
