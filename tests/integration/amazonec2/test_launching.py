"""What is launched, where, and what happens when there is no capacity."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.base import State
from pymachine.machine.errors import DriverError, InvalidOption
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living
from support.ec2.server import CALLER
from support.ec2.wire import Call

pytestmark = pytest.mark.root


def test_defaults_are_secure_and_current(ec2: Lab, tmp_path: Path) -> None:
    """IMDSv2 alone, an encrypted gp3 volume, an ed25519 key, and ports open to the caller only."""
    machine = Machine(ec2, tmp_path, tags=("team=a",))
    machine.create()
    client, instance = ec2.client(), machine.instance()
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    volume_id = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    (volume,) = client.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert (volume["VolumeType"], volume["Encrypted"], volume["Size"]) == ("gp3", True, 16)
    (pair,) = client.describe_key_pairs(KeyNames=[instance["KeyName"]])["KeyPairs"]
    assert pair["KeyType"] == "ed25519"
    (group,) = client.describe_security_groups(GroupIds=[machine.resources["group"]])["SecurityGroups"]
    rules = {(rule["FromPort"], rule["IpRanges"][0]["CidrIp"]) for rule in group["IpPermissions"]}
    assert rules == {(22, f"{CALLER}/32"), (2376, f"{CALLER}/32"), (3376, f"{CALLER}/32")}
    context = machine.bench.context()
    wanted = {"Name": "m", "team": "a", tags.MACHINE: context.machine_id, tags.STORE: context.store_id}
    wanted |= {tags.MACHINE_NAME: "m", tags.CREATOR: f"{getpass.getuser()}@{socket.gethostname()}"}
    for item in (instance, volume, pair, group):
        assert {tag["Key"]: tag["Value"] for tag in item["Tags"]} == wanted
    launched = Call("ec2", "RunInstances", ec2.asked("RunInstances"))
    assert launched.tags("network-interface") == wanted  # which moto forgets
    assert "CreateTags" not in ec2.log()  # all from their first moment on
    machine.driver.remove()
    assert ec2.tagged() == []


def test_who_may_reach_the_ports_and_which(ec2: Lab, tmp_path: Path) -> None:
    everybody = ("0.0.0.0/0", "2001:db8::/32")
    machine = Machine(ec2, tmp_path, allow_from=everybody, open_port=("80", "53/udp"), ssh_port=2222)
    machine.create()
    (group,) = ec2.client().describe_security_groups(GroupIds=[machine.resources["group"]])["SecurityGroups"]
    rules = {
        (rule["FromPort"], rule["IpProtocol"], rule["IpRanges"][0]["CidrIp"], rule["Ipv6Ranges"][0]["CidrIpv6"])
        for rule in group["IpPermissions"]
    }
    ports = [(2222, "tcp"), (2376, "tcp"), (3376, "tcp"), (80, "tcp"), (53, "udp")]
    assert rules == {(*port, *everybody) for port in ports}


def test_the_same_launch_again_finds_the_instance_of_the_first(ec2: Lab, tmp_path: Path) -> None:
    """Even when no read finds it, and nothing but the attempt is on record."""
    machine = Machine(ec2, tmp_path)
    machine.create()
    first = machine.resources["instance"]
    context = machine.bench.context()
    del context.resources["instance"]
    context.save()
    ec2.set(absent_reads=1)
    machine.create()
    assert (machine.resources["instance"], living(ec2)) == (first, [first])


@pytest.mark.parametrize(
    ("refused", "options", "wanted"),
    [
        ([{"zone": "us-east-1a"}], {}, ("t3.micro", "us-east-1b", "on-demand")),
        ([{"type": "t3.micro"}], {"fallback_type": ("t3.small",)}, ("t3.small", "us-east-1a", "on-demand")),
        ([{"market": "spot"}], {"request_spot_instance": True}, ("t3.micro", "us-east-1a", "on-demand")),
        ([{"zone": "us-east-1a"}], {"request_spot_instance": True}, ("t3.micro", "us-east-1b", "spot")),
    ],
)
def test_without_capacity_the_next_way_is_tried(
    ec2: Lab, tmp_path: Path, refused: list[dict[str, str]], options: dict[str, Any], wanted: tuple[str, str, str]
) -> None:
    ec2.set(capacity=refused)
    machine = Machine(ec2, tmp_path, **options)
    machine.create()
    instance = machine.instance()
    market = instance.get("InstanceLifecycle", "on-demand")
    assert (instance["InstanceType"], instance["Placement"]["AvailabilityZone"], market) == wanted
    assert any("No capacity" in line for line in machine.said)


def test_no_capacity_at_all_names_every_way(ec2: Lab, tmp_path: Path) -> None:
    ec2.set(capacity=[{"type": "t3.micro"}])
    machine = Machine(ec2, tmp_path, zone="a")
    with pytest.raises(DriverError, match=r"no capacity.*t3.micro in us-east-1a: InsufficientInstanceCapacity"):
        machine.create()
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_a_way_that_was_passed_over_is_not_tried_again_by_the_next_create(ec2: Lab, tmp_path: Path) -> None:
    """A create is killed when its second way has launched an instance that no read finds yet; then the first has
    capacity again. It must not launch another."""
    refused = [{"zone": "us-east-1a"}]
    ec2.set(capacity=refused)
    Machine(ec2, tmp_path / "first").create()
    calls = ec2.log()
    second = calls.index("RunInstances", calls.index("RunInstances") + 1) + 1
    before = living(ec2)
    machine = Machine(ec2, tmp_path / "second")
    assert machine.killed_after_call(second, lambda driver: driver.create(), capacity=refused)
    ec2.set(absent_reads=1)
    machine.create()
    assert len(living(ec2)) == len(before) + 1
    assert machine.instance()["Placement"]["AvailabilityZone"] == "us-east-1b"


def test_arm_types_get_an_arm_image(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, instance_type="t4g.micro", distribution="amazon-2023")
    machine.driver.pre_create_check()
    machine.create()
    assert machine.resources["plan"]["user"] == "ec2-user"
    assert machine.instance()["Architecture"] == "arm64"


def test_without_public_parameters_the_image_is_searched_by_its_owner(ec2: Lab, tmp_path: Path) -> None:
    ec2.set(no_parameters=True)
    client = ec2.client()
    name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20990101"
    made = client.register_image(Name=name, Architecture="x86_64", RootDeviceName="/dev/sda1")["ImageId"]
    with pytest.raises(InvalidOption, match=r"no image of ubuntu-24.04"):
        Machine(ec2, tmp_path / "other").driver.pre_create_check()  # ours is not Canonical's
    machine = Machine(ec2, tmp_path, ami=made)
    machine.create()
    assert machine.resources["plan"]["user"] == "ubuntu"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ami": "ami-0123456789abcdef0"}, "--amazonec2-ami: ami-0123456789abcdef0 does not exist"),
        ({"instance_type": "t9.enormous"}, "us-east-1 has no t9.enormous"),
        ({"vpc_id": "vpc-12345678"}, "--amazonec2-vpc-id: there is no vpc-12345678"),
        ({"subnet_id": "subnet-12345678"}, "--amazonec2-subnet-id: there is no subnet-12345678"),
        ({"zone": "z"}, "no subnet in zone us-east-1z"),
        ({"ipv6": True}, "no subnet with IPv6 in us-east-1"),
        ({"security_group": ("none-such",)}, "no security group none-such"),
        ({"keypair_name": "none-such", "ssh_keypath": __file__}, "there is no key pair none-such"),
        ({"cpu_credits": "standard", "instance_type": "m5.large"}, "m5.large is not burstable"),
        ({"fallback_type": ("t4g.micro",)}, "no architecture in common"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_made(
    ec2: Lab, tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    machine = Machine(ec2, tmp_path, **options)
    with pytest.raises(InvalidOption, match=problem):
        machine.driver.pre_create_check()
    assert machine.driver.leftovers() == []


def test_a_region_without_a_default_vpc_is_told_with_the_remedy(ec2: Lab, tmp_path: Path) -> None:
    client = ec2.client()
    (vpc,) = client.describe_vpcs()["Vpcs"]
    for subnet in client.describe_subnets()["Subnets"]:
        client.delete_subnet(SubnetId=subnet["SubnetId"])
    client.delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(InvalidOption, match="region us-east-1 has no default VPC") as told:
        Machine(ec2, tmp_path).driver.pre_create_check()
    assert "--amazonec2-vpc-id" in told.value.hint


def test_what_the_user_gives_stays_as_it_is(ec2: Lab, tmp_path: Path) -> None:
    """A security group is left byte-identical, a key pair outlives the machine."""
    client = ec2.client()
    vpc = client.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = client.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    key = tmp_path / "key"
    from pymachine.machine.ssh.keys import ensure_key

    client.import_key_pair(KeyName="mine", PublicKeyMaterial=ensure_key(key).encode())
    before = client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    machine = Machine(ec2, tmp_path, security_group=("mine",), keypair_name="mine", ssh_keypath=str(key))
    machine.create()
    groups = machine.instance()["NetworkInterfaces"][0]["Groups"]
    assert (machine.instance()["KeyName"], groups[0]["GroupId"]) == ("mine", group)
    machine.driver.remove()
    assert client.describe_security_groups(GroupIds=[group])["SecurityGroups"] == before
    assert [pair["KeyName"] for pair in client.describe_key_pairs()["KeyPairs"]] == ["mine"]


def test_an_elastic_address_stays_over_a_stop(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, elastic_ip=True)
    before = machine.create().address()
    machine.driver.stop()
    machine.driver.start()
    assert machine.driver.address() == before
    machine.driver.remove()
    assert ec2.client().describe_addresses()["Addresses"] == []


def test_a_private_machine_has_no_public_address_and_is_open_to_its_network(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, private_address_only=True)
    assert machine.create().address() == machine.instance()["PrivateIpAddress"]
    (group,) = ec2.client().describe_security_groups(GroupIds=[machine.resources["group"]])["SecurityGroups"]
    (vpc,) = ec2.client().describe_vpcs()["Vpcs"]
    assert {rule["IpRanges"][0]["CidrIp"] for rule in group["IpPermissions"]} == {vpc["CidrBlock"]}


def test_a_machine_with_both_addresses_is_reached_by_the_private_one(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, use_private_address=True)
    address = machine.create().address()
    instance = machine.instance()
    assert (instance["PrivateIpAddress"], bool(instance["PublicIpAddress"])) == (address, True)


def test_protection_against_termination_is_ours_to_lift_only_when_we_set_it(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path / "ours", termination_protection=True)
    machine.create()
    machine.driver.remove()
    assert machine.driver.leftovers() == []
    other = Machine(ec2, tmp_path / "other")
    other.create()
    protect = {"InstanceId": other.resources["instance"]}
    ec2.client().modify_instance_attribute(DisableApiTermination={"Value": True}, **protect)
    with pytest.raises(DriverError, match="protected against termination"):
        other.driver.remove()
    ec2.client().modify_instance_attribute(DisableApiTermination={"Value": False}, **protect)
    other.driver.remove()


def test_a_volume_to_be_kept_outlives_the_machine(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, volume=("5,keep", "6"))
    machine.create()
    machine.driver.remove()
    assert machine.driver.leftovers() == []
    volumes = ec2.client().describe_volumes()["Volumes"]
    assert [volume["Size"] for volume in volumes if tags.value(volume, tags.MACHINE)] == [5]


def test_an_open_spot_request_goes_with_the_machine(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    tagged = [{"Key": tags.MACHINE, "Value": machine.bench.machine_id}]
    ec2.client().request_spot_instances(
        LaunchSpecification={"ImageId": "ami-1", "InstanceType": "t3.micro"},
        SpotPrice="0.1",
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": tagged}],
    )
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_a_terminated_instance_is_told_and_removed(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    ec2.client().terminate_instances(InstanceIds=[machine.resources["instance"]])
    assert machine.driver.state() is State.ERROR
    with pytest.raises(DriverError, match="was terminated"):
        machine.driver.start()
    machine.driver.remove()
    assert machine.driver.leftovers() == []
