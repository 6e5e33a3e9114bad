"""Contexts follow their machines."""

from pathlib import Path

import pytest

from pymachine.machine.context import upkeep
from pymachine.machine.context.dockerstore import DockerContexts
from pymachine.machine.errors import CertificateError, InvalidOption
from pymachine.machine.machine import Machine
from pymachine.store.file import FileStore
from support.records import record


class Warnings:
    """A report that keeps what the user should act on."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, text: str) -> None:
        """Nothing."""

    note = say = stage

    def warn(self, text: str) -> None:
        """Kept."""
        self.lines.append(text)


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DockerContexts:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv(upkeep.WISH, raising=False)
    return DockerContexts(tmp_path / "docker")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    store = FileStore(tmp_path / "store")
    store.create(record("web"))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (store.machine_dir("web") / name).write_text(name)
    return Machine.load(store, "web")


@pytest.mark.parametrize(
    ("machine", "context"), [("web", "web"), ("default", "machine-default"), ("m", "machine-m"), ("a.b-c", "a.b-c")]
)
def test_names_that_docker_allows(machine: str, context: str) -> None:
    assert upkeep.context_name(machine) == context


def test_nothing_is_made_that_nobody_asked_for(machine: Machine, contexts: DockerContexts) -> None:
    upkeep.keep(machine, "tcp://10.0.0.1:2376", Warnings())

    assert not contexts.directory.exists()


def test_the_environment_asks_for_all(
    machine: Machine, contexts: DockerContexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(upkeep.WISH, "tls")
    upkeep.keep(machine, "tcp://10.0.0.1:2376", Warnings())

    found = contexts.find(machine.record.id)
    assert found
    assert (found.name, found.host, found.kind) == ("web", "tcp://10.0.0.1:2376", "tls")


def test_a_new_address_and_new_certificates_arrive(machine: Machine, contexts: DockerContexts) -> None:
    upkeep.make(machine, "tcp://10.0.0.1:2376", "tls", contexts)
    (machine.directory / "cert.pem").write_text("renewed")
    upkeep.keep(machine, "tcp://10.0.0.9:2376", Warnings())

    found = contexts.find(machine.record.id)
    assert found
    assert found.host == "tcp://10.0.0.9:2376"
    (certificate,) = contexts.directory.glob("contexts/tls/*/docker/cert.pem")
    assert certificate.read_text() == "renewed"


def test_a_renamed_machine_takes_its_context_along(machine: Machine, contexts: DockerContexts, tmp_path: Path) -> None:
    upkeep.make(machine, "tcp://10.0.0.1:2376", "tls", contexts)
    contexts.use("web")
    store = FileStore(tmp_path / "other")
    store.create(record("shop", id=machine.record.id))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (store.machine_dir("shop") / name).write_text(name)
    upkeep.keep(Machine.load(store, "shop"), "tcp://10.0.0.1:2376", Warnings())

    assert [context.name for context in contexts.ours()] == ["shop"]
    assert contexts.current() == "shop"


def test_an_engine_without_tls_is_reached_as_it_is(machine: Machine, contexts: DockerContexts) -> None:
    made = upkeep.make(machine, "unix:///run/docker.sock", "tls", contexts)

    assert (made.host, made.kind) == ("unix:///run/docker.sock", "plain")
    assert list(contexts.directory.glob("contexts/tls/*")) == []


def test_missing_certificates_are_an_error_with_the_remedy(machine: Machine, contexts: DockerContexts) -> None:
    (machine.directory / "key.pem").unlink()

    with pytest.raises(CertificateError, match=r"key\.pem") as caught:
        upkeep.make(machine, "tcp://10.0.0.1:2376", "tls", contexts)
    assert "regenerate-certs web" in caught.value.hint


def test_upkeep_that_fails_is_a_warning(
    machine: Machine, contexts: DockerContexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is well: its start must not fail because of a context."""
    warnings = Warnings()
    upkeep.make(machine, "tcp://10.0.0.1:2376", "tls", contexts)
    (machine.directory / "key.pem").unlink()
    upkeep.keep(machine, "tcp://10.0.0.2:2376", warnings)

    assert ['The docker context of "web" is not up to date' in line for line in warnings.lines] == [True]


def test_a_wish_that_is_none(machine: Machine, contexts: DockerContexts, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidOption, match="MACHINE_DOCKER_CONTEXT"):
        upkeep.wanted_kind({upkeep.WISH: "yes"})


def test_forgetting(machine: Machine, contexts: DockerContexts) -> None:
    upkeep.make(machine, "tcp://10.0.0.1:2376", "tls", contexts)

    assert upkeep.forget(machine)
    assert not upkeep.forget(machine)
    assert list(contexts.ours()) == []
