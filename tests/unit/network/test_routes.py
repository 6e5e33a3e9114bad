"""``/networks`` as clients see it, on a controller whose links and rules are left out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import Conflict, Forbidden, InvalidArgument, NotFound
from pymachine.dockerapi.routing import Router
from pymachine.engine.api.networks import network_routes
from pymachine.engine.events import EventBus
from pymachine.engine.network import startup, wiring
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.controller import BridgeController
from pymachine.engine.network.records import NetworkRecord
from support.routecalls import RouteCaller


@pytest.fixture
def referenced() -> set[str]:
    return set()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, referenced: set[str]) -> RouteCaller:
    monkeypatch.setattr(wiring, "look", lambda _: wiring.HostView([], {}, {}, {"eth0"}))
    monkeypatch.setattr(wiring, "delete_links", lambda _: None)
    monkeypatch.setattr(startup, "make_bridges", lambda *_: None)
    config = NetworkConfig(bridge="t0", bip="10.0.0.1/24", iptables=False, ip_forward=False)
    controller = BridgeController(tmp_path / "data", tmp_path / "exec", config, EventBus())
    asyncio.run(controller.start([]))
    router = Router()

    def refers(record: NetworkRecord) -> bool:
        return record.name in referenced

    router.add(*network_routes(controller, refers))
    return RouteCaller(router)


def names(found: list[dict[str, Any]]) -> set[str]:
    return {network["Name"] for network in found}


def test_predefined_networks_are_listed(api: RouteCaller) -> None:
    found = api("GET", "/networks")
    assert names(found) == {"bridge", "host", "none"}
    bridge = next(network for network in found if network["Name"] == "bridge")
    assert bridge["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]
    assert bridge["Options"]["com.docker.network.bridge.name"] == "t0"


def test_a_network_is_made_inspected_and_removed(api: RouteCaller) -> None:
    made = api("POST", "/networks/create", {"Name": "web", "Internal": True, "Labels": {"a": "b"}})
    assert made["Warning"] == ""
    seen = api("GET", "/networks/web")
    assert (seen["Id"], seen["Internal"], seen["Labels"], seen["Containers"]) == (made["Id"], True, {"a": "b"}, {})
    assert seen["IPAM"]["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    with pytest.raises(Conflict, match="network with name web already exists"):
        api("POST", "/networks/create", {"Name": "web"})
    assert api("DELETE", f"/networks/{made['Id'][:12]}") == 204
    with pytest.raises(NotFound):
        api("GET", "/networks/web")


def test_predefined_networks_cannot_be_removed(api: RouteCaller) -> None:
    with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
        api("DELETE", "/networks/bridge")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"type": ["custom"]}, {"web", "db"}),
        ({"type": {"builtin": True}}, {"bridge", "host", "none"}),
        ({"name": ["we"]}, {"web"}),
        ({"label": ["tier=front"]}, {"web"}),
        ({"label": ["tier"]}, {"web", "db"}),
        ({"driver": ["host"]}, {"host"}),
        ({"dangling": ["true"]}, {"web"}),
        ({"scope": ["swarm"]}, set()),
    ],
)
def test_lists_are_filtered(api: RouteCaller, referenced: set[str], filters: Any, expected: set[str]) -> None:
    for name, tier in (("web", "front"), ("db", "back")):
        api("POST", "/networks/create", {"Name": name, "Labels": {"tier": tier}})
    referenced.add("db")
    assert names(api("GET", "/networks", filters=json.dumps(filters))) == expected


def test_an_unknown_filter_is_refused(api: RouteCaller) -> None:
    with pytest.raises(InvalidArgument):
        api("GET", "/networks", filters='{"colour": ["red"]}')


def test_prune_spares_networks_that_containers_are_configured_for(api: RouteCaller, referenced: set[str]) -> None:
    for name in ("web", "db", "new"):
        api("POST", "/networks/create", {"Name": name, "Labels": {"keep": ""} if name == "new" else {}})
    referenced.add("db")
    assert api("POST", "/networks/prune", filters='{"until": ["1h"]}') == {"NetworksDeleted": None}
    assert api("POST", "/networks/prune", filters='{"label!": ["keep"]}') == {"NetworksDeleted": ["web"]}
    assert names(api("GET", "/networks", filters='{"type": ["custom"]}')) == {"db", "new"}
