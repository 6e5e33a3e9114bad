"""Options: docker-machine's names, and every problem told at once."""

from __future__ import annotations

from typing import Any

import pytest

from pymachine.drivers import options as options_
from pymachine.drivers.amazonec2 import AmazonEC2Driver
from pymachine.drivers.amazonec2.network import zone_name
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.amazonec2.values import Port, Volume, parse_port, parse_tags, parse_volume
from pymachine.machine.errors import InvalidOption

DOCKER_MACHINES = """
ami device-name endpoint iam-instance-profile instance-type keypair-name monitoring open-port private-address-only
region request-spot-instance root-size security-group security-group-readonly spot-price ssh-keypath ssh-port ssh-user
subnet-id tags use-ebs-optimized-instance use-private-address userdata volume-type vpc-id zone
"""


def test_docker_machines_flags_are_there_and_no_secret_is() -> None:
    flags = {spec.flag.removeprefix("--amazonec2-") for spec in options_.describe("amazonec2", Options)}
    assert set(DOCKER_MACHINES.split()) <= flags
    assert not flags & {"access-key", "secret-key", "session-token"}


DOCKER_MACHINES_VARIABLES = """
AMI DEFAULT_REGION DEVICE_NAME ENDPOINT INSTANCE_PROFILE INSTANCE_TYPE KEYPAIR_NAME ROOT_SIZE SECURITY_GROUP
SECURITY_GROUP_READONLY SSH_KEYPATH SSH_USER SUBNET_ID TAGS USERDATA VOLUME_TYPE VPC_ID ZONE
"""


def test_docker_machines_variables_are_there() -> None:
    """All but those of credentials, which are boto3's own."""
    known = {spec.env for spec in options_.describe("amazonec2", Options)}
    assert {f"AWS_{name}" for name in DOCKER_MACHINES_VARIABLES.split()} <= known


def test_docker_machines_variables_are_heeded() -> None:
    env = {"AWS_INSTANCE_TYPE": "m5.large", "AWS_SSH_USER": "me", "AWS_ZONE": "b", "AWS_ROOT_SIZE": "30"}
    built = options_.build("amazonec2", Options, {}, env)
    assert (built.instance_type, built.ssh_user, built.zone, built.root_size) == ("m5.large", "me", "b", 30)


def test_the_defaults_have_no_problem() -> None:
    assert Options().problems() == []


def test_every_problem_is_told_at_once() -> None:
    wrong = Options(instance_type="big", ssh_port=0, root_size=0, spot_price="much", tags=("a",), open_port=("x",))
    told = "; ".join(wrong.problems())
    for flag in ("instance-type", "ssh-port", "root-size", "spot-price", "tags", "open-port"):
        assert f"--amazonec2-{flag}" in told


@pytest.mark.parametrize(
    "given",
    [
        {"keypair_name": "k"},
        {"open_port": ("80",), "security_group": ("g",)},
        {"elastic_ip": True, "use_private_address": True},
        {"ipv6": True, "private_address_only": True},
        {"session_manager": True, "ssh_proxy_command": "x"},
        {"hibernate": True, "request_spot_instance": True},
        {"spot_only": True},
        {"spot_interruption": "cry"},
        {"tenancy": "hotel"},
        {"distribution": "slackware"},
        {"allow_from": ("everybody",)},
        {"endpoint": "aws.example"},
        {"userdata": "/nonexistent"},
        {"volume": ("0",)},
    ],
)
def test_what_does_not_go_together_is_told(given: dict[str, Any]) -> None:
    assert len(Options(**given).problems()) == 1


def test_tags_in_both_spellings() -> None:
    assert parse_tags(["a=1,b=2", "c,3,d,4"]) == {"a": "1", "b": "2", "c": "3", "d": "4"}
    for wrong in ("a,b,c", "aws:x=1", "pymachine:machine-id=1", "Name=x", "=1"):
        with pytest.raises(InvalidOption):
            parse_tags([wrong])


def test_ports_and_volumes() -> None:
    assert parse_port("53/udp") == Port(53, "udp")
    assert parse_volume("10,type=io2,iops=500,keep", 1) == Volume(10, "/dev/sdg", "io2", 500, keep=True)
    for wrong in ("0", "70000", "80/sctp", "http"):
        with pytest.raises(InvalidOption):
            parse_port(wrong)
    for wrong in ("x", "10,type=tape", "10,type=io2", "10,colour=red", "10,device=sdf", "10,keep=no"):
        with pytest.raises(InvalidOption):
            parse_volume(wrong, 0)


def test_a_zone_is_a_letter_or_a_name() -> None:
    assert zone_name("b", "eu-west-1") == zone_name("eu-west-1b", "eu-west-1") == "eu-west-1b"


def test_the_driver_has_an_alias() -> None:
    from pymachine.drivers import registry

    assert registry.load("aws") is AmazonEC2Driver
