"""What a plan finds to be done, by the records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import RecordDamaged
from pymachine.machine.fleet.document import Fleet
from pymachine.machine.fleet.plan import Plan, make_plan
from pymachine.machine.operations.create import Request
from pymachine.store.file import FileStore
from support.records import record

URL = "tcp://10.0.0.1:2376"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def made(name: str = "web", **changes: Any) -> Any:
    """A record as this fleet's create leaves it."""
    fields = {
        "options": {"url": URL},
        "engine": EngineOptions().to_json(),
        "tls_san": [],
        "phase": "ready",
        "fleet": {"name": "f", "options": ["url"]},
    }
    return record(name, **(fields | changes))


def plan(store: FileStore, *requests: Request, prune: bool = False) -> Plan:
    return make_plan(store, Fleet("f", Path("f.yaml"), requests), prune=prune)


def wanted(name: str = "web", **changes: Any) -> Request:
    return Request(**({"name": name, "driver": "none", "options": {"url": URL}} | changes))


def only(found: Plan) -> tuple[str, tuple[str, ...]]:
    (step,) = found.steps
    return step.verb, step.reasons


def test_a_part_in_a_cluster_is_changed(store: FileStore) -> None:
    store.create(made())
    assert only(plan(store, wanted(swarm=SwarmOptions(master=True, opts=("a=b",))))) == (
        "change",
        ("swarm.master: False → True", "swarm.opts: (none) → a=b"),
    )
    member = store.load("web")
    member.swarm = SwarmOptions(agent=True).to_json()
    store.save(member)
    assert only(plan(store, wanted(swarm=SwarmOptions(agent=True))))[0] == "unchanged"


def test_a_missing_machine_is_made(store: FileStore) -> None:
    assert only(plan(store, wanted())) == ("create", ("driver none",))
    assert not store.root.joinpath("machines").exists()


def test_a_machine_as_wanted_is_left_alone(store: FileStore) -> None:
    store.create(made())
    found = plan(store, wanted())

    assert only(found) == ("unchanged", ())
    assert found.idle
    assert found.summary == "0 to create, 0 to change, 0 to remove, 1 unchanged."


def test_engine_and_certificate_settings_are_changed(store: FileStore) -> None:
    store.create(made(engine=EngineOptions(labels=("a=b",), install_url="ignored").to_json(), tls_san=["x", "y"]))

    assert only(plan(store, wanted(engine=EngineOptions(labels=("a=b",)), tls_san=("y", "x"))))[0] == "unchanged"
    assert only(plan(store, wanted(engine=EngineOptions(labels=("a=c",)), tls_san=("y",), key_type="rsa"))) == (
        "change",
        ("engine.labels: a=b → a=c", "tls-san: x, y → y", "tls-key-type: (none) → rsa"),
    )


def test_values_that_may_be_secret_are_not_shown(store: FileStore) -> None:
    store.create(made())
    found = plan(store, wanted(engine=EngineOptions(env=("TOKEN=abc",), registry_mirrors=("https://me:pw@x.example",))))

    assert only(found)[1] == ("engine.env differs", "engine.registry-mirrors: (none) → https://me:***@x.example")


def test_another_host_is_needed_for_other_options_and_drivers(store: FileStore) -> None:
    store.create(made())

    assert only(plan(store, wanted(options={"url": "tcp://x:1"}))) == (
        "replace",
        (f"options.url: {URL} → tcp://x:1",),
    )
    assert only(plan(store, wanted(driver="local", options={}))) == ("replace", ("driver: none → local",))


def test_an_option_that_the_fleet_no_longer_gives_counts_and_one_it_never_gave_does_not(store: FileStore) -> None:
    store.create(made(driver="local", options={"cpus": 2, "memory": "2g"}, fleet={"name": "f", "options": ["cpus"]}))

    verb, reasons = only(plan(store, wanted(driver="local", options={})))
    assert verb == "replace"
    assert [reason.split(":")[0] for reason in reasons] == ["options.cpus"]


def test_unfinished_machines_are_finished_first(store: FileStore) -> None:
    store.create(made(phase="creating"))
    assert only(plan(store, wanted())) == ("create", ("goes on where it stopped",))
    assert only(plan(store, wanted(tls_san=("x",))))[0] == "replace"

    store.save(made(phase="removing"))
    assert only(plan(store, wanted()))[0] == "create"

    store.save(made(provisioned={"due": "the machine was renamed"}))
    assert only(plan(store, wanted())) == ("change", ("the machine was renamed",))


def test_only_what_the_fleet_made_is_pruned_and_only_on_request(store: FileStore) -> None:
    store.create(made("old"))
    store.create(record("mine"))
    store.create(record("others", fleet={"name": "g"}))
    (store.machine_dir("hurt") / "record.json").write_text("{")

    assert only(plan(store)) == ("keep", ("the fleet does not name it any more; --prune removes it",))
    assert plan(store).idle
    assert only(plan(store, prune=True)) == ("remove", ())


def test_a_machine_whose_record_cannot_be_used_stops_all(store: FileStore) -> None:
    (store.machine_dir("web") / "record.json").write_text("{")
    with pytest.raises(RecordDamaged):
        plan(store, wanted())
