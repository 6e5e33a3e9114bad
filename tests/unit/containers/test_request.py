"""Create requests: hostile ones are refused whole, with every problem named."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import health, limits, request
from pymachine.engine.containers.options import Options

OPTIONS = Options(Path("/data"), Path("/run"))


def parsed(**host: Any) -> request.CreateRequest:
    return request.parse({"Image": "x", "HostConfig": host}, OPTIONS)


def test_nulls_are_nothing_and_the_request_is_kept_whole() -> None:
    body = {"Image": "x", "Env": None, "Cmd": "word", "Unknown": 1, "HostConfig": {"Binds": None, "Memory": 0}}
    found = request.parse(body, OPTIONS)
    assert found.config == {"Image": "x", "Cmd": ["word"], "Unknown": 1}
    assert found.host_config == {"Memory": 0}
    assert found.whole is body


def test_every_problem_at_once() -> None:
    body = {
        "Env": ["=x"], "WorkingDir": "rel", "StopSignal": "NOPE", "Tty": "yes", "Hostname": "a b",
        "HostConfig": {"Memory": 1, "NetworkMode": 5, "RestartPolicy": {"Name": "maybe"}, "StorageOpt": {"size": "1"}},
    }  # fmt: skip
    with pytest.raises(InvalidArgument) as caught:
        request.parse(body, OPTIONS)
    text = str(caught.value)
    for part in ("no image", "=x", "'rel'", "NOPE", "Config.Tty", "a b", "6MB", "NetworkMode", "maybe", "storage-opt"):
        assert part in text


@pytest.mark.parametrize(
    "host",
    [
        [],
        {"Binds": "x"},
        {"Binds": [1]},
        {"PortBindings": []},
        {"Memory": True},
        {"Memory": 2**70},
        {"Sysctls": {"a": 1}},
        {"Sysctls": {"net..x": "1"}},
        {"Sysctls": {"kernel.panic": "1"}},
        {"PidMode": "nonsense"},
        {"LogConfig": {"Type": "syslog"}},
        {"LogConfig": {"Type": "local", "Config": {"nonsense": "1"}}},
        {"LogConfig": {"Type": "local", "Config": {"max-size": "x"}}},
        {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}},
        {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
        {"AutoRemove": True, "RestartPolicy": {"Name": "always"}},
        {"NetworkMode": "container:x", "PublishAllPorts": True},
        {"NetworkMode": "container:x", "ExtraHosts": ["a:10.0.0.1"]},
        {"NetworkMode": "container:x", "Dns": ["10.0.0.1"]},
        {"NetworkMode": "container:"},
        {"NetworkMode": "host", "Links": ["a:b"]},
        {"Runtime": "nvidia"},
        {"DeviceCgroupRules": ["x"]},
        {"Devices": [{"PathOnHost": "/nonexistent"}]},
        {"CapAdd": ["NOPE"]},
        {"Binds": ["/a\0b:/c"]},
    ],
)
def test_refused(host: Any) -> None:
    with pytest.raises(InvalidArgument):
        request.parse({"Image": "x", "HostConfig": host}, OPTIONS)


def test_defaults_that_inspect_shows() -> None:
    host = request.complete_host(parsed().host_config, OPTIONS)
    assert host["NetworkMode"] == "default"
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["LogConfig"] == {"Type": "local", "Config": {}}
    assert host["ShmSize"] == 64 * 2**20


def test_the_host_name_is_the_short_id_unless_the_host_lends_its_own() -> None:
    config = {"Cmd": ["x"]}
    assert request.complete_config(config, {}, "a" * 64, {})["Hostname"] == "a" * 12
    assert "Hostname" not in request.complete_config(config, {}, "a" * 64, {"NetworkMode": "host"})


def test_a_container_without_a_network_or_names_of_its_own_is_given_none() -> None:
    for mode, given in (
        ({"NetworkMode": "container:x"}, {"Hostname": "own"}),
        ({"UTSMode": "host"}, {"Hostname": "own"}),
        ({"NetworkMode": "container:x"}, {"ExposedPorts": {"80/tcp": {}}}),
        ({"NetworkMode": "host"}, {"MacAddress": "02:42:ac:11:00:02"}),
    ):
        with pytest.raises(InvalidArgument, match="conflicting options"):
            request.parse({"Image": "x", **given, "HostConfig": mode}, OPTIONS)


WHOLE: dict[str, Any] = {
    "Image": "x", "Hostname": "h", "User": "u", "Env": ["A=b"], "Cmd": ["x"], "Entrypoint": ["y"],
    "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "WorkingDir": "/",
    "StopSignal": "TERM", "StopTimeout": 1, "Shell": ["/bin/sh"], "MacAddress": "02:42:ac:11:00:02",
    "Healthcheck": {"Test": ["CMD", "x"], "Interval": 10**9, "Retries": 3},
    "HostConfig": {
        "Binds": ["/a:/b"],
        "Mounts": [
            {"Type": "bind", "Source": "/x", "Target": "/y", "BindOptions": {"Propagation": "private"}},
            {"Type": "volume", "Source": "vv", "Target": "/z", "VolumeOptions": {
                "Labels": {"a": "b"}, "Subpath": "p", "DriverConfig": {"Name": "local", "Options": {"a": "b"}}}},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 100, "Mode": 511}},
        ],
        "Tmpfs": {"/q": "size=1m"}, "VolumesFrom": ["c"], "RestartPolicy": {"Name": "on-failure"},
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]},
        "LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}, "Memory": 10**8, "MemorySwappiness": 10,
        "NanoCpus": 10**9, "CpusetCpus": "0", "PidsLimit": 10, "BlkioWeight": 100, "OomScoreAdj": 1, "ShmSize": 1000,
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "Sysctls": {"net.x": "1"},
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}],
        "DeviceCgroupRules": ["c 1:3 rwm"], "SecurityOpt": ["no-new-privileges"], "CapAdd": ["CHOWN"],
        "Dns": ["1.1.1.1"], "ExtraHosts": ["a:1.1.1.1"], "GroupAdd": ["1"], "Links": ["a:b"], "NetworkMode": "n",
        "PidMode": "host", "CgroupParent": "p", "ConsoleSize": [1, 2], "Init": True,
    },
    "NetworkingConfig": {"EndpointsConfig": {"n": {"Aliases": ["a"]}}},
}  # fmt: skip
WRONG: tuple[Any, ...] = (5, True, "x", "", [5], ["x"], {"x": 5}, 1.5, 2**70, "a\0b", "\ud800")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value in a document, but the document itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def taken(body: dict[str, Any], image: dict[str, Any]) -> bool:
    """Whether all that a create and a start read in *body* can be read; raises whatever is no clear refusal."""
    try:
        found = request.parse(body, OPTIONS)
        host = request.complete_host(found.host_config, OPTIONS)
        config = request.complete_config(found.config, image, "a" * 64, host)
    except InvalidArgument:
        return False
    health.read(config)
    limits.resources(host)
    str(config).encode()
    str(host).encode()
    return True


def test_whatever_is_of_a_wrong_type_is_refused_or_can_be_run() -> None:
    assert taken(WHOLE, {})
    for path in places(WHOLE):
        for wrong in WRONG:
            body = copy.deepcopy(WHOLE)
            inner = body
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
            taken(body, {})


@pytest.mark.parametrize(
    "image",
    [
        [],
        {"Env": 5},
        {"Healthcheck": {"Test": ["CMD", "x"], "Interval": "soon"}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Interval": -5}},
        {"ExposedPorts": {"http": {}}},
        {"Labels": {"a": "\ud800"}},
        {"StopSignal": "NOPE"},
        {"WorkingDir": "relative"},
    ],
)
def test_an_image_whose_configuration_makes_no_sense_is_refused(image: Any) -> None:
    """It would otherwise harm the list of all containers, or the next start of the engine."""
    assert not taken({"Image": "x", "Cmd": ["x"]}, image)
