"""docker-machine's store, in all versions of its config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.errors import MachineError
from pymachine.store.base import Damaged
from pymachine.store.dockermachine import FoundMachine, read_machines

DRIVER = {"IPAddress": "192.0.2.7", "SSHUser": "me", "SSHPort": 2222, "SSHKeyPath": "/gone/id_rsa"}
V3 = {
    "ConfigVersion": 3,
    "Driver": {**DRIVER, "StorePath": "/home/me/.docker/machine"},
    "DriverName": "generic",
    "HostOptions": {
        "EngineOptions": {"Labels": ["a=b"], "Env": None},
        "SwarmOptions": {"Master": True, "Discovery": "token://x"},
        "AuthOptions": {"ServerCertSANs": ["web.example"]},
    },
    "Name": "other",
}
V0 = {
    "DriverName": "generic",
    "Driver": DRIVER,
    "HostOptions": None,
    "SwarmHost": "tcp://0.0.0.0:3376",
    "SwarmMaster": True,
    "SwarmDiscovery": "token://x",
    "CaCertPath": "/x/ca.pem",
}


def machine(root: Path, name: str, config: Any, files: tuple[str, ...] = ()) -> None:
    directory = root / "machines" / name
    directory.mkdir(parents=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (directory / "config.json").write_text(text)
    for file in files:
        (directory / file).write_text(f"{name} {file}")


def one(root: Path) -> FoundMachine:
    (found,) = read_machines(root)
    assert isinstance(found, FoundMachine)
    return found


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_with_host_options(tmp_path: Path, version: int) -> None:
    machine(tmp_path, "web", {**V3, "ConfigVersion": version})
    found = one(tmp_path)

    assert (found.name, found.driver) == ("web", "generic")
    assert (found.text("IPAddress"), found.number("SSHPort")) == ("192.0.2.7", 2222)
    assert found.engine["Labels"] == ["a=b"]
    assert found.swarm == {"Master": True, "Discovery": "token://x"}
    assert found.sans == ("web.example",)


def test_version_0_has_the_swarm_beside(tmp_path: Path) -> None:
    machine(tmp_path, "web", V0)

    assert one(tmp_path).swarm == {"Host": "tcp://0.0.0.0:3376", "Master": True, "Discovery": "token://x"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({**V3, "ConfigVersion": 4}, "has version 4"),
        ({**V3, "ConfigVersion": "x"}, "no version"),
        ("{", "damaged"),
        ("[]", "not an object"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_what_cannot_be_read_is_said_and_hides_no_other(tmp_path: Path, config: Any, reason: str) -> None:
    machine(tmp_path, "a", config)
    machine(tmp_path, "b", V3)
    damaged, good = read_machines(tmp_path)

    assert isinstance(damaged, Damaged)
    assert reason in damaged.reason
    assert isinstance(good, FoundMachine)


def test_values_of_the_wrong_kind_are_as_good_as_missing(tmp_path: Path) -> None:
    machine(tmp_path, "web", {"ConfigVersion": 3, "Driver": [], "DriverName": 7, "HostOptions": {"AuthOptions": 1}})
    found = one(tmp_path)

    assert (found.text("IPAddress"), found.number("SSHPort"), found.sans, found.ssh_key()) == ("", 0, (), None)


def test_certificates_are_the_machines_own_or_all_the_stores(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem", "ca-key.pem"):
        (tmp_path / "certs" / name).write_text(f"shared {name}")
    machine(tmp_path, "own", V3, ("ca.pem", "cert.pem", "key.pem", "server.pem", "server-key.pem"))
    machine(tmp_path, "part", V3, ("ca.pem",))
    own, part = (found for found in read_machines(tmp_path) if isinstance(found, FoundMachine))

    assert own.certificates["server-key.pem"] == b"own server-key.pem"
    assert part.certificates == {name: f"shared {name}".encode() for name in ("ca.pem", "cert.pem", "key.pem")}


def test_the_key_of_a_store_that_was_moved_is_found(tmp_path: Path) -> None:
    machine(tmp_path, "web", V3, ("id_rsa",))

    assert one(tmp_path).ssh_key() == tmp_path / "machines" / "web" / "id_rsa"


def test_a_directory_that_is_no_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no docker-machine store"):
        list(read_machines(tmp_path))
