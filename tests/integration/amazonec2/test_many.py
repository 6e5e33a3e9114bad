"""Many machines through the program: listed by few calls; what no record owns is found and removed."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import AmazonEC2Driver, tags, waiting
from pymachine.drivers.options import to_json
from pymachine.machine.operations.together import together
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living
from support.program import Program

pytestmark = pytest.mark.root
MANY = 12


def launch(ec2: Lab, count: int, *, region: str = "us-east-1", **tagged: str) -> list[str]:
    """Instances with tags, made by nobody of ours."""
    given = [{"Key": key.replace("_", ":", 1).replace("_", "-"), "Value": value} for key, value in tagged.items()]
    answer = ec2.client(region=region).run_instances(
        ImageId="ami-1",
        MinCount=count,
        MaxCount=count,
        TagSpecifications=[{"ResourceType": "instance", "Tags": given}] if given else [],
    )
    return [instance["InstanceId"] for instance in answer["Instances"]]


def fleet(ec2: Lab, store: FileStore, ids: list[str], *, region: str = "us-east-1", first: int = 0) -> None:
    """Records of machines with these instances."""
    options = to_json(AmazonEC2Driver.Options(endpoint=ec2.endpoint, region=region))
    for number, identity in enumerate(ids, first):
        record = Record(f"m{number}", str(uuid.uuid4()), "amazonec2", "2026-01-02T03:04:05Z", phase="ready")
        record.options, record.resources = options, {"region": region, "instance": identity}
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


def test_machines_of_two_regions_are_listed_by_two_calls_and_more_than_a_page_by_two(ec2: Lab, tmp_path: Path) -> None:
    """A page are 200, as many as a filter takes."""
    program = Program(tmp_path / "store", ec2.environment())
    store, here, there = FileStore(program.store), launch(ec2, 201), launch(ec2, 3, region="eu-west-1")
    fleet(ec2, store, here[:2])
    fleet(ec2, store, there, region="eu-west-1", first=1000)
    ec2.set()
    assert [row["State"] for row in listed(program).values()] == ["Running"] * 5
    assert ec2.log() == ["DescribeInstances"] * 2
    fleet(ec2, store, here[2:], first=2)
    ec2.set()
    assert len(listed(program)) == 204
    assert ec2.log() == ["DescribeInstances"] * 3


def test_a_region_that_does_not_answer_hides_nothing_of_the_others(ec2: Lab, tmp_path: Path) -> None:
    """Within the time that was given for all."""
    program = Program(tmp_path / "store", ec2.environment())
    store, names = FileStore(program.store), ("eu-west-1", "us-east-1", "ap-south-1")
    for number, region in enumerate(names):
        fleet(ec2, store, launch(ec2, 5, region=region), region=region, first=10 * number)
    ec2.set(silent_in=["eu-west-1"], denied_in=["ap-south-1"])
    rows = json.loads(program.ok("ls", "--format", "json", "-t", "4"))
    states = {(int(row["Name"][1:]) // 10, row["State"]) for row in rows}
    assert states == {(0, "Timeout"), (1, "Running"), (2, "Error")}
    told = {row["Error"] for row in rows if row["State"] == "Error"}
    assert len(told) == 1
    assert "AWS denied ec2:DescribeInstances" in told.pop()


def test_machines_that_are_made_and_removed_at_once_are_asked_for_together(
    ec2: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All find out once what they have in common, and wait by the same calls."""
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.2)  # so that all wait at the same time
    monkeypatch.setattr(waiting, "LONGEST_PAUSE", 0.8)
    one, many = Machine(ec2, tmp_path / "one"), [Machine(ec2, tmp_path / str(number)) for number in range(MANY)]
    used: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for verb in ("create", "remove"):
        ec2.set(slow_states=4)
        getattr(one.driver, verb)()
        alone = Counter(ec2.log())
        ec2.set(slow_states=4)
        outcomes = together(lambda machine, verb=verb: getattr(machine.driver, verb)(), many)  # type: ignore[misc]
        assert [outcome.error for outcome in outcomes] == [None] * MANY
        used[verb] = alone, Counter(ec2.log())
        assert len(living(ec2)) == (MANY + 1 if verb == "create" else 0)
    alone, all_ = used["create"]
    for action in ("DescribeInstanceTypes", "GetParameter", "DescribeImages", "DescribeVpcs", "DescribeSubnets"):
        assert all_[action] == alone[action], action
    for action in ("RunInstances", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair"):
        assert all_[action] == alone[action] * MANY, action
    assert all_["DescribeInstances"] < alone["DescribeInstances"] * MANY / 2
    alone, all_ = used["remove"]
    shared = ("TerminateInstances", "DescribeInstances", "DescribeVolumes", "DescribeSecurityGroups")
    for action in (*shared, "DescribeSpotInstanceRequests"):
        assert all_[action] < alone[action] * MANY / 2, action


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
    (guarded,) = launch(ec2, 1, pymachine_machine_id=str(uuid.uuid4()), pymachine_machine_name="kept", **here)
    ec2.client().modify_instance_attribute(InstanceId=guarded, DisableApiTermination={"Value": True})
    done = program.run("gc", "-d", "aws", stdin="y\n")
    assert (done.returncode, "Removed" in done.stdout) == (1, False)
    assert f"kept: instance {guarded} is protected against termination, though not by pymachine" in done.stderr
    assert set(living(ec2)) == {*kept, guarded}
    ec2.client().modify_instance_attribute(InstanceId=guarded, DisableApiTermination={"Value": False})
    assert program.ok("gc", "-d", "aws", stdin="y\n").endswith("Removed 1.\n")
    assert set(living(ec2)) == set(kept)
    assert ec2.client().describe_key_pairs()["KeyPairs"] == []
    assert program.ok("gc", "-d", "aws", "-y") == "Nothing is left.\n"
    assert set(living(ec2)) == set(kept)
    assert program.run("gc", "-d", "none").returncode == 1
