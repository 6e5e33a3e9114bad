"""What ``ls``, ``active``, ``inspect`` and the like tell of machines, damaged ones too."""

import json
import socket

import pytest

from support.fleet import REFUSED
from support.program import Program


def test_the_list_shows_every_machine_a_damaged_one_too(filled: Program) -> None:
    rows = {line.split()[0]: line for line in filled.ok("ls").splitlines()[1:]}

    assert list(rows) == ["broken", "h1", "h2"]
    assert rows["h1"].split()[:5] == ["h1", "-", "none", "Running", REFUSED]
    assert "Unknown" in rows["h1"]
    assert rows["broken"].split()[:5] == ["broken", "-", "not", "found", "Error"]


def test_the_list_as_json(filled: Program) -> None:
    rows = {row["Name"]: row for row in json.loads(filled.ok("ls", "--format", "json"))}

    assert rows["h1"]["URL"] == REFUSED
    assert rows["h1"]["Labels"] == ["role=web"]
    assert rows["broken"]["State"] == "Error"
    assert rows["broken"]["Error"]


def test_the_active_machine(filled: Program) -> None:
    env = {"DOCKER_HOST": REFUSED}
    active = [row["Name"] for row in json.loads(filled.ok("ls", "--format", "json", env=env)) if row["Active"] == "*"]

    assert active == ["h1"]
    assert filled.ok("active", env=env) == "h1\n"
    done = filled.run("active")
    assert (done.returncode, done.stderr) == (1, "No active host found\n")
    assert filled.run("active", "x").stderr == "Error: Too many arguments given\n"


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (("name=h",), "h1\nh2\n"),
        (("label=role=WEB",), "h1\n"),
        (("driver=none", "name=2$"), "h2\n"),
        (("state=Running",), "h1\nh2\n"),
        (("state=Error",), "broken\n"),
        (("state=Stopped",), ""),
    ],
)
def test_filters(filled: Program, filters: tuple[str, ...], names: str) -> None:
    args = [part for text in filters for part in ("--filter", text)]

    assert filled.ok("ls", "-q", *args) == names


def test_filters_that_are_wrong(filled: Program) -> None:
    assert filled.run("ls", "--filter", "zzz=1").stderr == "Unsupported filter key 'zzz'\n"
    assert filled.run("ls", "--filter", "x").stderr == "Unsupported filter syntax\n"


def test_a_machine_that_never_answers_is_a_row(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program.ok("create", "-d", "none", "--url", f"tcp://127.0.0.1:{silent.getsockname()[1]}", "mute")
        program.ok("create", "-d", "none", "--url", REFUSED, "refusing")
        rows = {row["Name"]: row for row in json.loads(program.ok("ls", "-t", "0.5", "--format", "json"))}

    assert rows["mute"]["State"] == "Timeout" or "does not answer" in rows["mute"]["Error"]
    assert rows["refusing"]["State"] == "Running"
    assert program.run("ls", "-t", "nan").returncode == 2


def test_facts_of_a_machine(filled: Program) -> None:
    assert filled.ok("url", "h1") == f"{REFUSED}\n"
    assert filled.ok("status", "h1") == "Running\n"
    assert filled.ok("ip", "h1", "h2").splitlines()[0].startswith("127.0.0.1")


def test_inspect_has_docker_machines_shape(filled: Program) -> None:
    text = filled.ok("inspect", "h1")
    shown = json.loads(text)

    assert text.startswith('{\n    "ConfigVersion": 3,\n    "Driver": {\n        "')
    assert (shown["DriverName"], shown["Name"]) == ("none", "h1")
    assert shown["Driver"]["MachineName"] == "h1"
    assert shown["Driver"]["URL"] == REFUSED
    assert shown["Driver"]["StorePath"] == str(filled.store)
    assert set(shown["HostOptions"]) == {"Driver", "Memory", "Disk", "EngineOptions", "SwarmOptions", "AuthOptions"}
    assert shown["HostOptions"]["AuthOptions"]["StorePath"] == str(filled.store / "machines" / "h1")
