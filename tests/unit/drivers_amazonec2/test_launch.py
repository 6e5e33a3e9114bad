"""What is asked of EC2: tokens, ways, parameters, user data; and how its refusals are told."""

from __future__ import annotations

import email
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import catalogue, cloud, faults, firewall, instances
from pymachine.drivers.amazonec2.launch import Parts, Way, parameters, token, ways
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.amazonec2.plan import Plan
from pymachine.drivers.amazonec2.userdata import user_data
from pymachine.drivers.amazonec2.waiting import Patience
from pymachine.machine.errors import DeadlineExceeded, InvalidOption, MissingRequirement

PLAN = Plan(
    region="eu-west-1",
    image="ami-1",
    root_device="/dev/xvda",
    root_size=16,
    user="admin",
    vpc="vpc-1",
    subnets=[["subnet-a", "eu-west-1a"], ["subnet-b", "eu-west-1b"]],
    types=["t3.micro", "t3.small"],
    groups=[],
    sources=["198.51.100.7/32"],
    tags=[{"Key": "Name", "Value": "m"}],
)
WAY = Way("t3.micro", "subnet-a", "eu-west-1a", spot=False)


def test_zones_are_tried_before_types_and_spot_before_on_demand() -> None:
    tried = [str(way) for way in ways(PLAN, Options(request_spot_instance=True))]
    assert tried[:3] == [
        "t3.micro in eu-west-1a (spot)",
        "t3.micro in eu-west-1b (spot)",
        "t3.small in eu-west-1a (spot)",
    ]
    assert tried[4] == "t3.micro in eu-west-1a"
    assert len(ways(PLAN, Options(request_spot_instance=True, spot_only=True))) == 4


def test_a_token_is_the_same_for_the_same_attempt_only() -> None:
    first = token("id", 0, WAY)
    assert first == token("id", 0, WAY)
    assert len(first) <= 64
    assert len({first, token("other", 0, WAY), token("id", 1, WAY), token("id", 0, ways(PLAN, Options())[1])}) == 4


def test_every_way_of_being_launched_is_in_the_call() -> None:
    options = Options(
        request_spot_instance=True,
        spot_price="0.05",
        spot_interruption="stop",
        placement_group="close",
        tenancy="dedicated",
        cpu_credits="unlimited",
        launch_template="base:3",
        iam_instance_profile="arn:aws:iam::1:instance-profile/p",
        kms_key="alias/mine",
        volume=("5,iops=4000",),
        use_ebs_optimized_instance=True,
        monitoring=True,
        termination_protection=True,
        ipv6=True,
    )
    asked = parameters(PLAN, options, Parts(["sg-1"], "pair", "#!"), Way("t3.micro", "subnet-a", "a", spot=True), "t")
    assert asked["InstanceMarketOptions"]["SpotOptions"] == {
        "SpotInstanceType": "persistent",
        "InstanceInterruptionBehavior": "stop",
        "MaxPrice": "0.05",
    }
    assert asked["Placement"] == {"GroupName": "close", "Tenancy": "dedicated"}
    assert asked["CreditSpecification"] == {"CpuCredits": "unlimited"}
    assert asked["LaunchTemplate"] == {"LaunchTemplateName": "base", "Version": "3"}
    assert asked["IamInstanceProfile"] == {"Arn": "arn:aws:iam::1:instance-profile/p"}
    assert [mapping["Ebs"]["KmsKeyId"] for mapping in asked["BlockDeviceMappings"]] == ["alias/mine"] * 2
    assert asked["BlockDeviceMappings"][1]["Ebs"]["Iops"] == 4000
    assert asked["NetworkInterfaces"][0]["Ipv6AddressCount"] == 1
    assert (asked["EbsOptimized"], asked["Monitoring"], asked["DisableApiTermination"]) == (
        True,
        {"Enabled": True},
        True,
    )
    assert "spot-instances-request" in [tagged["ResourceType"] for tagged in asked["TagSpecifications"]]


def test_hibernation_is_configured_at_launch() -> None:
    asked = parameters(PLAN, Options(hibernate=True), Parts(["sg-1"], "", ""), WAY, "t")
    assert asked["HibernationOptions"] == {"Configured": True}
    assert "KeyName" not in asked


@pytest.mark.parametrize("options", [Options(), Options(request_spot_instance=True, spot_interruption="stop")])
def test_an_instance_whose_time_is_over_ends_itself(options: Options) -> None:
    """It turns itself off, which terminates it, and a request for spot instances that stays open ends as well."""
    way, moment = ways(PLAN, options)[0], "2027-01-02T03:04:05Z"
    asked = parameters(PLAN, options, Parts(["sg"], "", "", moment), way, "t")
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    if way.spot:
        assert asked["InstanceMarketOptions"]["SpotOptions"]["ValidUntil"] == moment
    told = user_data(name="m", public_key="k", make_user="", extra_path="", expires_at=moment)
    document = json.loads(told.partition("\n")[2])
    service, timer = document["write_files"]
    assert "OnCalendar=2027-01-02 03:04:05 UTC\nPersistent=true\n" in timer["content"]
    assert "systemctl --no-block poweroff" in service["content"]
    assert document["runcmd"][-1] == ["systemctl", "enable", "--now", "pymachine-expiry.timer"]
    assert "InstanceInitiatedShutdownBehavior" not in parameters(PLAN, options, Parts(["sg"], "", ""), way, "t")


