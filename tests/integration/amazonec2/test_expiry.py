"""An instance whose time is over ends by itself, even if no pymachine runs any more.

What its timer does on a host is tested on a real one (`tests.integration.fleet.test_timers`).
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2.userdata import user_data
from support import cloudinit
from support.ec2.lab import Lab
from support.ec2.machines import Machine

pytestmark = pytest.mark.root

MOMENT = "2027-01-02T03:04:05Z"
MINE = "#cloud-config\nruncmd: [[touch, /mine]]\nwrite_files: [{path: /mine, content: x}]\n"


def attribute(ec2: Lab, machine: Machine, name: str) -> Any:
    described = ec2.client().describe_instance_attribute(InstanceId=machine.resources["instance"], Attribute=name)
    return described[f"{name[0].upper()}{name[1:]}"]["Value"]


def test_it_is_launched_to_be_terminated_when_it_turns_itself_off(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    driver = machine.driver
    driver.context.expires_at = MOMENT
    driver.create()

    assert attribute(ec2, machine, "instanceInitiatedShutdownBehavior") == "terminate"
    told = base64.b64decode(attribute(ec2, machine, "userData")).decode()
    assert "OnCalendar=2027-01-02 03:04:05 UTC" in told
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_cloud_init_makes_the_timer_and_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(MINE)
    text = user_data(name="m", public_key="k", make_user="", extra_path=str(tmp_path / "mine"), expires_at=MOMENT)
    config, _ = cloudinit.read(text, tmp_path)

    units = "/etc/systemd/system/pymachine-expiry"
    assert [file["path"] for file in config["write_files"]] == [f"{units}.service", f"{units}.timer", "/mine"]
    assert config["runcmd"][1:] == [["systemctl", "enable", "--now", "pymachine-expiry.timer"], ["touch", "/mine"]]
