"""After a start: the certificate follows the address; the wait for the engine ends, one way or the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.base import Features
from pymachine.machine.certs import check
from pymachine.machine.certs.check import EngineVersion
from pymachine.machine.certs.server import issue_server, server_certificate_fits
from pymachine.machine.errors import CertificateError, DeadlineExceeded, MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Silent
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.store.file import FileStore
from support.fakedriver import World
from support.nohost import Sent

QUIET = Silent()


@pytest.fixture
def machine(store: FileStore, world: World) -> Machine:
    machine = create(store, Request("m", "fake", tls_san=("extra.example",)), QUIET)
    issue_server(store, "m", [world.address], ["extra.example"])
    return machine


def reach(machine: Machine) -> None:
    converge.reach(machine, machine.driver(), QUIET, Deadline(5))


def test_nothing_is_provisioned_while_the_certificate_fits(machine: Machine, sent: list[Sent]) -> None:
    reach(machine)

    assert sent == []
    assert machine.store.load("m").provisioned["engine_version"] == "1.2"


def test_a_new_address_gets_a_new_certificate(machine: Machine, sent: list[Sent], world: World) -> None:
    world.address = "10.0.0.3"
    world.provisions = True
    reach(machine)

    assert len(sent) == 1
    assert sent[0].plan.tls.cert == machine.directory / "server.pem"
    assert server_certificate_fits(machine.directory, ["10.0.0.3", "extra.example"]) == ""


@pytest.mark.parametrize("lost", ["ca.pem", "cert.pem", "key.pem"])
def test_the_clients_files_are_completed(machine: Machine, sent: list[Sent], lost: str) -> None:
    """A create that was killed may have made the server certificate and no more."""
    server = (machine.directory / "server.pem").read_bytes()
    wanted = (machine.directory / lost).read_bytes()
    (machine.directory / lost).unlink()
    converge.provision(machine, machine.driver(), QUIET, Deadline(5))

    assert (machine.directory / lost).read_bytes() == wanted
    assert lost == "ca.pem" or (machine.directory / "server.pem").read_bytes() == server


def test_certificates_that_do_not_fit_are_not_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, directory: Path, timeout: float) -> EngineVersion:
        raise CertificateError("there is no cert.pem", hint="do this")

    monkeypatch.setattr(check, "check_engine", refuse)
    monkeypatch.setattr(converge, "CERTIFICATE_GRACE", -1.0)
    with pytest.raises(CertificateError, match="there is no cert.pem") as caught:
        converge.wait_for_engine(machine, machine.driver(), QUIET, Deadline(5))
    assert caught.value.hint == "do this"


def test_provisioning_keeps_a_certificate_that_fits(machine: Machine, sent: list[Sent]) -> None:
    before = (machine.directory / "server.pem").read_bytes()
    converge.provision(machine, machine.driver(), QUIET, Deadline(5))
    assert (machine.directory / "server.pem").read_bytes() == before
    assert machine.store.load("m").provisioned["release"] == "digest"

    converge.rotate(machine, machine.driver(), QUIET, Deadline(5), renew=True)
    assert (machine.directory / "server.pem").read_bytes() != before


def test_another_ca_makes_the_certificate_misfit(machine: Machine, store: FileStore, tmp_path: Path) -> None:
    other = FileStore(tmp_path / "other")
    issue_server(other, "m", ["10.0.0.2"], [])
    (store.certs_dir() / "ca.pem").write_bytes((other.certs_dir() / "ca.pem").read_bytes())

    assert converge.certificate_misfit(machine, ["10.0.0.2"])


def test_an_engine_that_never_answers_is_given_up_with_the_last_reason(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str, directory: Path, timeout: float) -> EngineVersion:
        raise MachineError("connection refused")

    monkeypatch.setattr(check, "check_engine", refuse)
    monkeypatch.setattr(converge, "PAUSE", 0.0)
    ticks = iter(range(100))
    deadline = Deadline(5, clock=lambda: float(next(ticks)))
    with pytest.raises(DeadlineExceeded, match="while checking the connection to Docker: connection refused") as caught:
        converge.wait_for_engine(machine, machine.driver(), QUIET, deadline)

    assert caught.value.hint == 'See "pymachine logs m".'


def test_an_engine_out_of_reach_behind_a_jump_host_is_not_waited_for_to_the_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str, directory: Path, timeout: float) -> EngineVersion:
        raise MachineError("the engine cannot be reached")

    driver = machine.driver()
    monkeypatch.setattr(check, "check_engine", refuse)
    monkeypatch.setattr(converge, "PROXY_GRACE", -1.0)
    monkeypatch.setattr(type(driver), "features", Features())
    monkeypatch.setattr(driver, "ssh_endpoint", lambda: SSHEndpoint("h", proxy_command="ssh -W %h:%p hop"))
    with pytest.raises(MachineError, match="cannot be reached, while its host is reached by SSH through") as caught:
        converge.wait_for_engine(machine, driver, QUIET, Deadline(5))

    assert "MACHINE_DOCKER_CONTEXT=ssh" in caught.value.hint
