"""What can be done with an instance that exists: another type, snapshots; and the ways to reach it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import snapshots, tags
from pymachine.drivers.base import State
from pymachine.drivers.options import to_json
from pymachine.machine.errors import DriverError, InvalidOption, PreCreateCheckFailed
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.ec2.lab import Lab
from support.ec2.machines import Machine
from support.ec2.server import CALLER
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
    (found,) = ec2.client().describe_images(Owners=["self"])["Images"]
    image = found["ImageId"]
    machine.driver.remove()
    other = Machine(ec2, tmp_path / "other", ami=image)
    assert other.create().state() is State.RUNNING
    assert other.instance()["ImageId"] == image
    machine.driver.remove_snapshot("golden")
    assert machine.driver.snapshots() == []


def test_an_image_is_made_once_and_removed_wholly(ec2: Lab, tmp_path: Path) -> None:
    """Though answers are lost, and the remove is killed when the image has gone but not what is behind it."""
    machine = Machine(ec2, tmp_path)
    machine.create()
    ec2.set(lost=["CreateImage"])
    machine.driver.create_snapshot("golden")
    assert ec2.log().count("CreateImage") == 2
    client = ec2.client()
    assert len(client.describe_images(Owners=["self"])["Images"]) == 1
    ec2.set(lost=["DeregisterImage", "DeleteSnapshot"])
    machine.driver.remove_snapshot("golden")
    before = len(ec2.log())
    assert behind(ec2) == []
    machine.driver.create_snapshot("golden")
    deregistered = before - 3  # of two calls each, the first of the first
    assert machine.killed_after_call(deregistered, lambda driver: driver.remove_snapshot("golden"))
    assert machine.calls[-1] == "DeregisterImage"
    assert (len(behind(ec2)), machine.driver.snapshots()) == (1, [])
    machine.driver.remove_snapshot("golden")
    assert behind(ec2) == []
    with pytest.raises(DriverError, match='has no snapshot "golden"'):
        machine.driver.remove_snapshot("golden")


def behind(ec2: Lab) -> list[str]:
    """Volume snapshots with our tag."""
    found = ec2.client().describe_snapshots(Filters=[{"Name": "tag-key", "Values": [snapshots.OF]}])["Snapshots"]
    return [one["SnapshotId"] for one in found]


def root_volume(machine: Machine) -> dict[str, Any]:
    instance = machine.instance()
    (root,) = [one for one in instance["BlockDeviceMappings"] if one["DeviceName"] == instance["RootDeviceName"]]
    found: dict[str, Any] = machine.lab.client().describe_volumes(VolumeIds=[root["Ebs"]["VolumeId"]])["Volumes"][0]
    return found


def test_a_machine_goes_back_to_a_snapshot_by_another_root_volume(ec2: Lab, tmp_path: Path) -> None:
    """Of the image's own snapshot; the old one is gone, a further one stays, and remove finds all."""
    machine = Machine(ec2, tmp_path, volume=("5",))
    machine.create().create_snapshot("golden")
    (image,) = ec2.client().describe_images(Owners=["self"])["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    before, instance = root_volume(machine), machine.resources["instance"]
    machine.driver.stop()
    with pytest.raises(DriverError, match="must run to go back to a snapshot; it is stopped") as refused:
        machine.driver.restore_snapshot("golden")
    assert f"--amazonec2-ami {image['ImageId']}" in refused.value.hint
    machine.driver.start()
    machine.driver.restore_snapshot("golden")
    after = root_volume(machine)
    assert (after["SnapshotId"], machine.resources["instance"]) == (snapshot, instance)
    assert tags.value(after, tags.MACHINE) == machine.bench.machine_id
    left = {volume["VolumeId"] for volume in ec2.client().describe_volumes()["Volumes"]}
    assert before["VolumeId"] not in left
    assert len(machine.instance()["BlockDeviceMappings"]) == 2
    with pytest.raises(DriverError, match='has no snapshot "other"'):
        machine.driver.restore_snapshot("other")
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_a_root_volume_that_cannot_be_replaced_is_told(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create().create_snapshot("golden")
    before = root_volume(machine)
    ec2.set(root_volume_fails=True)
    with pytest.raises(DriverError, match=r"has failed \(task replacevol-\w+\): the instance has its old root volume"):
        machine.driver.restore_snapshot("golden")
    assert root_volume(machine) == before


def rules(ec2: Lab, group: str) -> set[tuple[int, str]]:
    (found,) = ec2.client().describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return {(rule["FromPort"], cidr["CidrIp"]) for rule in found["IpPermissions"] for cidr in rule["IpRanges"]}


@pytest.mark.parametrize("again", ["start", "restart", "let_in"])
def test_the_group_follows_this_computer_to_another_address(ec2: Lab, tmp_path: Path, again: str) -> None:
    """Our rules move; those of others stay; and without a change nothing is asked."""
    machine = Machine(ec2, tmp_path)
    machine.create()
    group = machine.resources["group"]
    theirs = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "203.0.113.9/32"}]}
    ec2.client().authorize_security_group_ingress(GroupId=group, IpPermissions=[theirs])
    ec2.set()
    getattr(machine.driver, again)()
    assert not [call for call in ec2.log() if "SecurityGroup" in call]
    ec2.set(caller="198.51.100.99")
    getattr(machine.driver, again)()
    ours = {(port, "198.51.100.99/32") for port in (22, 2376, 3376)}
    assert rules(ec2, group) == {*ours, (443, "203.0.113.9/32")}
    assert "open.group" in machine.bench.journal.steps()
    ec2.set(caller="198.51.100.99")
    getattr(machine.driver, again)()
    assert not [call for call in ec2.log() if "SecurityGroup" in call]


