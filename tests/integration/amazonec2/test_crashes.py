"""SIGKILL after each API call of create and of remove: never two instances, and nothing left."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.base import State
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living

pytestmark = [pytest.mark.root, pytest.mark.slow]
EC2_AS_IT_IS: dict[str, Any] = {"absent_reads": 1, "slow_states": 1}
"""Reads do not find what was just made, and changes of state take their time."""
ENOUGH = 10
"""Fewer calls would mean that they are not seen."""


def test_a_create_killed_after_any_call_goes_on_to_one_instance(ec2: Lab, tmp_path: Path) -> None:
    for number in itertools.count(1):
        ec2.set(**EC2_AS_IT_IS)
        machine = Machine(ec2, tmp_path / str(number))
        if not machine.killed_after_call(number, lambda driver: driver.create(), **EC2_AS_IT_IS):
            machine.driver.remove()
            break
        assert machine.create().state() is State.RUNNING, number
        assert living(ec2) == [machine.resources["instance"]], number
        machine.driver.remove()
        assert (machine.driver.leftovers(), living(ec2)) == ([], []), number
    assert number > ENOUGH


def test_a_create_killed_after_any_call_is_removed_wholly(ec2: Lab, tmp_path: Path) -> None:
    for number in itertools.count(1):
        machine = Machine(ec2, tmp_path / str(number))
        killed = machine.killed_after_call(number, lambda driver: driver.create(), absent_reads=1)
        machine.driver.remove()
        assert (machine.driver.leftovers(), living(ec2)) == ([], []), number
        if not killed:
            break
    assert number > ENOUGH


def test_a_remove_killed_after_any_call_is_finished_by_the_next(ec2: Lab, tmp_path: Path) -> None:
    for number in itertools.count(1):
        machine = Machine(ec2, tmp_path / str(number), elastic_ip=True)
        machine.create()
        killed = machine.killed_after_call(number, lambda driver: driver.remove())
        machine.driver.remove()
        assert (machine.driver.leftovers(), living(ec2)) == ([], []), number
        if not killed:
            break
    assert number > ENOUGH


def test_one_create_killed_again_and_again_makes_one_instance(ec2: Lab, tmp_path: Path) -> None:
    """Each attempt comes one call further than the one before, with throttling in between."""
    machine = Machine(ec2, tmp_path)
    faults = {"throttle": 0.3, "slow_states": 1}
    for number in range(1, 100):
        if not machine.killed_after_call(number, lambda driver: driver.create(), **faults):
            break
        assert len(living(ec2)) <= 1
    assert living(ec2) == [machine.resources["instance"]]
    machine.driver.remove()
    assert machine.driver.leftovers() == []
