"""Certificates are renewed when somebody uses the machine, in time, once, and only those that are this store's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.certs import authority, issue
from pymachine.machine.certs.files import PairFiles
from pymachine.machine.certs.glance import glance
from pymachine.machine.errors import SSHError
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.renew import reason, refresh
from pymachine.machine.operations.report import Silent
from pymachine.provisioners import converge as provisioning
from pymachine.provisioners.base import Provisioned
from pymachine.provisioners.steps import CERTIFICATE_STEPS
from pymachine.store.file import FileStore
from support.clock import later
from support.fakedriver import World
from support.nohost import Sent

URL = "tcp://10.0.0.2:2376"


class Said(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def machine(store: FileStore, world: World, sent: list[Sent]) -> Machine:
    """A provisioned machine."""
    world.provisions = True
    machine = create(store, Request("m", "fake"), Silent())
    sent.clear()
    return machine


def serials(machine: Machine) -> dict[str, str]:
    paths = [*machine.directory.glob("*.pem"), *machine.store.certs_dir().glob("*.pem")]
    seen = {str(path): glance(path) for path in paths if "key" not in path.name}
    return {path: item.serial for path, item in seen.items() if item}


def test_nothing_is_done_while_all_is_well(machine: Machine, sent: list[Sent], monkeypatch: pytest.MonkeyPatch) -> None:
    before = serials(machine)
    later(monkeypatch, 1096 - 31)
    refresh(machine, URL, Silent())

    assert sent == []
    assert serials(machine) == before


def test_a_month_before_their_end_client_and_server_certificate_are_renewed(
    machine: Machine, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = serials(machine)
    later(monkeypatch, 1096 - 29)
    said = Said()
    refresh(machine, URL, said)
    after = serials(machine)

    assert [item.steps for item in sent] == [CERTIFICATE_STEPS]
    kept = {Path(path).name for path in before if before[path] == after[path]}
    assert kept == {"ca.pem"}
    assert "expires on" in said.lines[0]
    refresh(machine, URL, said)
    assert len(sent) == 1


def test_the_ca_is_renewed_with_its_key_and_brought_to_the_host(
    machine: Machine, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = glance(machine.directory / "ca.pem")
    later(monkeypatch, 3653 - 29)
    refresh(machine, URL, Silent())
    after = glance(machine.directory / "ca.pem")

    assert before is not None
    assert after is not None
    assert after.public_key == before.public_key
    assert [item.steps for item in sent] == [CERTIFICATE_STEPS]
    assert after.serial != before.serial
    assert after == glance(machine.store.certs_dir() / "ca.pem")
    assert reason(machine, "10.0.0.2") == ""


def test_a_ca_renewed_for_another_machine_is_brought_to_this_one(
    machine: Machine, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch, 3653 - 29)
    authority.bootstrap(machine.store, lambda text: None)
    refresh(machine, URL, Silent())
    assert [item.steps for item in sent] == [CERTIFICATE_STEPS]


def test_a_changed_address_is_noticed(machine: Machine, sent: list[Sent], world: World) -> None:
    world.address = "10.0.0.9"
    said = Said()
    refresh(machine, "tcp://10.0.0.9:2376", said)

    assert [item.steps for item in sent] == [CERTIFICATE_STEPS]
    assert "the address has changed to 10.0.0.9" in said.lines[0]
    assert reason(machine, "10.0.0.9") == ""


def test_what_did_not_reach_the_host_is_sent_again(
    machine: Machine, sent: list[Sent], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new certificate is made and stored before the host has it; a crash may fall between."""
    working = provisioning.provision

    def break_off(*args: Any) -> Provisioned:
        raise SSHError("the connection was lost")

    monkeypatch.setattr(provisioning, "provision", break_off)
    world.address = "10.0.0.9"
    said = Said()
    refresh(machine, "tcp://10.0.0.9:2376", said)
    assert said.warnings == ['The certificates of "m" could not be renewed: the connection was lost']

    monkeypatch.setattr(provisioning, "provision", working)
    assert reason(machine, "10.0.0.9") == "the host does not have the newest certificate"
    refresh(machine, "tcp://10.0.0.9:2376", said)
    assert reason(machine, "10.0.0.9") == ""
    assert len(sent) == 1


def test_a_machine_of_another_ca_is_left_alone(
    machine: Machine, sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was imported, or the store's CA was lost: what it has works, and for its other users too."""
    other = FileStore(tmp_path / "other")
    authority.bootstrap(other, lambda text: None)
    for path in other.certs_dir().iterdir():
        (machine.store.certs_dir() / path.name).write_bytes(path.read_bytes())
    before = serials(machine)
    later(monkeypatch, 1096 - 29)
    refresh(machine, URL, Silent())
    converge.provision(machine, machine.driver(), Silent(), Deadline(5))
    authority.bootstrap(machine.store, lambda text: None, renew=True)

    after = serials(machine)
    own = [path for path in before if str(machine.directory) in path]
    assert {path: after[path] for path in own} == {path: before[path] for path in own}
    converge.rotate(machine, machine.driver(), Silent(), Deadline(5), renew=True)
    assert serials(machine)[str(machine.directory / "ca.pem")] == after[str(machine.store.certs_dir() / "ca.pem")]


def test_a_host_that_is_not_provisioned_needs_no_more_than_the_clients_files(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = create(store, Request("m", "fake"), Silent())
    before = serials(machine)
    later(monkeypatch, 1096 - 29)
    refresh(machine, URL, Silent())

    assert reason(machine, "10.0.0.2") == ""
    assert serials(machine)[str(machine.directory / "cert.pem")] != before[str(machine.directory / "cert.pem")]


def test_keys_keep_their_kind(
    store: FileStore, world: World, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.provisions = True
    machine = create(store, Request("m", "fake", key_type="ed25519"), Silent())
    assert store.load("m").tls == {"key_type": "ed25519"}
    later(monkeypatch, 3653 - 29)
    refresh(machine, URL, Silent())

    files = (authority.ca_files(store.certs_dir()), authority.client_files(machine.directory))
    pairs = [item.load() for item in files]
    assert [issue.kind_of(pair.key) for pair in pairs if pair] == ["ed25519", "ed25519"]
    key = machine.directory / "server-key.pem"
    assert issue.kind_of(PairFiles("", machine.directory / "server.pem", key).load().key) == "ed25519"  # type: ignore[union-attr]
