"""``/volumes`` as clients see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotFound
from pymachine.dockerapi.routing import Router
from pymachine.engine.api.volumes import volume_routes
from pymachine.engine.events import EventBus
from pymachine.engine.volumes.service import VolumeService
from support.routecalls import RouteCaller


@pytest.fixture
def service(tmp_path: Path) -> VolumeService:
    return VolumeService(tmp_path, EventBus())


@pytest.fixture
def api(service: VolumeService) -> RouteCaller:
    router = Router()
    router.add(*volume_routes(service))
    return RouteCaller(router)


def test_a_volume_is_made_inspected_and_removed(api: RouteCaller) -> None:
    made = api("POST", "/volumes/create", {"Name": "data", "Labels": {"a": "b"}, "Driver": "local"})
    assert (made["Name"], made["Driver"], made["Scope"], made["Labels"]) == ("data", "local", "local", {"a": "b"})
    assert Path(made["Mountpoint"]).is_dir()
    assert api("POST", "/volumes/create", {"Name": "data"}) == made
    assert api("GET", "/volumes/data") == made
    assert api("DELETE", "/volumes/data") == 204
    with pytest.raises(NotFound, match="get data: no such volume"):
        api("DELETE", "/volumes/data")
    assert api("DELETE", "/volumes/data", force="1") == 204


def test_a_volume_without_a_name_gets_one(api: RouteCaller) -> None:
    made = api("POST", "/volumes/create")
    assert len(made["Name"]) == 64
    assert made["Labels"] == {"com.docker.volume.anonymous": ""}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"Name": "../x"}, InvalidArgument),
        ({"Name": 5}, InvalidArgument),
        ({"Name": "data", "Labels": ["x"]}, InvalidArgument),
        ({"Name": "data", "DriverOpts": {"a": 1}}, InvalidArgument),
        ({"Name": "data", "Driver": "nfs"}, NotFound),
    ],
)
def test_what_cannot_be_is_refused(api: RouteCaller, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        api("POST", "/volumes/create", body)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"web", "db"}),
        ({"name": ["w"]}, {"web"}),
        ({"label": ["tier=db"]}, {"db"}),
        ({"dangling": ["true"]}, {"web"}),
        ({"dangling": {"0": True}}, {"db"}),
        ({"driver": ["other"]}, set()),
    ],
)
def test_lists_are_filtered(api: RouteCaller, service: VolumeService, filters: Any, expected: set[str]) -> None:
    for name in ("web", "db"):
        api("POST", "/volumes/create", {"Name": name, "Labels": {"tier": name}})
    service.use("db", "c1")
    found = api("GET", "/volumes", filters=json.dumps(filters))
    assert {volume["Name"] for volume in found["Volumes"]} == expected


def test_prune_takes_anonymous_ones_unless_told_otherwise(api: RouteCaller) -> None:
    api("POST", "/volumes/create", {"Name": "named"})
    anonymous = api("POST", "/volumes/create")["Name"]
    assert api("POST", "/volumes/prune") == {"VolumesDeleted": [anonymous], "SpaceReclaimed": 0}
    assert api("POST", "/volumes/prune", filters='{"all": ["true"]}')["VolumesDeleted"] == ["named"]


def test_prune_takes_all_for_clients_of_old(api: RouteCaller) -> None:
    """Before API 1.42 prune made no difference."""
    api("POST", "/volumes/create", {"Name": "named"})
    assert api("POST", "/volumes/prune", version=(1, 41))["VolumesDeleted"] == ["named"]


def test_a_volume_in_use_stays(api: RouteCaller, service: VolumeService) -> None:
    api("POST", "/volumes/create", {"Name": "data"})
    service.use("data", "c1")
    with pytest.raises(Conflict, match="volume is in use"):
        api("DELETE", "/volumes/data")
