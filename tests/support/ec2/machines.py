"""Machines of the driver itself, and operations that are killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymachine.drivers.amazonec2 import AmazonEC2Driver
from pymachine.drivers.testing import Workbench
from support.ec2.lab import Lab


class Machine:
    """One machine; every operation is done by a new driver object, as by a new command."""

    def __init__(self, lab: Lab, directory: Path, *, timeout: float = 60, **options: Any) -> None:
        self.lab = lab
        self.bench = Workbench(directory / "bench", name="m", timeout=timeout)
        given = {"endpoint": lab.endpoint, "address_service": f"{lab.endpoint}/checkip", "region": "us-east-1"}
        self.options = AmazonEC2Driver.Options(**{**given, **options})
        self.said: list[str] = []
        self.calls: list[str] = []
        """What the process of `killed_after_call` asked for."""

    @property
    def driver(self) -> AmazonEC2Driver:
        context = self.bench.context()
        context.report = self.said.append
        return AmazonEC2Driver(self.options, context)

    @property
    def resources(self) -> dict[str, Any]:
        return self.bench.context().resources

    def create(self) -> AmazonEC2Driver:
        self.driver.create()
        return self.driver

    def instance(self) -> dict[str, Any]:
        """As EC2 describes it."""
        answer = self.lab.client().describe_instances(InstanceIds=[self.resources["instance"]])
        found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return found

    def killed_after_call(self, number: int, operation: Callable[[AmazonEC2Driver], None], **faults: Any) -> bool:
        """Run an operation in a process that is killed when its API call *number* has been done but not answered.
        False when it came to its end before."""
        begin, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(begin, 1)
            _run(lambda: operation(self.driver))
        self.lab.set(kill=child, kill_after=number, **faults)
        os.write(go, b"g")
        _, status = os.waitpid(child, 0)
        os.close(begin)
        os.close(go)
        self.calls = self.lab.log()
        self.lab.set(**faults)
        if status and not os.WIFSIGNALED(status):
            raise AssertionError(f"the operation failed by itself before call {number}; see its output above")
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _run(action: Callable[[], object]) -> None:
    """In the forked process: never return into the test runner."""
    status = 1
    try:
        action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def living(lab: Lab) -> list[str]:
    """All instances of the account that are not terminated."""
    reservations = lab.client().describe_instances()["Reservations"]
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [instance["InstanceId"] for instance in found if instance["State"]["Name"] != "terminated"]
