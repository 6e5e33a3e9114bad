"""Limits, capabilities, security options, ports, signals: what is accepted and with which words refused."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import limits, ports, security, signals
from pymachine.engine.containers.problems import Problems
from pymachine.engine.network.base import PortBinding
from pymachine.engine.runtime.spec import Rlimit

MIB = 2**20


def problems_of(host: dict[str, Any]) -> str:
    problems = Problems()
    limits.check(host, problems)
    try:
        problems.check()
    except InvalidArgument as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"Memory": 5 * MIB}, "Minimum memory limit allowed is 6MB"),
        ({"MemorySwap": 5}, "always set the Memory limit"),
        ({"Memory": 8 * MIB, "MemorySwap": 7 * MIB}, "should be larger than memory limit"),
        ({"Memory": 8 * MIB, "MemoryReservation": 9 * MIB}, "less than memory reservation"),
        ({"NanoCpus": 10**15}, "Range of CPUs is from 0.01 to"),
        ({"NanoCpus": 10**9, "CpuQuota": 5000}, "Conflicting options"),
        ({"CpuPeriod": 5}, "cfs period"),
        ({"CpuQuota": 5}, "cfs quota"),
        ({"CpusetCpus": "4096"}, "Requested CPUs are not available"),
        ({"CpusetCpus": "x"}, "Invalid value x"),
        ({"BlkioWeight": 5}, "10 to 1000"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 5}]}, "/dev/null: not a block device"),
        ({"BlkioDeviceWriteIOps": [{"Path": "/nowhere", "Rate": 5}]}, "/nowhere: no such file or directory"),
        ({"BlkioWeightDevice": [{"Path": "", "Weight": 50}]}, "without a path"),
        ({"OomScoreAdj": 2000}, "oom score adj"),
        ({"Ulimits": [{"Name": "x", "Soft": 1, "Hard": 1}]}, "invalid ulimit type: x"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}, "less than or equal to hard limit"),
    ],
)
def test_refused_limits(host: dict[str, Any], text: str) -> None:
    assert text in problems_of(host)


def test_sane_limits() -> None:
    host = {"Memory": 8 * MIB, "MemorySwap": -1, "CpusetCpus": "0", "NanoCpus": 5 * 10**8, "PidsLimit": -1}
    assert problems_of(host) == ""
    found = limits.resources(host)
    assert (found.memory, found.memory_swap, found.pids_limit) == (8 * MIB, -1, -1)
    assert (found.cpu_period, found.cpu_quota) == (100_000, 50_000)


def test_swap_is_as_much_again_by_default() -> None:
    assert limits.resources({"Memory": 8 * MIB}).memory_swap == 16 * MIB
    assert limits.resources({}).memory_swap == 0


def test_ulimits_over_the_daemons() -> None:
    found = limits.rlimits([{"Name": "nofile", "Soft": 5, "Hard": -1}], {"nofile": (1, 1), "core": (0, 0)})
    assert found == (Rlimit("nofile", 5, -1), Rlimit("core", 0, 0))


def test_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "possible", lambda: security.ALL)

    def caps(add: list[str], drop: list[str], *, privileged: bool = False) -> set[str]:
        return set(security.capabilities(add, drop, privileged=privileged))

    usual = set(security.DEFAULT)
    assert caps([], []) == usual
    assert caps(["net_admin"], ["CAP_CHOWN"]) == usual - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}
    assert caps([], ["ALL"]) == set()
    assert caps(["kill"], ["all"]) == {"CAP_KILL"}
    assert caps(["ALL"], ["SYS_ADMIN"]) == set(security.ALL) - {"CAP_SYS_ADMIN"}
    assert caps([], [], privileged=True) == set(security.ALL)


def test_no_capability_beyond_the_daemons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "possible", lambda: ("CAP_KILL",))
    assert security.capabilities(["ALL"], [], privileged=False) == ("CAP_KILL",)


def test_security_options() -> None:
    found = security.options(
        ["seccomp=unconfined", "no-new-privileges", "label=disable", "apparmor=unconfined", "systempaths=unconfined"],
        privileged=False,
    )
    assert found == security.Security("unconfined", True, True)
    assert security.options(["no-new-privileges:false"], privileged=False).no_new_privileges is False
    assert security.options([], privileged=True).seccomp == "unconfined"
    assert security.options(['seccomp={"defaultAction": "SCMP_ACT_ALLOW"}'], privileged=False).seccomp[0] == "{"
    assert security.paths({"Privileged": True}, found) == ((), ())
    assert security.paths({"MaskedPaths": []}, security.Security())[0] == ()


@pytest.mark.parametrize("option", ["seccomp={", "apparmor=mine", "nonsense=1", "no-new-privileges=perhaps"])
def test_refused_security_options(option: str) -> None:
    with pytest.raises(InvalidArgument):
        security.options([option], privileged=False)


def test_ports() -> None:
    config: dict[str, Any] = {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}
    host = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {}]}, "PublishAllPorts": True}
    assert ports.bindings(config, host) == [
        PortBinding(80, "tcp", "127.0.0.1", 8080), PortBinding(80, "tcp"), PortBinding(53, "udp"),
    ]  # fmt: skip
    ranged = {"PortBindings": {"80": [{"HostPort": "10-12"}], "81": [{"HostPort": "20"}]}}
    found = [[binding.host_port for binding in choice] for choice in ports.choices({}, ranged)]
    assert found == [[10, 20], [11, 20], [12, 20]]


@pytest.mark.parametrize(
    "bindings", [{"0/tcp": []}, {"80/xyz": []}, {"80": [{"HostPort": "x"}]}, {"80": [{"HostPort": "9-8"}]},
                 {"80": [{"HostIp": "x"}]}, {"80": 5}, {"80": [5]}, {"80": [{"HostPort": "70000"}]}]
)  # fmt: skip
def test_malformed_ports(bindings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        ports.bindings({}, {"PortBindings": bindings})


@pytest.mark.parametrize(("text", "number"), [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("sighup", 1), ("RTMIN+1", 35)])
def test_signals(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["0", "65", "NOPE", "", "-9", "RTMAX+1"])
def test_unknown_signals(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        signals.parse(text)


def test_more_cpus_than_there_are_name_the_number() -> None:
    count = os.cpu_count()
    assert f"only {count} CPUs available" in problems_of({"NanoCpus": 10**15})
