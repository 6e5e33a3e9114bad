"""Network records: asked for, checked, found, kept."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, NotServed
from pymachine.engine.network.catalog import Catalog, NetworkRequest, read_request
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.records import BRIDGE_MTU, BRIDGE_NAME, NetworkRecord, RecordStore, new_record


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog(RecordStore(tmp_path), NetworkConfig())
    made.load()
    return made


def made(catalog: Catalog, request: NetworkRequest) -> NetworkRecord:
    record = catalog.draft(request, [], set())
    catalog.keep(record)
    return record


def test_the_predefined_networks_are_always_there_with_the_same_ids(catalog: Catalog, tmp_path: Path) -> None:
    again = Catalog(RecordStore(tmp_path), NetworkConfig())
    again.load()
    assert {r.name: r.driver for r in again.all()} == {"bridge": "bridge", "host": "host", "none": "null"}
    assert {r.id for r in again.all()} == {r.id for r in catalog.all()}


def test_a_network_gets_the_first_free_subnet(catalog: Catalog) -> None:
    record = catalog.draft(NetworkRequest("a"), [IPv4Network("172.17.0.0/16")], set())
    assert (record.subnet, record.gateway) == ("172.18.0.0/16", "172.18.0.1")
    assert record.bridge == f"br-{record.id[:12]}"


def test_found_by_id_name_and_beginning(catalog: Catalog) -> None:
    record = made(catalog, NetworkRequest("a"))
    assert catalog.find(record.id) == catalog.find("a") == catalog.find(record.id[:10]) == record
    with pytest.raises(NotFound, match="network z not found"):
        catalog.find("z")


def test_an_ambiguous_beginning_is_refused(catalog: Catalog) -> None:
    for name in ("x", "y"):
        record = new_record(name, "bridge")
        record.id = f"abc{'0' * 60}{name == 'x':d}"
        catalog.keep(record)
    with pytest.raises(InvalidArgument, match=r"ambiguous \(2 matches"):
        catalog.find("abc")


def test_names_are_unique_and_predefined_ones_taken(catalog: Catalog) -> None:
    made(catalog, NetworkRequest("a"))
    with pytest.raises(Conflict, match="network with name a already exists"):
        catalog.draft(NetworkRequest("a"), [], set())
    with pytest.raises(Forbidden, match="predefined host network"):
        catalog.draft(NetworkRequest("host"), [], set())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (NetworkRequest(""), InvalidArgument),
        (NetworkRequest("a/b"), InvalidArgument),
        (NetworkRequest("a", driver="overlay"), NotServed),
        (NetworkRequest("a", subnet="fd00::/64"), InvalidArgument),
        (NetworkRequest("a", subnet="10.0.0.0/31"), InvalidArgument),
        (NetworkRequest("a", subnet="10.0.0.0/24", gateway="10.0.1.1"), InvalidArgument),
        (NetworkRequest("a", subnet="10.0.0.0/24", ip_range="10.0.1.0/25"), InvalidArgument),
        (NetworkRequest("a", gateway="10.0.0.1"), InvalidArgument),
        (NetworkRequest("a", options={BRIDGE_MTU: "abc"}), InvalidArgument),
        (NetworkRequest("a", options={BRIDGE_NAME: "../x"}), InvalidArgument),
        (NetworkRequest("a", options={BRIDGE_NAME: "eth0"}), InvalidArgument),
    ],
)
def test_what_cannot_be_is_refused(catalog: Catalog, request_: NetworkRequest, error: type[EngineError]) -> None:
    with pytest.raises(error):
        catalog.draft(request_, [], {"eth0"})


def test_subnets_may_not_overlap(catalog: Catalog) -> None:
    made(catalog, NetworkRequest("a", subnet="10.0.0.0/16"))
    with pytest.raises(Forbidden, match="Pool overlaps"):
        catalog.draft(NetworkRequest("b", subnet="10.0.3.0/24"), [], set())


def test_a_damaged_record_hides_no_other(catalog: Catalog, tmp_path: Path) -> None:
    record = made(catalog, NetworkRequest("a"))
    (tmp_path / "broken.json").write_text('{"version": 1')
    (tmp_path / "future.json").write_text('{"version": 99}')
    assert record.id in {found.id for found in RecordStore(tmp_path).load()}


def test_the_apis_request_is_read() -> None:
    body = {
        "Name": "a",
        "CheckDuplicate": True,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.0/25"}]},
        "Internal": True,
        "Labels": {"x": ""},
        "Options": None,
    }
    request = read_request(body)
    assert (request.subnet, request.ip_range, request.internal) == ("10.0.0.0/24", "10.0.0.0/25", True)
    assert (request.driver, request.labels, request.options) == ("bridge", {"x": ""}, {})


@pytest.mark.parametrize(
    "body",
    [
        {"Name": 3},
        {"Name": "a", "IPAM": ["x"]},
        {"Name": "a", "IPAM": {"Config": {"Subnet": "10.0.0.0/24"}}},
        {"Name": "a", "IPAM": {"Config": [1]}},
        {"Name": "a", "Labels": {"a": 1}},
        {"Name": "a", "EnableIPv6": True},
        {"Name": "a", "IPAM": {"Driver": "other"}},
        {"Name": "a", "ConfigFrom": {"Network": "x"}},
    ],
)
def test_malformed_requests_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises((InvalidArgument, NotServed)):
        read_request(body)
