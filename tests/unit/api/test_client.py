"""The Python interface: what is public, what it does, and what it tells."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pymachine
from pymachine import Client, Event, MachineError, Message, Stage, follow
from pymachine.drivers import registry
from pymachine.machine import events
from pymachine.machine.errors import DriverError, MachineExists, MachineNotFound, MissingRequirement
from pymachine.machine.operations.report import Report, reporting
from support.fakedriver import FakeDriver, World
from support.program import environment
from support.records import record

URL = {"url": "tcp://127.0.0.1:1"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The fake driver, installed under its name."""
    real = registry.load
    monkeypatch.setattr(registry, "load", lambda name: FakeDriver if name == "fake" else real(name))
    monkeypatch.setattr(FakeDriver, "world", World())
    return FakeDriver.world


@pytest.fixture
def client(tmp_path: Path, world: World) -> Client:
    """A client of an empty store, deaf to this process's environment."""
    return Client(tmp_path / "store", environ={"DOCKER_CONFIG": str(tmp_path / "docker")})


def test_every_public_name_is_there() -> None:
    """What `__all__` lists can be imported, and nothing else is offered."""
    assert pymachine.__all__ == sorted(pymachine.__all__)
    assert set(pymachine.__all__) - {"__version__"} == set(pymachine._HOMES)
    for name in pymachine.__all__:
        assert getattr(pymachine, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        getattr(pymachine, "Clinet")  # noqa: B009


def test_modules_list_what_they_offer() -> None:
    """Each public name is in its own module's `__all__`, where that has one."""
    for name, home in pymachine._HOMES.items():
        module = importlib.import_module(f"pymachine.machine.{home}")
        assert name in getattr(module, "__all__", [name])
        assert getattr(module, name).__module__ == module.__name__
    assert events.__all__ == sorted(events.__all__, key=lambda name: (name.islower(), name))


def test_naming_the_package_imports_nothing() -> None:
    """``import pymachine`` costs next to nothing, and a client's import no library of others."""
    code = "import sys; import pymachine; a = len([m for m in sys.modules if m.startswith('pymachine')]); "
    code += "from pymachine import Client; heavy = {'click', 'jinja2', 'paramiko', 'cryptography', 'docker'}; "
    code += "print(a, heavy & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout == "1 set()\n"


def test_a_client_makes_nothing_until_something_is_made(tmp_path: Path) -> None:
    client = Client(str(tmp_path / "store"), environ={})
    assert (client.names(), client.list(), client.damaged(), client.observe()) == ([], [], [], [])
    assert not (tmp_path / "store").exists()


def test_the_environment_says_where_the_store_is(tmp_path: Path) -> None:
    client = Client(environ={"MACHINE_STORAGE_PATH": str(tmp_path / "elsewhere")})
    client.store.create(record("web"))
    assert (tmp_path / "elsewhere/machines/web/record.json").exists()


def test_create_get_list_remove(client: Client) -> None:
    made = client.create("web", "none", options=URL)
    assert made.url() == URL["url"]
    assert client.get("web").record == made.record
    assert [machine.name for machine in client.list()] == ["web"]
    with pytest.raises(MachineExists):
        client.create("web", "none", options=URL)
    client.remove(made)
    with pytest.raises(MachineNotFound):
        client.get("web")


def test_options_come_from_the_clients_environment(tmp_path: Path, world: World) -> None:
    """As on the command line, and only from the environment that the client was given."""
    client = Client(tmp_path / "store", environ={"FAKE_SIZE": "7", "DOCKER_CONFIG": str(tmp_path)})
    assert client.create("a", "fake").record.options == {"size": 7}
    assert client.create("b", "fake", options={"size": 3}).record.options == {"size": 3}


def test_machines_by_name_or_by_object(client: Client, world: World) -> None:
    web = client.create("web", "fake")
    client.stop(web)
    client.start("web")
    client.kill("web")
    client.restart(web)
    assert world.calls == ["check", "create", "stop", "start", "kill", "start"]
    assert web.state() == "Running"
    with pytest.raises(MachineNotFound):
        client.stop("nobody")


def test_events_have_a_machine_and_a_kind(client: Client) -> None:
    seen: list[Event] = []
    client.create("web", "fake")
    client.stop("web", on_event=seen.append)
    assert seen == [Stage("web", 'Stopping "web"...'), Message("web", 'Machine "web" was stopped.')]


def test_what_a_callback_raises_ends_the_operation(client: Client) -> None:
    def refuse(event: Event) -> None:
        raise ZeroDivisionError

    client.create("web", "fake")
    with pytest.raises(ZeroDivisionError):
        client.stop("web", on_event=refuse)
    client.stop("web")  # its lease has ended


def test_following_an_operation(client: Client) -> None:
    """All events, then the result; iterating again finds the end."""
    progress = follow(client.create, "web", "fake")
    texts = [event.text for event in progress]
    assert "Creating machine..." in texts
    assert progress.result().name == "web"
    assert list(progress) == []


def test_following_an_operation_that_fails(client: Client, world: World) -> None:
    world.failing["create"] = DriverError("the host has caught fire")
    progress = follow(client.create, "web", "fake")
    assert [event for event in progress if isinstance(event, Stage)]
    with pytest.raises(DriverError, match="caught fire") as caught:
        progress.result()
    assert "Run the same create again" in caught.value.__notes__[0]


def test_events_become_a_report_again() -> None:
    """Through events and back, a report hears what it would have heard itself."""
    heard: list[tuple[str, str]] = []

    class Ear:
        def stage(self, text: str) -> None:
            heard.append(("stage", text))

        def note(self, text: str) -> None:
            heard.append(("note", text))

        def say(self, text: str) -> None:
            heard.append(("say", text))

        def warn(self, text: str) -> None:
            heard.append(("warn", text))

    report: Report = reporting("web", events.relay(Ear()))
    report.stage("a")
    report.note("b")
    report.say("c")
    report.warn("d")
    assert heard == [("stage", "a"), ("note", "b"), ("say", "c"), ("warn", "d")]
    assert {kind.__name__ for kind in Event.__subclasses__()} == {"Stage", "Note", "Message", "Warned"}


def test_observing_tells_what_is_wrong(client: Client) -> None:
    client.create("web", "none", options=URL)
    rows = client.observe(timeout=5)
    assert [(row.name, row.state) for row in rows] == [("web", "Running")]
    assert "cannot be reached" in rows[0].error


def test_docker_py_must_be_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker.tls", None)
    with pytest.raises(MissingRequirement, match="docker-py is not installed"):
        client.docker_client_kwargs("web")


def test_a_connection_is_checked(client: Client) -> None:
    client.create("web", "none", options=URL)
    with pytest.raises(MachineError, match="cannot be reached"):
        client.environment("web")


def test_damaged_records_are_told_apart(client: Client) -> None:
    client.create("web", "none", options=URL)
    client.create("bad", "none", options=URL)
    (client.store.machine_dir("bad") / "record.json").write_text("{")
    assert [machine.name for machine in client.list()] == ["web"]
    assert [(item.name, "cut short" in item.reason) for item in client.damaged()] == [("bad", True)]
    client.remove("bad", force=True)
    assert client.names() == ["web"]


def commands() -> Iterator[Path]:
    """The command line's modules whose operations a client has."""
    here = Path(pymachine.__file__).parent / "machine/cli"
    yield from (here / f"{name}.py" for name in ("lifecycle", "provisioning", "removing", "create", "environment"))


def test_the_command_line_works_through_the_client() -> None:
    """No command calls such an operation past it."""
    for path in commands():
        text = path.read_text()
        for module in ("start", "stop", "restart", "remove", "provision", "observe"):
            assert f"operations.{module} import" not in text, path
        assert "import connect\n" not in text, path
