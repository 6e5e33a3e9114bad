"""What AWS does to its callers, and how it is borne or told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.base import State
from pymachine.machine.errors import DeadlineExceeded, MissingRequirement, PreCreateCheckFailed
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living
from support.program import Program

pytestmark = pytest.mark.root


def test_a_whole_life_with_a_third_of_all_calls_throttled(ec2: Lab, tmp_path: Path) -> None:
    """And with reads that do not find what is there, changes that take their time, and a group that is long in use."""
    ec2.set(throttle=0.3, absent_reads=3, slow_states=2, violations=2)
    machine = Machine(ec2, tmp_path, elastic_ip=True)
    machine.driver.pre_create_check()
    machine.create()
    assert len(living(ec2)) == 1
    machine.driver.stop()
    assert machine.driver.state() is State.STOPPED
    machine.driver.start()
    machine.driver.restart()
    assert machine.driver.state() is State.RUNNING
    machine.driver.kill()
    machine.driver.remove()
    ec2.set()
    assert machine.driver.leftovers() == []


def test_throttling_without_end_ends_at_the_deadline(ec2: Lab, tmp_path: Path) -> None:
    ec2.set(throttle=1.0)
    machine = Machine(ec2, tmp_path, timeout=1)
    with pytest.raises(DeadlineExceeded, match=r"asking AWS for ec2:DescribeInstanceTypes.*Request limit exceeded"):
        machine.create()


@pytest.mark.parametrize("action", ["RunInstances", "CreateSecurityGroup", "ImportKeyPair"])
def test_a_denied_action_is_named_and_what_was_made_can_be_removed(ec2: Lab, tmp_path: Path, action: str) -> None:
    ec2.set(denied=[action])
    machine = Machine(ec2, tmp_path)
    with pytest.raises(Refused, match=f"AWS denied ec2:{action} to the credentials") as refused:
        machine.create()
    assert refused.value.hint == f"allow ec2:{action} in the identity's policy"
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_a_launch_that_is_not_allowed_is_known_before_create(ec2: Lab, tmp_path: Path) -> None:
    ec2.set(denied=["RunInstances"])
    with pytest.raises(PreCreateCheckFailed, match="AWS denied ec2:RunInstances"):
        Machine(ec2, tmp_path).driver.pre_create_check()


@pytest.mark.parametrize(
    ("code", "message"),
    [("RequestExpired", "have expired"), ("ExpiredToken", "have expired"), ("AuthFailure", "does not accept")],
)
def test_credentials_that_do_not_work_are_told(ec2: Lab, tmp_path: Path, code: str, message: str) -> None:
    ec2.set(broken=code)
    with pytest.raises(PreCreateCheckFailed, match=message):
        Machine(ec2, tmp_path).driver.pre_create_check()


def test_an_endpoint_that_nobody_listens_at_is_told(ec2: Lab, tmp_path: Path) -> None:
    with pytest.raises(PreCreateCheckFailed, match="Could not connect"):
        Machine(ec2, tmp_path, endpoint="http://127.0.0.1:1").driver.pre_create_check()


def test_missing_credentials_are_told_by_the_program(ec2: Lab, tmp_path: Path) -> None:
    env = {**ec2.environment(), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = Program(tmp_path, env).run("create", "-d", "aws", "m")
    assert done.returncode == 3
    assert "no AWS credentials for ec2:DescribeInstanceTypes" in done.stderr
    assert "aws sso login" in done.stderr


def test_without_boto3_the_extra_is_named(ec2: Lab, tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text("raise ImportError(\"No module named 'boto3'\")\n")
    program = Program(tmp_path / "store", {**ec2.environment(), "PYTHONPATH": str(tmp_path)})
    done = program.run("create", "-d", "aws", "m")
    assert done.returncode == 3
    assert "the amazonec2 driver needs boto3: No module named 'boto3'" in done.stderr
    assert "pip install 'pymachine[aws]'" in done.stderr
    assert program.ok("ls", "-q") == ""


def test_a_profile_that_is_not_there_is_told(ec2: Lab, tmp_path: Path) -> None:
    with pytest.raises((MissingRequirement, PreCreateCheckFailed), match="nobody"):
        Machine(ec2, tmp_path, profile="nobody", region="").driver.pre_create_check()