def test_a_move_that_was_cut_off_is_done_by_the_next_start(ec2: Lab, tmp_path: Path) -> None:
    """Even when this computer is back at the address of before: nobody else stays let in."""
    machine = Machine(ec2, tmp_path)
    machine.create()
    ec2.set()
    machine.driver.start()
    authorized = len(ec2.log()) + 1  # as many calls come before when nothing has changed
    for number in range(1, authorized + 1):
        if not machine.killed_after_call(number, lambda driver: driver.start(), caller="198.51.100.99"):
            break
        if len(rules(ec2, machine.resources["group"])) == 6:
            break
    assert len(rules(ec2, machine.resources["group"])) == 6, "it was not killed between the two calls"
    ec2.set()
    machine.driver.start()
    assert rules(ec2, machine.resources["group"]) == {(port, f"{CALLER}/32") for port in (22, 2376, 3376)}


def test_an_address_that_cannot_be_known_keeps_nobody_from_starting(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    before = rules(ec2, machine.resources["group"])
    machine.options = dataclasses.replace(machine.options, address_service="http://127.0.0.1:1/")
    machine.driver.start()
    assert any("The security group stays as it is: cannot find out" in line for line in machine.said)
    assert rules(ec2, machine.resources["group"]) == before


@pytest.mark.parametrize("action", ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"])
def test_a_group_that_may_not_be_changed_keeps_nobody_from_starting(ec2: Lab, tmp_path: Path, action: str) -> None:
    """It is told, and done by the next who may."""
    machine = Machine(ec2, tmp_path)
    machine.create().stop()
    ec2.set(caller="198.51.100.99", denied=[action])
    machine.driver.start()
    assert machine.driver.state() is State.RUNNING
    (told,) = [line for line in machine.said if "is not as it should be" in line]
    assert f"AWS denied ec2:{action}" in told
    ec2.set(caller="198.51.100.99")
    machine.driver.let_in()
    assert {cidr for _, cidr in rules(ec2, machine.resources["group"])} == {"198.51.100.99/32"}


def test_groups_that_were_given_stay_when_this_computer_moves(ec2: Lab, tmp_path: Path) -> None:
    client = ec2.client()
    vpc = client.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = client.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    rule["IpRanges"] = [{"CidrIp": f"{CALLER}/32", "Description": "pymachine"}]
    client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    before = client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    machine = Machine(ec2, tmp_path, security_group=("mine",))
    machine.create()
    ec2.set(caller="198.51.100.99")
    machine.driver.stop()
    machine.driver.start()
    machine.driver.restart()
    assert client.describe_security_groups(GroupIds=[group])["SecurityGroups"] == before


def test_a_create_that_goes_on_elsewhere_lets_that_place_in(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    ec2.set(denied=["RunInstances"])
    with pytest.raises(DriverError, match="RunInstances"):
        machine.create()
    ec2.set(caller="198.51.100.99")
    machine.create()
    assert {cidr for _, cidr in rules(ec2, machine.resources["group"])} == {"198.51.100.99/32"}


def test_what_the_check_found_out_is_not_asked_again(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.driver.pre_create_check()
    ec2.set()
    machine.create()
    assert not {"DescribeInstanceTypes", "GetParameter", "DescribeImages", "DescribeVpcs"} & set(ec2.log())


def test_a_restart_that_nobody_can_watch_is_told(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    ec2.set()
    machine.driver.restart()
    assert ec2.log().count("RebootInstances") == 1
    assert any("the reboot cannot be watched" in line for line in machine.said)


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


def test_the_program_changes_the_type_and_makes_images(ec2: Lab, tmp_path: Path) -> None:
    program = Program(tmp_path / "store", ec2.environment())
    machine = Machine(ec2, tmp_path / "machine")
    store = FileStore(program.store)
    ec2.set()
    machine.create()
    record = Record("m", machine.bench.machine_id, "amazonec2", "2026-01-02T03:04:05Z", phase="ready")
    record.options, record.resources = to_json(machine.options), machine.resources
    store.create(record)
    done = program.run("set", "--instance-type", "t3.small", "m")
    assert (done.returncode, "pymachine stop m" in done.stderr) == (1, True)
    program.ok("stop", "m")
    program.ok("set", "--instance-type", "t3.small", "m")
    assert machine.instance()["InstanceType"] == store.load("m").options["instance_type"] == "t3.small"
    done = program.run("snapshot", "create", "m", "golden")
    (image,) = re.findall("--amazonec2-ami (ami-[0-9a-f]+)", done.stdout + done.stderr)
    assert [found["ImageId"] for found in ec2.client().describe_images(Owners=["self"])["Images"]] == [image]
    program.ok("snapshot", "rm", "m", "golden")
    assert behind(ec2) == []
    program.ok("rm", "-y", "m")
    assert ec2.tagged() == []
