"""The network of these tests has no way out."""

from __future__ import annotations

import errno
import json
import socket
import subprocess

import pytest

from support.ec2.lab import Lab

pytestmark = pytest.mark.root


def test_there_is_no_way_but_loopback(ec2: Lab) -> None:
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    routes = subprocess.run(["ip", "route"], capture_output=True, check=True).stdout
    assert [link["ifname"] for link in links] == ["lo"]
    assert routes == b""
    with socket.socket() as outside, pytest.raises(OSError) as refused:
        outside.connect(("203.0.113.1", 22))
    assert refused.value.errno == errno.ENETUNREACH


def test_no_answer_has_an_address_that_moto_made_up(ec2: Lab) -> None:
    client = ec2.client()
    client.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)
    (reservation,) = client.describe_instances()["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["PublicIpAddress"].startswith("127.")
