"""SIGKILL after each API call of create and of remove: never two instances, and nothing left.

For each way that an instance comes to exist, with reads that do not find what was just made, and changes of state that
take their time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import driver
from pymachine.drivers.base import State
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living

pytestmark = [pytest.mark.root, pytest.mark.slow]
EC2_AS_IT_IS: dict[str, Any] = {"absent_reads": 2, "slow_states": 1}
CREATE = {"RunInstances", "ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"}
STEPS = {"ImportKeyPair": "create.key", "CreateSecurityGroup": "create.group", "RunInstances": "create.launch",
         "AllocateAddress": "create.address"}  # fmt: skip
"""What is in the journal before something is made."""
REMOVE = {"TerminateInstances", "DeleteKeyPair", "DeleteSecurityGroup"}


@dataclass(frozen=True)
class Way:
    """Options of a create, and calls that must be among those that it and its remove are killed after."""

    options: dict[str, Any]
    create: set[str] = field(default_factory=set)
    remove: set[str] = field(default_factory=set)


WAYS = {
    "on-demand": Way({}),
    "spot": Way(
        {"request_spot_instance": True, "spot_only": True, "spot_interruption": "stop"},
        remove={"CancelSpotInstanceRequests"},
    ),
    "elastic": Way({"elastic_ip": True}, {"AllocateAddress", "AssociateAddress"}, {"ReleaseAddress"}),
}


@pytest.fixture(autouse=True)
def _as_long_as_it_takes(ec2: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SETTLE_SECONDS", 60.0)  # nobody waits for what is never there


def new(ec2: Lab, place: Path, way: str) -> Iterator[tuple[int, Machine]]:
    """A machine for each call after which a process is killed."""
    for number in itertools.count(1):
        ec2.set(**EC2_AS_IT_IS)
        yield number, Machine(ec2, place / str(number), **WAYS[way].options)


def ended(machine: Machine, number: int, verb: str, wanted: set[str]) -> bool:
    """Do *verb* in a process that is killed when its call *number* has been done, and before it is answered. True when
    it came to its end: then it has made no call more than were there to be killed after, and all those of *wanted*."""
    if machine.killed_after_call(number, lambda killed: getattr(killed, verb)(), **EC2_AS_IT_IS):
        assert len(machine.calls) == number, machine.calls
        begun = machine.bench.journal.steps()
        assert {STEPS[call] for call in machine.calls if call in STEPS} <= set(begun), machine.calls
        return False
    assert len(machine.calls) < number, machine.calls
    assert wanted <= set(machine.calls)
    return True


def nothing_is_left(ec2: Lab, machine: Machine) -> None:
    ec2.set()
    assert ec2.tagged() == [], machine.calls


@pytest.mark.parametrize("way", WAYS)
def test_what_is_killed_after_any_call_goes_on(ec2: Lab, tmp_path: Path, way: str) -> None:
    """The next create ends with one instance; the next remove with nothing, after any call of the first."""
    wanted = WAYS[way]
    for number, machine in new(ec2, tmp_path, way):
        created = ended(machine, number, "create", CREATE | wanted.create)
        assert machine.create().state() is State.RUNNING, machine.calls
        assert living(ec2) == [machine.resources["instance"]], machine.calls
        assert len(ec2.client().describe_addresses()["Addresses"]) == (way == "elastic"), machine.calls
        gone = ended(machine, number, "remove", REMOVE | wanted.remove)
        if not gone:
            machine.driver.remove()
        nothing_is_left(ec2, machine)
        if created and gone:
            return


@pytest.mark.parametrize("way", WAYS)
def test_a_create_killed_after_any_call_is_removed_wholly(ec2: Lab, tmp_path: Path, way: str) -> None:
    for number, machine in new(ec2, tmp_path, way):
        created = ended(machine, number, "create", CREATE | WAYS[way].create)
        machine.driver.remove()
        nothing_is_left(ec2, machine)
        if created:
            return


def test_one_create_killed_again_and_again_makes_one_instance(ec2: Lab, tmp_path: Path) -> None:
    """Each attempt comes one call further than the one before, with throttling in between."""
    machine = Machine(ec2, tmp_path)
    faults = {"throttle": 0.3, "slow_states": 1}
    for number in range(1, 100):
        if not machine.killed_after_call(number, lambda killed: killed.create(), **faults):
            break
        assert len(living(ec2)) <= 1
    assert living(ec2) == [machine.resources["instance"]]
    machine.driver.remove()
    nothing_is_left(ec2, machine)
