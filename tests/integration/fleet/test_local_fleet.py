"""Fleets of real hosts: made by a file, changed, renamed, handed to another store, and gone when their time is over.

The tests go on from one another: each host costs seconds.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from pymachine.machine.certs.glance import glance
from support.busybox import rootfs_tar
from support.localprogram import left_of
from support.machines import Machine
from support.program import Program

pytestmark = pytest.mark.root

FLEET = """
fleet: test
defaults:
  driver: local
machines:
  solo:
    engine: {labels: [role=solo]}
  web:
    count: 1
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    path.write_text(FLEET)
    return path


@pytest.fixture(scope="module")
def second(local: Program) -> Program:
    """A second store on the same computer, with a CA of its own."""
    other = Program(local.store.with_name("second"), local.env)
    other.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "first")
    return other


def container(machine: Machine) -> str:
    """The id and start of the one container that runs there."""
    return machine.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", "stays")


def provisioned(program: Program, name: str) -> dict[str, object]:
    document = json.loads(program.ok("inspect", name))
    assert isinstance(document["Pymachine"]["Provisioned"], dict)
    return document["Pymachine"]["Provisioned"]


def test_apply_makes_all_machines_and_then_has_nothing_to_do(local: Program, file: Path) -> None:
    made = local.ok("apply", "-y", "--max-parallel", "2", "-f", str(file))
    again = local.ok("apply", "-f", str(file))

    assert "2 to create, 0 to change, 0 to remove, 0 unchanged." in made
    assert "web-1: Docker is up and running!" in made
    assert "0 to create, 0 to change, 0 to remove, 2 unchanged." in again
    rows = json.loads(local.ok("ls", "--format", "json"))
    assert [(row["Name"], row["State"], row["Error"]) for row in rows] == [
        ("solo", "Running", ""),
        ("web-1", "Running", ""),
    ]


def test_a_changed_label_changes_the_engine_and_keeps_containers(local: Program, file: Path) -> None:
    machine = Machine(local, "solo")
    local_import(machine)
    machine.docker("run", "-d", "--name", "stays", "busybox", "sleep", "3600")
    before = container(machine)
    file.write_text(FLEET.replace("role=solo", "role=first"))

    shown = local.ok("apply", "-y", "-f", str(file))

    assert "~ solo: change (engine.labels: role=solo → role=first)" in shown
    assert "role=first" in machine.docker("info", "--format", "{{json .Labels}}")
    assert container(machine) == before


def test_a_renamed_machine_is_the_same_under_its_new_name(local: Program, tmp_path: Path) -> None:
    config = {"DOCKER_CONFIG": str(tmp_path)}
    local.ok("use", "solo", env=config)
    before = container(Machine(local, "solo"))
    identity = json.loads(local.ok("inspect", "solo"))["Pymachine"]["Id"]

    local.ok("rename", "solo", "prime", env=config)

    contexts = json.loads(local.ok("context", "ls", "--format", "json", env=config))
    assert [(row["Machine"], row["Context"], row["Current"]) for row in contexts if row["Context"]] == [
        ("prime", "prime", True)
    ]
    machine = Machine(local, "prime")
    assert json.loads(local.ok("inspect", "prime"))["Pymachine"]["Id"] == identity
    assert "due" not in provisioned(local, "prime")
    assert machine.ssh("hostname") == "prime"
    assert machine.ssh("cat /etc/hostname") == "prime"
    assert machine.docker("info", "--format", "{{.Name}}") == "prime"
    assert container(machine) == before
    assert "prime" in glance(local.store / "machines" / "prime" / "server.pem").names  # type: ignore[union-attr]
    assert local.run("status", "solo").returncode == 1
    assert "solo" not in local.ok("ls", "-q").split()


def test_a_stopped_machine_is_told_its_name_when_it_starts(local: Program) -> None:
    local.ok("stop", "web-1")
    told = local.ok("rename", "web-1", "late")
    assert "Its host is told when it starts next." in told
    assert provisioned(local, "late")["due"]

    local.ok("start", "late")
    assert local.ok("ssh", "late", "hostname") == "late\n"
    assert "due" not in provisioned(local, "late")
    local.ok("rename", "late", "web-1")


def test_an_exported_machine_works_in_another_store_and_in_the_first_one_too(
    local: Program, second: Program, tmp_path: Path
) -> None:
    archive = tmp_path / "prime.pymachine"
    secret = {"MACHINE_PASSPHRASE": "correct horse"}
    local.ok("export", "-e", "-o", str(archive), "prime", env=secret)
    second.ok("import", str(archive), "--rename", "prime=theirs", env=secret)
    first, theirs = Machine(local, "prime"), Machine(second, "theirs")

    assert container(theirs) == container(first)
    assert theirs.ssh("hostname") == "prime"
    second.ok("provision", "theirs")
    assert container(theirs) == container(first)
    assert [row["Error"] for row in json.loads(second.ok("ls", "--format", "json")) if row["Name"] == "theirs"] == [""]
    local.ok("provision", "prime")
    assert container(theirs) == container(first)


def test_prune_removes_what_the_fleet_made_and_names_no_more(local: Program, second: Program, file: Path) -> None:
    """The renamed machine is still the fleet's; the imported one in the second store is not."""
    file.write_text("fleet: test\nmachines: {}\n")
    kept = local.ok("apply", "-f", str(file))
    assert "? prime: keep" in kept
    assert "? web-1: keep" in kept
    assert second.ok("apply", "-y", "--prune", "-f", str(file)).splitlines()[1:] == [
        "0 to create, 0 to change, 0 to remove, 0 unchanged."
    ]

    local.ok("apply", "-y", "--prune", "-f", str(file))

    assert local.ok("ls", "-q") == ""
    second.ok("rm", "-f", "theirs")
    assert left_of(local) == []


def test_a_machine_whose_time_is_over_goes_though_nobody_is_there(local: Program) -> None:
    local.ok("create", "--ttl", "12s", "-n", "1", "brief")
    shown = local.ok("ls")
    assert "EXPIRES" in shown.splitlines()[0]

    end = time.monotonic() + 120
    while left_of(local) or any((local.store / "machines").glob("[!.]*")):
        assert time.monotonic() < end, (local.store / "expiry.log").read_text()
        time.sleep(0.5)
    assert "brief-1: removed" in (local.store / "expiry.log").read_text()


def local_import(machine: Machine) -> None:
    """The busybox image."""
    done = subprocess.run(
        ["docker", "import", "-", "busybox:latest"], input=rootfs_tar(), env=machine.docker_env(), capture_output=True
    )
    assert done.returncode == 0, done.stderr
