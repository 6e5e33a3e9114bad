"""What an instance is asked to be, as the instance that is there then tells it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import tags
from support.ec2.lab import Lab
from support.ec2.machines import Machine

pytestmark = pytest.mark.root
KMS = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000"


def volumes(ec2: Lab, instance: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By device, each with whether it goes with the instance."""
    found = {}
    for mapping in instance["BlockDeviceMappings"]:
        ebs = mapping["Ebs"]
        (volume,) = ec2.client().describe_volumes(VolumeIds=[ebs["VolumeId"]])["Volumes"]
        found[mapping["DeviceName"]] = {**volume, "Ends": ebs["DeleteOnTermination"]}
    return found


def attribute(ec2: Lab, instance: dict[str, Any], name: str) -> Any:
    return ec2.client().describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute=name)


def test_volumes_are_of_the_sizes_types_and_keys_that_were_asked_for(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(
        ec2,
        tmp_path,
        root_size=40,
        volume_type="gp2",
        kms_key=KMS,
        volume=("5,iops=4000", "125,type=st1,keep", "9,device=/dev/sdx"),
    )
    machine.create()
    instance = machine.instance()
    found = volumes(ec2, instance)
    shown = {device: (one["Size"], one["VolumeType"], one["Ends"]) for device, one in found.items()}
    assert shown == {
        instance["RootDeviceName"]: (40, "gp2", True),
        "/dev/sdf": (5, "gp3", True),
        "/dev/sdg": (125, "st1", False),
        "/dev/sdx": (9, "gp3", True),
    }
    assert ec2.asked("RunInstances")["BlockDeviceMapping.2.Ebs.Iops"] == "4000"  # moto keeps it not
    assert {(one["Encrypted"], one["KmsKeyId"]) for one in found.values()} == {(True, KMS)}
    machine.driver.remove()
    left = [one["Size"] for one in ec2.client().describe_volumes()["Volumes"] if tags.value(one, tags.MACHINE)]
    assert left == [125]


def test_an_image_larger_than_the_root_volume_makes_it_larger(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, root_size=1)
    machine.create()
    instance = machine.instance()
    assert volumes(ec2, instance)[instance["RootDeviceName"]]["Size"] > 1


def test_placement_protection_and_the_rest_are_the_instances_own(ec2: Lab, tmp_path: Path) -> None:
    iam = ec2.client("iam")
    iam.create_instance_profile(InstanceProfileName="builder")
    machine = Machine(
        ec2,
        tmp_path,
        instance_type="m5.large",
        zone="b",
        tenancy="dedicated",
        placement_group="close",
        termination_protection=True,
        monitoring=True,
        hibernate=True,
        iam_instance_profile="builder",
        private_address_only=True,
    )
    machine.driver.pre_create_check()
    machine.create()
    instance = machine.instance()
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert instance["Monitoring"]["State"] == "enabled"
    assert instance["HibernationOptions"] == {"Configured": True}
    assert instance["IamInstanceProfile"]["Arn"].endswith("instance-profile/builder")
    assert "PublicIpAddress" not in instance
    asked = ec2.asked("RunInstances")
    assert asked["Placement.GroupName"] == "close"  # moto knows no placement groups
    assert asked["Placement.Tenancy"] == "dedicated"  # and calls it default
    assert asked["DisableApiTermination"] == "true"  # and takes it for false
    machine.driver.stop()
    assert ec2.asked("StopInstances")["Hibernate"] == "true"
    machine.driver.start()
    machine.driver.kill()
    stopped = ec2.asked("StopInstances")
    assert (stopped["Force"], "Hibernate" in stopped) == ("true", False)


def test_credits_optimisation_and_spot_are_asked_for(ec2: Lab, tmp_path: Path) -> None:
    """moto keeps only that it is a spot instance."""
    machine = Machine(
        ec2,
        tmp_path,
        cpu_credits="unlimited",
        request_spot_instance=True,
        spot_price="0.02",
        spot_interruption="stop",
        use_ebs_optimized_instance=True,
        instance_type="t3.small",
    )
    machine.driver.pre_create_check()
    machine.create()
    assert machine.instance()["InstanceLifecycle"] == "spot"
    asked = ec2.asked("RunInstances")
    assert asked["CreditSpecification.CpuCredits"] == "unlimited"
    assert asked["EbsOptimized"] == "true"
    spot = {key.rpartition(".")[2]: value for key, value in asked.items() if ".SpotOptions." in key}
    assert spot == {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop", "MaxPrice": "0.02"}


@pytest.mark.parametrize("name", ["base", "base:1", "id"])
def test_a_launch_template_gives_what_the_options_do_not(ec2: Lab, tmp_path: Path, name: str) -> None:
    """moto merges the tags."""
    client = ec2.client()
    for number in ("1", "2"):
        data: Any = {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "of", "Value": number}]}]}
        if number == "1":
            made = client.create_launch_template(LaunchTemplateName="base", LaunchTemplateData=data)
        else:
            client.create_launch_template_version(LaunchTemplateName="base", LaunchTemplateData=data)
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    machine = Machine(ec2, tmp_path, launch_template=template if name == "id" else name)
    machine.create()
    instance = machine.instance()
    found = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert found["aws:ec2launchtemplate:id"] == template
    assert (found["aws:ec2launchtemplate:version"], found["of"]) == ("1", "1")  # the template's default
    assert found[tags.MACHINE] == machine.bench.machine_id


def test_user_data_arrives_whole(ec2: Lab, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\necho grüße\n", encoding="utf-8")
    machine = Machine(ec2, tmp_path, userdata=str(mine))
    machine.create()
    value = attribute(ec2, machine.instance(), "userData")["UserData"]["Value"]
    text = base64.b64decode(value).decode()
    assert machine.bench.name in text
    assert text.startswith("Content-Type: multipart/mixed")


def test_a_machine_in_a_network_of_the_users(ec2: Lab, tmp_path: Path) -> None:
    """Another VPC, and in it the subnet that was named."""
    client = ec2.client()
    vpc = client.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        client.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for number, zone in enumerate("ab")
    ]
    wanted = subnets[1]["Subnet"]["SubnetId"]
    machine = Machine(ec2, tmp_path, vpc_id=vpc, subnet_id=wanted)
    machine.create()
    instance = machine.instance()
    assert (instance["VpcId"], instance["SubnetId"]) == (vpc, wanted)
    (group,) = client.describe_security_groups(GroupIds=[machine.resources["group"]])["SecurityGroups"]
    assert group["VpcId"] == vpc
    machine.driver.remove()
    assert machine.driver.leftovers() == []
