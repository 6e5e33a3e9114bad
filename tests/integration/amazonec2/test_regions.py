"""What no record owns, in several regions and in all of them."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from pymachine.store.file import FileStore
from support.ec2.lab import Lab
from support.program import Program

pytestmark = pytest.mark.root


def launch(ec2: Lab, region: str, store: str) -> str:
    """An instance that no record owns."""
    given = {"pymachine:machine-id": str(uuid.uuid4()), "pymachine:store-id": store, "pymachine:machine-name": "lost"}
    tags = [{"Key": key, "Value": value} for key, value in given.items()]
    answer = ec2.client(region=region).run_instances(
        ImageId="ami-1", MinCount=1, MaxCount=1, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}]
    )
    return str(answer["Instances"][0]["InstanceId"])


def state(ec2: Lab, region: str, identity: str) -> str:
    answer = ec2.client(region=region).describe_instances(InstanceIds=[identity])
    return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])


def test_what_is_lost_in_several_regions_is_found_and_removed_there(ec2: Lab, tmp_path: Path) -> None:
    """After asking; a region that was not named, and one that cannot be looked into, hide nothing of the others."""
    program = Program(tmp_path / "store", ec2.environment())
    program.ok("ls")
    store = FileStore(program.store).id
    regions = ("us-east-1", "eu-west-1", "ap-south-1")
    ec2.set(regions=[*regions, "eu-north-1"])
    lost = {region: launch(ec2, region, store) for region in regions}
    named = ("--region", "us-east-1", "--region", "eu-west-1")

    shown = program.ok("gc", "-d", "aws", *named, stdin="n\n").splitlines()
    assert shown[0].split()[:2] == ["REGION", "KIND"]
    assert {tuple(line.split()[:3]) for line in shown[1:3]} == {
        (region, "instance", lost[region]) for region in ("us-east-1", "eu-west-1")
    }
    assert [state(ec2, region, lost[region]) for region in regions] == ["running"] * 3
    assert program.ok("gc", "-d", "aws", *named, stdin="y\n").endswith("Removed 2.\n")
    assert [state(ec2, region, lost[region]) for region in regions] == ["terminated", "terminated", "running"]

    ec2.set(regions=[*regions, "eu-north-1"], denied_in=["eu-north-1"])
    done = program.run("gc", "-d", "aws", "--all-regions", "-y")
    assert done.returncode == 1
    assert done.stdout.endswith("Removed 1.\n")
    assert "Could not look into 1 of the regions: eu-north-1: AWS denied ec2:Describe" in done.stderr
    assert state(ec2, "ap-south-1", lost["ap-south-1"]) == "terminated"


def test_regions_that_cannot_be_are_told(ec2: Lab, tmp_path: Path) -> None:
    program = Program(tmp_path / "store", ec2.environment())
    done = program.run("gc", "-d", "aws", "--region", "eu-west-1", "--region", "moon-1")
    assert (done.returncode, done.stdout) != (0, "Nothing is left.\n")
    assert "--region: there is no moon-1, nor one of a name like it among the " in done.stderr
    done = program.run("gc", "-d", "aws", "--region", "us-west-3")
    assert re.search(r"--region: there is no us-west-3; there are us-west-\d, .* and \d+ more$", done.stderr, re.M)
    assert len(done.stderr) < 120
    ec2.set(regions=["us-east-1", "eu-west-1"])
    done = program.run("gc", "-d", "aws", "--region", "ap-south-1")
    assert "--region: there is no ap-south-1; there are eu-west-1, us-east-1\n" in done.stderr
    assert "exclude each other" in program.run("gc", "-d", "aws", "--region", "eu-west-1", "--all-regions").stderr
    assert 'Driver "none" knows no regions' in program.run("gc", "-d", "none", "--all-regions").stderr
