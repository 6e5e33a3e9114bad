"""One test for each thing that EC2 does to its callers and moto does not; each is borne, and seen to have happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.base import State
from pymachine.machine.errors import DeadlineExceeded, DriverError
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living

pytestmark = pytest.mark.root


def calls(ec2: Lab, operation: Callable[[], object], **faults: Any) -> list[str]:
    """What an operation asks for under these faults."""
    ec2.set(**faults)
    operation()
    return ec2.log()


def test_a_third_of_all_calls_throttled(ec2: Lab, tmp_path: Path) -> None:
    undisturbed, throttled = Machine(ec2, tmp_path / "1"), Machine(ec2, tmp_path / "2")
    for verb in ("create", "remove"):
        usual = calls(ec2, getattr(undisturbed.driver, verb))
        assert len(calls(ec2, getattr(throttled.driver, verb), throttle=0.3)) > len(usual)
    assert (throttled.driver.leftovers(), living(ec2)) == ([], [])


def test_an_instance_that_is_not_found_for_the_first_reads(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    asked = calls(ec2, machine.driver.create, absent_reads=4)
    assert asked[asked.index("RunInstances") :].count("DescribeInstances") == 5
    assert machine.driver.state() is State.RUNNING
    assert len(living(ec2)) == 1


def test_a_group_and_a_key_pair_that_are_not_found_at_first(ec2: Lab, tmp_path: Path) -> None:
    """Rules are added and the instance is launched when both are known everywhere."""
    machine = Machine(ec2, tmp_path)
    asked = calls(ec2, machine.driver.create, absent_uses=2)
    assert (asked.count("AuthorizeSecurityGroupIngress"), asked.count("RunInstances")) == (3, 3)
    assert machine.driver.state() is State.RUNNING


def test_a_group_that_is_long_in_use(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    assert calls(ec2, machine.driver.remove, violations=3).count("DeleteSecurityGroup") == 4
    assert machine.driver.leftovers() == []


def test_changes_of_state_that_take_their_time(ec2: Lab, tmp_path: Path) -> None:
    """Each verb waits for its own, and for that of the one before."""
    machine = Machine(ec2, tmp_path, elastic_ip=True)
    ec2.set(slow_states=2)
    machine.create()
    ids = [machine.resources["instance"]]
    machine.driver.cloud.call("StopInstances", InstanceIds=ids)
    assert machine.driver.state() is State.STOPPING
    machine.driver.start()
    assert machine.driver.state() is State.RUNNING
    machine.driver.stop()
    machine.driver.cloud.call("StartInstances", InstanceIds=ids)
    assert machine.driver.state() is State.STARTING
    machine.driver.stop()
    assert machine.driver.state() is State.STOPPED
    machine.driver.remove()
    assert machine.driver.leftovers() == []


def test_answers_that_are_lost_make_nothing_twice(ec2: Lab, tmp_path: Path) -> None:
    """Each call was done, and its connection broke: what it made is found again."""
    machine = Machine(ec2, tmp_path, elastic_ip=True)
    once = {"AllocateAddress": 1}  # which makes another each time
    twice = dict.fromkeys(("ImportKeyPair", "CreateSecurityGroup", "RunInstances", "AssociateAddress"), 2)
    wanted = {**once, **twice, "AuthorizeSecurityGroupIngress": 5}  # in the end one for each rule
    asked = calls(ec2, machine.driver.create, lost=list(wanted))
    assert {action: asked.count(action) for action in wanted} == wanted
    kinds = sorted(identity.partition("-")[0] for identity in ec2.tagged())
    assert kinds == ["eipalloc", "i", "key", "sg", "vol"]
    lost = ["TerminateInstances", "ReleaseAddress", "DeleteSecurityGroup", "DeleteKeyPair"]
    assert set(lost) <= set(calls(ec2, machine.driver.remove, lost=lost))
    assert ec2.tagged() == []


def test_an_address_that_is_told_late(ec2: Lab, tmp_path: Path) -> None:
    """For a while EC2 shows the one that the instance had before its Elastic IP: that is not where the machine is."""
    machine = Machine(ec2, tmp_path, elastic_ip=True)
    calls(ec2, machine.driver.create, stale_addresses=3)
    (given,) = ec2.client().describe_addresses()["Addresses"]
    assert machine.resources["address"] == machine.driver.address() == given["PublicIp"]


def test_a_token_that_was_used_with_other_parameters(ec2: Lab, tmp_path: Path) -> None:
    """The launch had been done, but not answered, when the user's file of user data was changed: its instance is found,
    though not by the first reads, and no other is launched."""
    extra = tmp_path / "extra.yaml"
    extra.write_text("#cloud-config\npackages: [one]\n")
    machine = Machine(ec2, tmp_path / "machine", userdata=str(extra))
    whole = calls(ec2, Machine(ec2, tmp_path / "other", userdata=str(extra)).create)
    before = living(ec2)
    assert machine.killed_after_call(whole.index("RunInstances") + 1, lambda driver: driver.create())
    extra.write_text("#cloud-config\npackages: [two]\n")
    asked = calls(ec2, machine.driver.create, absent_reads=2)
    assert asked.count("RunInstances") == 1
    assert sorted(living(ec2)) == sorted([*before, machine.resources["instance"]])


def test_a_token_whose_instance_was_terminated(ec2: Lab, tmp_path: Path) -> None:
    """Somebody terminated what a killed create had launched: the next one launches another."""
    machine = Machine(ec2, tmp_path)
    whole = calls(ec2, Machine(ec2, tmp_path / "other").create)
    before = living(ec2)
    assert machine.killed_after_call(whole.index("RunInstances") + 1, lambda driver: driver.create())
    (launched,) = set(living(ec2)) - set(before)
    ec2.client().terminate_instances(InstanceIds=[launched])
    assert calls(ec2, machine.driver.create).count("RunInstances") == 2
    assert machine.resources["instance"] != launched
    assert sorted(living(ec2)) == sorted([*before, machine.resources["instance"]])


def test_a_machine_whose_instance_was_terminated_is_made_anew_by_create(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path)
    first = machine.create().context.resources["instance"]
    ec2.client().terminate_instances(InstanceIds=[first])
    machine.create()
    assert living(ec2) == [machine.resources["instance"]] != [first]


def test_an_instance_that_ends_while_it_is_waited_for(ec2: Lab, tmp_path: Path) -> None:
    """EC2's reason is told at once."""
    machine = Machine(ec2, tmp_path)
    driver = machine.driver

    def terminate(line: str) -> None:
        if line.startswith("Waiting for instance"):
            ec2.client().terminate_instances(InstanceIds=[line.split()[-1]])

    driver.context.report = terminate
    with pytest.raises(DriverError, match=r"instance i-\w+ was terminated: .*User initiated shutdown"):
        driver.create()
    machine.driver.remove()
    assert machine.driver.leftovers() == []


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("start", "running: it is pending: EC2 gives no reason"),
        ("stop", "stopped: it is stopping: .*User initiated shutdown"),
        ("remove", "terminated: it is shutting-down: .*User initiated shutdown"),
    ],
)
def test_a_wait_that_does_not_end_quotes_the_state_its_reason_and_the_console(
    ec2: Lab, tmp_path: Path, verb: str, told: str
) -> None:
    machine = Machine(ec2, tmp_path)
    machine.create()
    if verb == "start":
        machine.driver.stop()
    ec2.set(slow_states=100000)
    machine.bench.timeout = 1
    with pytest.raises(DeadlineExceeded, match=rf"waiting for instance i-\w+ to be {told}") as ended:
        getattr(machine.driver, verb)()
    assert ended.value.hint.startswith("the console ends: ")
