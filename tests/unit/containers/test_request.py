"""Create requests: hostile ones are refused whole, with every problem named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import request
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
