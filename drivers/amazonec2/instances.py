"""Instances as EC2 describes them: found, asked for their state, waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.cloud import PAGE, Cloud
from pymachine.drivers.amazonec2.gathering import Gathering, per_account
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


def find(cloud: Cloud, machine_id: str) -> list[Instance]:
    """A machine's instances that are not terminated; by its tag."""
    return _of_machines(cloud.account).once(cloud, machine_id) or []


def describe(cloud: Cloud, instance_id: str) -> Instance | None:
    """One instance; ``None`` when EC2 does not know it."""
    return _by_id(cloud.account).once(cloud, instance_id)


@per_account
def _of_machines() -> Gathering[list[Instance]]:
    def ask(cloud: Cloud, machine_ids: Sequence[str]) -> Mapping[str, list[Instance]]:
        wanted = [{"Name": "instance-state-name", "Values": sorted(set(STATES) - {"terminated"})}]
        found: dict[str, list[Instance]] = defaultdict(list)
        for instance in search(cloud, tags.of_machines(machine_ids) + wanted):
            found[tags.value(instance, tags.MACHINE)].append(instance)
        return found

    return Gathering(ask)


def by_ids(cloud: Cloud, ids: Sequence[str]) -> Mapping[str, Instance]:
    """Those that EC2 knows, of no more than a filter takes."""
    # A filter and not InstanceIds: one id that is unknown would make an error of the whole call.
    wanted = [{"Name": "instance-id", "Values": list(ids)}]
    return {instance["InstanceId"]: instance for instance in search(cloud, wanted)}


@per_account
def _by_id() -> Gathering[Instance]:
    return Gathering(by_ids)


def search(cloud: Cloud, filters: list[dict[str, Any]]) -> Iterator[Instance]:
    """All that the filters let through."""
    for reservation in cloud.pages("DescribeInstances", "Reservations", Filters=filters, MaxResults=PAGE):
        yield from reservation["Instances"]


def wait_for(cloud: Cloud, instance_id: str, state: str, *, new: bool = False) -> Instance | None:
    """Wait until an instance is in *state*. One that ends meanwhile is a `DriverError` with EC2's reason; a *new* one
    may not be found at first. Instances that are waited for at once are asked for together."""

    def check(seen: Instance | None) -> Instance | None:
        if state != "terminated" and (seen or not new) and name_of_state(seen) in GONE:
            raise DriverError(f"instance {instance_id} was terminated: {reason(seen)}")
        return seen

    with _by_id(cloud.account).about(instance_id) as ask:
        return cloud.patience.until(
            lambda: check(ask(cloud)),
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
