"""What can be done with an instance that exists: another type, snapshots; and the ways to reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.machine.errors import DriverError, InvalidOption, PreCreateCheckFailed
from support.ec2.lab import Lab
from support.ec2.machines import Machine
from support.program import Program

pytestmark = pytest.mark.root


def test_a_stopped_machine_gets_another_type(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    driver = machine.create()
    with pytest.raises(DriverError, match="must be stopped"):
        driver.change_type("t3.small")
    driver.stop()
    with pytest.raises(InvalidOption, match="t4g.small cannot run this machine"):
        driver.change_type("t4g.small")
    assert machine.driver.change_type("t3.small") == {"instance_type": "t3.small"}
    assert machine.instance()["InstanceType"] == "t3.small"


def test_a_snapshot_is_an_image_that_outlives_the_machine(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create().create_snapshot("golden")
    with pytest.raises(DriverError, match="already"):
        machine.driver.create_snapshot("golden")
    assert [snapshot.name for snapshot in machine.driver.snapshots()] == ["golden"]
    with pytest.raises(DriverError, match="a new machine can be made of it") as refused:
        machine.driver.restore_snapshot("golden")
    image = refused.value.hint.split()[-2]
    machine.driver.remove()
    other = Machine(ec2, tmp_path / "other", ami=image)
    assert other.create().state() is State.RUNNING
    assert other.instance()["ImageId"] == image
    machine.driver.remove_snapshot("golden")
    assert machine.driver.snapshots() == []


def test_a_renamed_machine_has_its_new_name_at_ec2(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    machine.bench.name = "other"
    machine.driver.renamed()
    assert {"Key": "Name", "Value": "other"} in machine.instance()["Tags"]
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_instance_connect_pushes_the_key_each_time_and_needs_no_pair(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, instance_connect=True)
    machine.create()
    assert "KeyName" not in machine.instance()
    ec2.set()
    machine.driver.ssh_endpoint()
    assert ec2.log().count("SendSSHPublicKey") == 1


def test_session_manager_needs_its_programs_and_opens_no_port_for_ssh(
    ec2: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(ec2, tmp_path, session_manager=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreCreateCheckFailed, match="needs the program aws"):
        machine.driver.pre_create_check()
    for program in ("aws", "session-manager-plugin"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    machine.driver.pre_create_check()
    command = machine.create().ssh_endpoint().proxy_command
    assert command.startswith(f"aws ssm start-session --region us-east-1 --target {machine.resources['instance']} ")
    (group,) = ec2.client().describe_security_groups(GroupIds=[machine.resources["group"]])["SecurityGroups"]
    assert {rule["FromPort"] for rule in group["IpPermissions"]} == {2376, 3376}


def test_a_machine_is_reached_by_ipv6(ec2: Lab, tmp_path: Path) -> None:
    client = ec2.client()
    (vpc,) = client.describe_vpcs()["Vpcs"]
    client.associate_vpc_cidr_block(VpcId=vpc["VpcId"], AmazonProvidedIpv6CidrBlock=True)
    (described,) = client.describe_vpcs()["Vpcs"]
    block = described["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    made = client.create_subnet(
        VpcId=vpc["VpcId"], CidrBlock="172.31.128.0/20", AvailabilityZone="us-east-1c",
        Ipv6CidrBlock=block.replace("/56", "/64"),
    )  # fmt: skip
    machine = Machine(ec2, tmp_path, ipv6=True, allow_from=("2001:db8::/32",))
    driver = machine.create()
    assert (driver.address(), driver.engine_url()) == ("::1", "tcp://[::1]:2376")
    assert machine.instance()["SubnetId"] == made["Subnet"]["SubnetId"]


def test_the_program_changes_the_type(ec2: Lab, tmp_path: Path) -> None:
    done = Program(tmp_path, ec2.environment()).run("set", "--instance-type", "t3.small", "nobody")
    assert (done.returncode, "does not exist" in done.stderr) == (1, True)
