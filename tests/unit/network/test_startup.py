"""The default bridge's subnet, settled at each start."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.network.catalog import Catalog
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.records import NetworkRecord, RecordStore
from pymachine.engine.network.startup import pool_of, settle_default_bridge
from pymachine.engine.network.wiring import HostView

EMPTY = HostView([], {}, {}, set())


def settled(folder: Path, view: HostView = EMPTY, **options: str) -> NetworkRecord:
    config = NetworkConfig(bridge="t0", **options)  # type: ignore[arg-type]
    catalog = Catalog(RecordStore(folder), config)
    catalog.load()
    settle_default_bridge(catalog, config, view)
    return catalog.default


def test_a_free_subnet_is_chosen_and_kept(tmp_path: Path) -> None:
    """The second start keeps it, though an earlier one of the pools is free by now."""
    busy = HostView([IPv4Network("172.17.5.0/24")], {}, {}, set())
    first = settled(tmp_path, busy)
    assert (first.subnet, first.gateway, first.found_bridge) == ("172.18.0.0/16", "172.18.0.1", False)
    again = settled(tmp_path)
    assert (again.id, again.subnet) == (first.id, first.subnet)


def test_a_subnet_that_the_host_uses_by_now_is_given_up(tmp_path: Path) -> None:
    settled(tmp_path)
    busy = HostView([IPv4Network("172.17.0.0/24")], {}, {}, set())
    assert settled(tmp_path, busy).subnet == "172.18.0.0/16"


def test_bip_decides(tmp_path: Path) -> None:
    record = settled(tmp_path, bip="10.9.0.1/24", fixed_cidr="10.9.0.128/25")
    assert (record.subnet, record.gateway, record.ip_range) == ("10.9.0.0/24", "10.9.0.1", "10.9.0.128/25")
    assert pool_of(record).take() == "10.9.0.128"


def test_the_administrators_bridge_keeps_its_address_and_is_not_ours(tmp_path: Path) -> None:
    view = HostView([], {"t0": [IPv4Interface("10.8.0.1/24")]}, {}, set())
    record = settled(tmp_path, view)
    assert (record.subnet, record.gateway, record.found_bridge) == ("10.8.0.0/24", "10.8.0.1", True)


def test_our_own_bridge_of_an_earlier_start_is_ours(tmp_path: Path) -> None:
    first = settled(tmp_path)
    view = HostView([], {"t0": [first.interface]}, {}, set())
    assert not settled(tmp_path, view).found_bridge


@pytest.mark.parametrize(
    "options",
    [{"bip": "10.9.0.0/24"}, {"bip": "x"}, {"fixed_cidr": "10.9.0.0/24"}, {"fixed_cidr": "x"}],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        settled(tmp_path, EMPTY, **options)


def test_a_link_that_is_no_bridge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no bridge"):
        settled(tmp_path, HostView([], {}, {}, {"t0"}))