def test_rules_for_both_kinds_of_networks() -> None:
    rules = firewall.permissions(Options(open_port=("80",)), ["198.51.100.7/32", "2001:db8::/32"])
    assert [rule["FromPort"] for rule in rules] == [22, 2376, 3376, 80]
    assert rules[0]["IpRanges"][0]["CidrIp"] == "198.51.100.7/32"
    assert rules[0]["Ipv6Ranges"][0]["CidrIpv6"] == "2001:db8::/32"
    assert [rule["FromPort"] for rule in firewall.permissions(Options(session_manager=True), ["::/0"])] == [2376, 3376]


def test_who_may_reach_the_ports() -> None:
    assert firewall.sources(Options(allow_from=("0.0.0.0/0",)), ["10.0.0.0/8"]) == ["0.0.0.0/0"]
    assert firewall.sources(Options(use_private_address=True), ["10.0.0.0/8"]) == ["10.0.0.0/8"]


def test_user_data_is_ours_and_the_users_and_always_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("#cloud-config\npackages: [vim]\n")
    made = [user_data(name="m", public_key="ssh-ed25519 A", make_user="me", extra_path=str(path)) for _ in range(2)]
    assert made[0] == made[1]
    parts: Any = email.message_from_string(made[0]).get_payload()
    ours, theirs = parts
    assert (ours.get_content_subtype(), theirs.get_content_subtype()) == ("cloud-config", "cloud-config")
    document = json.loads(ours.get_payload(decode=True).decode().partition("\n")[2])
    assert (document["hostname"], document["users"][1]["name"]) == ("m", "me")
    assert b"vim" in theirs.get_payload(decode=True)


def test_without_a_key_for_good_none_is_in_the_user_data() -> None:
    """EC2 Instance Connect brings one for each connection."""
    text = user_data(name="m", public_key="", make_user="me", extra_path="")
    assert "ssh_authorized_keys" not in text
    assert '"name": "me"' in text


def test_user_data_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    for text in ("echo hello", "#!/bin/sh\n" + "x" * 20000):
        path.write_text(text)
        with pytest.raises(InvalidOption, match="--amazonec2-userdata"):
            user_data(name="m", public_key="k", make_user="", extra_path=str(path))


class ClientError:
    """As botocore has it."""

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code, "Message": "no\n way"}}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ExpiredToken", "the AWS credentials (profile ci) have expired; ec2:RunInstances was refused"),
        ("AuthFailure", "AWS does not accept the credentials (profile ci); ec2:RunInstances was refused: no way"),
        ("UnauthorizedOperation", "AWS denied ec2:RunInstances to the credentials (profile ci)"),
        ("VcpuLimitExceeded", "ec2:RunInstances was refused: no way (VcpuLimitExceeded)"),
    ],
)
def test_refusals_name_the_action_and_the_remedy(code: str, told: str) -> None:
    error = faults.from_client_error(ClientError(code), "ec2:RunInstances", "profile ci")
    assert str(error) == told
    assert error.hint


def test_other_failures_of_credentials_have_a_remedy() -> None:
    for name in ("NoCredentialsError", "ProfileNotFound", "SSOTokenLoadError", "CredentialRetrievalError"):
        error = faults.from_botocore(type(name, (Exception,), {})("why"), "ec2:RunInstances", "x")
        assert isinstance(error, MissingRequirement)
        assert error.hint


def test_states_and_addresses() -> None:
    instance = {"State": {"Name": "running"}, "PublicIpAddress": "198.51.100.1", "PrivateIpAddress": "10.0.0.1",
                "NetworkInterfaces": [{"Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}]}]}  # fmt: skip
    assert instances.address(instance, Options()) == "198.51.100.1"
    assert instances.address(instance, Options(use_private_address=True)) == "10.0.0.1"
    assert instances.address(instance, Options(ipv6=True)) == "2001:db8::1"
    assert instances.address(None, Options()) == ""
    assert instances.name_of_state(None) == "terminated"


def test_the_user_of_an_image_by_its_publisher_or_name() -> None:
    assert catalogue.user_of("136693071363", "x") == "admin"
    assert catalogue.user_of("self", "my-debian-12-golden") == "admin"
    assert catalogue.user_of("self", "golden") == "ubuntu"


def test_patience_ends_with_the_stage_and_the_last_answer() -> None:
    with pytest.raises(DeadlineExceeded, match="waiting for x: it is blue") as error:
        Patience(0).until(lambda: "blue", lambda seen: False, "waiting for x", last=lambda seen: f"it is {seen}")
    assert error.value.stage == "waiting for x"


def test_a_forked_process_has_connections_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would write into its parent's otherwise."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    cloud._client(cloud.Account(region="us-east-1"), "ec2")
    assert cloud._client.cache_info().currsize > 0
    child = os.fork()
    if child == 0:
        os._exit(cloud._client.cache_info().currsize)
    assert os.waitpid(child, 0)[1] == 0
