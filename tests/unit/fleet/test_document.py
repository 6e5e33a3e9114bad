"""Fleet files: what they say, and where they are wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pymachine.machine.config import SwarmOptions
from pymachine.machine.errors import MachineError
from pymachine.machine.fleet.document import Fleet, load_fleet
from pymachine.machine.fleet.section import LARGEST, FleetError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.yaml"


def fleet(path: Path, text: str) -> Fleet:
    path.write_text(text)
    return load_fleet(path, "none")


def problems(path: Path, text: str) -> list[str]:
    with pytest.raises(FleetError) as caught:
        fleet(path, text)
    return str(caught.value).replace(str(path), "F").splitlines()


def test_machines_have_their_own_fields_before_the_defaults(path: Path) -> None:
    found = fleet(
        path,
        """
fleet: web
defaults:
  driver: local
  options: {cpus: 2, memory: 1g}
  engine: {labels: [a=b], env: [X=1]}
  ttl: 2h
  tls-san: common.example
machines:
  db:
  app:
    count: 2
    options: {memory: 512, ssh-user: me}
    engine: {labels: []}
    tls-san: [one.example, two.example]
    tls-key-type: RSA
    ttl: 1d
  ext:
    driver: none
    options: {url: "tcp://192.0.2.1:2376"}
""",
    )
    db, first, second, ext = found.machines

    assert found.name == "web"
    assert [request.name for request in found.machines] == ["db", "app-1", "app-2", "ext"]
    assert db.options == {"cpus": "2", "memory": "1g"}
    assert (db.engine.labels, db.engine.env, db.ttl, db.tls_san) == (("a=b",), ("X=1",), 7200.0, ("common.example",))
    assert first.options == {"cpus": "2", "memory": "512", "ssh_user": "me"}
    assert (first.engine.labels, first.engine.env) == ((), ("X=1",))
    assert (first.tls_san, first.key_type, first.ttl) == (("one.example", "two.example"), "rsa", 86400.0)
    assert (second.options, second.engine) == (first.options, first.engine)
    assert (ext.driver, ext.options) == ("none", {"url": "tcp://192.0.2.1:2376"})


def test_parts_in_a_cluster_are_taken_field_by_field(path: Path) -> None:
    found = fleet(
        path,
        """fleet: web
defaults:
  driver: local
  swarm: {agent: yes, discovery: "etcd://192.0.2.1/cluster", strategy: binpack}
machines:
  head:
    swarm: {master: true, host: "tcp://0.0.0.0:3377", options: [heartbeat=5s], image: other}
  node:
    swarm: {join-options: delay=1s, addr: 192.0.2.7, experimental: on, strategy: random}
  alone:
    swarm: {agent: false}
""",
    )
    head, node, alone = (request.swarm for request in found.machines)
    common = SwarmOptions(agent=True, discovery="etcd://192.0.2.1/cluster", strategy="binpack")

    assert head == dataclasses.replace(
        common, master=True, host="tcp://0.0.0.0:3377", opts=("heartbeat=5s",), image="other"
    )
    assert node == dataclasses.replace(
        common, join_opts=("delay=1s",), addr="192.0.2.7", experimental=True, strategy="random"
    )
    assert alone == dataclasses.replace(common, agent=False)


def test_what_cannot_be_a_part_in_a_cluster_is_told(path: Path) -> None:
    text = """fleet: web
machines:
  a:
    swarm: {master: perhaps, discovery: foo, colour: red, host: "tcp://x", strategy: best, options: [=1]}
