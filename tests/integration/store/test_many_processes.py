"""The store under many processes at once, and under processes that are killed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.machine.errors import StoreBusy
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.processes import Crew, crew, wait_for_line
from support.records import record

HEAD = """
import sys
from pathlib import Path
from pymachine.store.base import Record
from pymachine.store.file import FileStore
store = FileStore(Path(sys.argv[1]))
def record(name, **more):
    return Record(name, f"id-of-{name}", "none", "2026-01-01T00:00:00Z", **more)
def gate():
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def team() -> Iterator[Crew]:
    with crew() as members:
        yield members


def run_together(team: Crew, program: str, root: Path, count: int) -> list[tuple[str, str]]:
    """Start *count* processes, let them all go at the same moment; what each printed, output and error."""
    members = [team.start(HEAD + program, root, number) for number in range(count)]
    for member in members:
        assert wait_for_line(member) == "ready"
    for member in members:
        assert member.stdin is not None
        member.stdin.write("\n")
        member.stdin.flush()
    return [member.communicate(timeout=120) for member in members]


def test_twenty_first_creates_at_once_make_one_store_one_authority_and_twenty_records(
    team: Crew, tmp_path: Path
) -> None:
    program = """
from pymachine.machine.certs.authority import bootstrap
gate()
said = []
bootstrap(store, said.append)
with store.lease(f"m{sys.argv[2]}", "create"):
    store.journal(f"m{sys.argv[2]}").begin("create", number=sys.argv[2])
    store.create(record(f"m{sys.argv[2]}"))
import json
print(json.dumps([store.id, (store.certs_dir() / "ca.pem").read_text(), said]))
"""
    root = tmp_path / "deep" / "store"
    results = [json.loads(output) for output, _ in run_together(team, program, root, 20)]

    assert len({(store_id, authority) for store_id, authority, _ in results}) == 1
    assert sorted(len(said) for _, _, said in results) == [0] * 19 + [2]
    store = FileStore(root)
    assert store.id == results[0][0]
    assert sorted(store.names()) == sorted(f"m{number}" for number in range(20))
    assert all(isinstance(item, Record) for item in store.load_all())
    assert [store.journal(f"m{number}").facts() for number in range(20)] == [{"number": str(n)} for n in range(20)]
    assert [path.name for path in root.rglob(".*")] == []


def test_one_of_twenty_gets_the_name(team: Crew, tmp_path: Path) -> None:
    program = """
from pymachine.machine.errors import MachineExists
gate()
try:
    store.create(record("web", extra={"by": sys.argv[2]}))
    print("made")
except MachineExists as error:
    print(error)
"""
    outputs = sorted(output.strip() for output, _ in run_together(team, program, tmp_path, 20))

    assert outputs == ['Docker machine "web" already exists'] * 19 + ["made"]
    assert FileStore(tmp_path).load("web").name == "web"


def test_creating_and_deleting_the_same_name_at_once_ends_clean(team: Crew, tmp_path: Path) -> None:
    program = """
from pymachine.machine.errors import MachineExists
gate()
for _ in range(50):
    try:
        store.create(record("web"))
    except MachineExists:
        pass
    store.delete("web")
"""
    results = run_together(team, program, tmp_path, 4)

    assert [error for _, error in results] == [""] * 4
    assert FileStore(tmp_path).names() == []
    assert list((tmp_path / "machines").iterdir()) == []


def test_a_killed_writer_never_leaves_a_bad_record(team: Crew, tmp_path: Path) -> None:
    program = """
r = record("web", options={"filler": "x" * 50000})
try:
    store.create(r)
except Exception:
    pass
print("going", flush=True)
number = 0
while True:
    number += 1
    r.resources = {"number": number}
    store.save(r)
    store.journal("web").complete(f"step{number}", number=number)
"""
    store, chance, seen = FileStore(tmp_path), random.Random(1), 0
    for _ in range(15):
        writer = team.start(HEAD + program, tmp_path)
        wait_for_line(writer)
        end = time.monotonic() + chance.uniform(0.005, 0.05)
        while time.monotonic() < end:
            assert len(store.load("web").options["filler"]) == 50000, "a reader saw half a record"
        writer.kill()
        writer.communicate()
        loaded = store.load("web")
        assert loaded.id == "id-of-web"
        seen += bool(loaded.resources)
        facts = store.journal("web").facts()
        assert not facts or store.journal("web").done(f"step{facts['number']}")

    assert seen
    store.delete("web")
    assert list((tmp_path / "machines").iterdir()) == []


def test_a_killed_creator_leaves_a_whole_record_or_none(team: Crew, tmp_path: Path) -> None:
    program = """
print("going", flush=True)
number = 0
while True:
    number += 1
    store.create(record(f"m{number}"))
    if number % 3 == 0:
        store.delete(f"m{number}")
"""
    chance = random.Random(2)
    for turn in range(8):
        root = tmp_path / str(turn)
        creator = team.start(HEAD + program, root)
        wait_for_line(creator)
        time.sleep(chance.uniform(0.001, 0.03))
        creator.kill()
        creator.communicate()
        assert all(isinstance(item, Record) for item in FileStore(root).load_all())


def test_a_lease_ends_with_its_holder(team: Crew, tmp_path: Path) -> None:
    program = """
with store.lease("web", "create"):
    gate()
"""
    holder = team.start(HEAD + program, tmp_path)
    wait_for_line(holder)
    store = FileStore(tmp_path)
    with pytest.raises(StoreBusy, match=rf"process {holder.pid} on .* \(create\)"), store.lease("web", "rm"):
        pass

    holder.kill()
    holder.communicate()
    with store.lease("web", "rm", wait=10):
        pass


def test_authority_making_killed_midway_is_finished_by_the_next(team: Crew, tmp_path: Path) -> None:
    program = """
import os
from pymachine.machine.certs import files
from pymachine.machine.certs.authority import bootstrap
count, real = 0, files.replace_file
def dying(path, content, **more):
    global count
    real(path, content, **more)
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
files.replace_file = dying
bootstrap(store, print)
"""
    from pymachine.machine.certs.authority import bootstrap, ca_files, client_files, weakness

    for step in range(1, 7):
        root = tmp_path / str(step)
        victim = team.start(HEAD + program, root, step)
        victim.communicate(timeout=60)
        assert victim.returncode == -9
        store = FileStore(root)
        bootstrap(store, lambda text: None)
        ca, client = ca_files(store.certs_dir()).load(), client_files(store.certs_dir()).load()
        assert ca is not None
        assert client is not None
        assert weakness(ca) == weakness(client, ca) == ""
        assert sorted(path.name for path in store.certs_dir().iterdir()) == [
            "ca-key.pem",
            "ca.pem",
            "cert.pem",
            "key.pem",
        ]


def test_a_thousand_machines_are_all_loaded(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(1000):
        store.create(record(f"m{number:04}"))

    assert [item.name for item in store.load_all()] == [f"m{number:04}" for number in range(1000)]
