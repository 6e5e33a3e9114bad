"""Many machines through the program: listed by few calls; what no record owns is found and removed."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import AmazonEC2Driver, tags
from pymachine.drivers.options import to_json
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.ec2.lab import Lab
from support.ec2.machines import living
from support.program import Program

pytestmark = pytest.mark.root


def launch(ec2: Lab, count: int, **tagged: str) -> list[str]:
    """Instances with tags, made by nobody of ours."""
    given = [{"Key": key.replace("_", ":", 1).replace("_", "-"), "Value": value} for key, value in tagged.items()]
    answer = ec2.client().run_instances(
        ImageId="ami-1",
        MinCount=count,
        MaxCount=count,
        TagSpecifications=[{"ResourceType": "instance", "Tags": given}] if given else [],
    )
    return [instance["InstanceId"] for instance in answer["Instances"]]


def fleet(ec2: Lab, store: FileStore, ids: list[str]) -> None:
    """Records of machines with these instances."""
    options = to_json(AmazonEC2Driver.Options(endpoint=ec2.endpoint, region="us-east-1"))
    for number, identity in enumerate(ids):
        record = Record(f"m{number}", str(uuid.uuid4()), "amazonec2", "2026-01-02T03:04:05Z", phase="ready")
        record.options, record.resources = options, {"region": "us-east-1", "instance": identity}
        store.create(record)


def listed(program: Program) -> dict[str, dict[str, Any]]:
    return {row["Name"]: row for row in json.loads(program.ok("ls", "--format", "json", "-t", "60"))}


def test_two_hundred_machines_are_listed_by_one_call(ec2: Lab, tmp_path: Path) -> None:
    program = Program(tmp_path / "store", ec2.environment())
    ids = launch(ec2, 200)
    fleet(ec2, FileStore(program.store), [*ids[:199], "i-00000000000000000"])
    ec2.client().stop_instances(InstanceIds=[ids[0]])
    ec2.client().terminate_instances(InstanceIds=[ids[1]])
    ec2.set()
    rows = listed(program)
    assert ec2.log() == ["DescribeInstances"]
    states = [row["State"] for row in rows.values()]
    assert {state: states.count(state) for state in states} == {"Running": 197, "Stopped": 1, "Error": 2}
    assert "the instance was terminated" in rows["m1"]["Error"]
    assert "does not know it any more" in rows["m199"]["Error"]


def test_what_no_record_owns_is_listed_and_removed_and_nothing_else(ec2: Lab, tmp_path: Path) -> None:
    program = Program(tmp_path / "store", ec2.environment())
    program.ok("ls")
    store = FileStore(program.store)
    owned, lost = str(uuid.uuid4()), str(uuid.uuid4())
    record = Record("mine", owned, "amazonec2", "2026-01-02T03:04:05Z", phase="ready")
    store.create(record)
    here = {"pymachine_store_id": store.id}
    kept = [
        *launch(ec2, 1, pymachine_machine_id=owned, **here),
        *launch(ec2, 1, pymachine_machine_id=lost, pymachine_store_id="another"),
        *launch(ec2, 1),
    ]
    orphan = launch(ec2, 1, pymachine_machine_id=lost, pymachine_machine_name="gone", **here)
    key = [
        {
            "ResourceType": "key-pair",
            "Tags": [{"Key": tags.MACHINE, "Value": lost}, {"Key": tags.STORE, "Value": store.id}],
        }
    ]
    ec2.client().create_key_pair(KeyName="orphan", TagSpecifications=key)

    shown = program.ok("gc", "-d", "aws", "-n")
    assert [line.split()[0] for line in shown.splitlines()] == ["KIND", "instance", "key"]
    assert "gone" in shown
    program.ok("gc", "-d", "aws", stdin="n\n")
    assert set(living(ec2)) == {*kept, *orphan}
    assert program.ok("gc", "-d", "aws", stdin="y\n").endswith("Removed 2.\n")
    assert set(living(ec2)) == set(kept)
    assert ec2.client().describe_key_pairs()["KeyPairs"] == []
    assert program.ok("gc", "-d", "aws", "-y") == "Nothing is left.\n"
    assert set(living(ec2)) == set(kept)
    assert program.run("gc", "-d", "none").returncode == 1