"""
    assert problems(path, text) == [
        "F:4: machines.a.swarm.colour: there is no such field; known are agent, master, experimental, image, "
        "discovery, strategy, host, addr, options, join-options",
        "F:4: machines.a.swarm.discovery: Swarm Discovery URL was in the wrong format: foo",
        "F:4: machines.a.swarm.host: 'tcp://x' is not of the form tcp://ADDRESS:PORT",
        "F:4: machines.a.swarm.master: 'perhaps' is not true or false",
        "F:4: machines.a.swarm.options: '=1' has no key",
        "F:4: machines.a.swarm.strategy: 'best' is none of spread, binpack, random",
    ]


def test_every_problem_is_told_with_its_line_and_field(path: Path) -> None:
    text = """flet: web
defaults:
  driver: local
  options: {cpus: many}
machines:
  db:
    options: {memry: 5}
    tls-san: {a: b}
  web:
    count: x
    driver: nope
  we_b:
    engine: {labels: [role], x: 3}
    ttl: 5
    tls-key-type: dsa
  db: {}
  list: [1]
"""
    found = problems(path, text)
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in found] == [
        "F:1 fleet",
        "F:1 flet",
        "F:4 defaults.options.cpus",
        "F:7 machines.db.options.memry",
        "F:8 machines.db.tls-san",
        "F:10 machines.web.count",
        "F:11 machines.web.driver",
        "F:12 machines.we_b",
        "F:13 machines.we_b.engine.labels",
        "F:13 machines.we_b.engine.x",
        "F:14 machines.we_b.ttl",
        "F:15 machines.we_b.tls-key-type",
        "F:16 machines.db",
        "F:17 machines.list",
    ]
    assert "F:16: machines.db: it stands in line 6 already" in found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "F:1: the file is empty"),
        ("fleet: [\n", "F:2: "),
        ("fleet: x\n\tmachines: {}\n", "F:2: "),
        ("fleet: x\n---\nfleet: y\n", "F:2: "),
        ("- x\n", "F:1: this must be fields with values"),
        ("fleet: x\nmachines: {? [a] : b}\n", "F:2: machines: a field's name must be a word"),
        ("fleet: x\nmachines: *nobody\n", "F:2: "),
        ("fleet:\nmachines: {}\n", "F:1: fleet: this must be one value"),
        ("fleet: x\n", "F:1: machines: it is missing"),
        ("fleet: x\nmachines: {a-1: , a: {count: 1}}\n", "F:2: machines.a.count: a-1 is the name of a machine of a-1"),
        ("fleet: x\nmachines: {a: {count: 1001}}\n", "F:2: machines.a.count: '1001' is no number from 0 to 1000"),
        ("fleet: x\nmachines: {a: {<<: {count: 1}}}\n", "F:2: machines.a.<<: there is no such field"),
        (f"fleet: x\nmachines: {'[' * 5000}", "F:"),
    ],
)
def test_what_is_no_fleet_is_refused_with_a_line(path: Path, text: str, line: str) -> None:
    assert any(problem.startswith(line) for problem in problems(path, text)), problems(path, text)


def test_tags_make_no_objects(path: Path) -> None:
    assert problems(path, "fleet: !!python/object/apply:os.system ['true']\nmachines: {}\n") == [
        "F:1: fleet: this must be one value"
    ]


def test_a_bomb_of_aliases_is_a_problem_of_its_field(path: Path) -> None:
    lines = ["fleet: x", "a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    lines += ["machines: {m: {tls-san: *a29}}"]

    assert any("machines.m.tls-san: this must be a list of values" in line for line in problems(path, "\n".join(lines)))


def test_scalars_are_the_text_that_stands_there(path: Path) -> None:
    found = fleet(path, "fleet: 1.10\nmachines: {m: {driver: local, options: {image: 007, build-image: yes}}}\n")

    assert found.name == "1.10"
    assert found.machines[0].options == {"image": "007", "build_image": "yes"}


def test_files_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No such file"):
        load_fleet(tmp_path / "none", "local")
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(FleetError, match="larger"):
        load_fleet(path, "local")
    path.write_bytes(b"fleet: \xff\xfe\n")
    with pytest.raises(FleetError, match="not YAML"):
        load_fleet(path, "local")
