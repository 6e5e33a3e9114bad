"""Instances as EC2 describes them: found, asked for their state, waited for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.base import State
from pymachine.machine.errors import DriverError, MachineError

Instance = dict[str, Any]
STATES = {
    "pending": State.STARTING,
    "running": State.RUNNING,
    "stopping": State.STOPPING,
    "shutting-down": State.STOPPING,
    "stopped": State.STOPPED,
    "terminated": State.ERROR,
}
GONE = ("terminated", "shutting-down")
NOT_YET = ("InvalidInstanceID.NotFound",)
CONSOLE_TAIL = 2000
"""Characters of the console that are quoted."""


def name_of_state(instance: Instance | None) -> str:
    """EC2's word; *terminated* for an instance that EC2 has forgotten, as it does after an hour."""
    return str(instance["State"]["Name"]) if instance else "terminated"


def find(cloud: Cloud, machine_id: str, *, states: Collection[str] = ()) -> list[Instance]:
    """A machine's instances that are not terminated, or are in one of *states*; by its tag."""
    wanted = [{"Name": "instance-state-name", "Values": list(states or (set(STATES) - {"terminated"}))}]
    found = cloud.pages("DescribeInstances", "Reservations", Filters=tags.of_machine(machine_id) + wanted)
    return [instance for reservation in found for instance in reservation["Instances"]]


def describe(cloud: Cloud, instance_id: str) -> Instance | None:
    """One instance; ``None`` when EC2 does not know it."""
    try:
        reservations = cloud.call("DescribeInstances", InstanceIds=[instance_id]).get("Reservations") or []
    except Refused as error:
        if error.absent:
            return None
        raise
    return reservations[0]["Instances"][0] if reservations else None


def wait_for(cloud: Cloud, instance_id: str, state: str, *, new: bool = False) -> Instance | None:
    """Wait until an instance is in *state*. One that ends meanwhile is a `DriverError` with EC2's reason; a *new* one
    may not be found at first."""
    patience = cloud.patience
    seen: list[Instance | None] = [None]

    def ask() -> Instance | None:
        seen[0] = describe(cloud, instance_id)
        if state != "terminated" and (seen[0] or not new) and name_of_state(seen[0]) in GONE:
            raise DriverError(f"instance {instance_id} was terminated: {reason(seen[0])}")
        return seen[0]

    return patience.until(
        ask,
        lambda instance: (instance is not None or state == "terminated") and name_of_state(instance) == state,
        f"waiting for instance {instance_id} to be {state}",
        last=lambda instance: f"it is {name_of_state(instance)}: {reason(instance)}",
        look_at=lambda: console(cloud, instance_id),
    )


def reason(instance: Instance | None) -> str:
    """Why an instance is in its state, in EC2's words."""
    if instance is None:
        return "EC2 does not know it any more"
    told = instance.get("StateReason", {}).get("Message") or instance.get("StateTransitionReason")
    return str(told or "EC2 gives no reason")


def console(cloud: Cloud, instance_id: str) -> str:
    """The end of the console's output; empty when there is none."""
    try:
        output = cloud.call("GetConsoleOutput", InstanceId=instance_id).get("Output") or ""
    except MachineError:  # it is only told beside another error
        return ""
    return f"the console ends: {output[-CONSOLE_TAIL:].strip()}" if output.strip() else ""


def address(instance: Instance | None, options: Options) -> str:
    """The address by which the machine is reached; empty when it has none now."""
    if instance is None:
        return ""
    if options.ipv6:
        found = [
            entry["Ipv6Address"]
            for interface in instance.get("NetworkInterfaces") or ()
            for entry in interface.get("Ipv6Addresses") or ()
            if entry.get("Ipv6Address")
        ]
        return str(instance.get("Ipv6Address") or (found[0] if found else ""))
    key = "PrivateIpAddress" if options.private() else "PublicIpAddress"
    return str(instance.get(key) or "")
