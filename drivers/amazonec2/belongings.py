"""Everything at EC2 that carries our tags: found by them, and removed in an order that works."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.amazonec2 import instances, tags
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.gathering import Gathering, per_account
from pymachine.drivers.base import Belonging
from pymachine.machine.errors import DriverError

KEEP = "pymachine:keep"
"""A volume with this tag outlives its machine."""
LIVING_REQUESTS = ("open", "active", "disabled")
LIVING_INSTANCES = ("pending", "running", "stopping", "stopped", "shutting-down")
Filters = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How things of one kind are listed and removed."""

    name: str
    action: str
    key: str
    id: str
    state: tuple[str, tuple[str, ...]] | None
    remove: Callable[[Cloud, str], Any]


def _delete(action: str, parameter: str, *gone: str, eventually: tuple[str, ...] = ()) -> Callable[[Cloud, str], None]:
    """Removal by one call; fine when the thing is gone. Codes of *eventually* are outwaited."""

    def remove(cloud: Cloud, identity: str) -> None:
        value = [identity] if parameter.endswith("Ids") else identity
        _outwaiting(cloud, lambda: cloud.call(action, **{parameter: value}), gone, eventually, identity)

    return remove


def _outwaiting(
    cloud: Cloud, call: Callable[[], object], gone: tuple[str, ...], eventually: tuple[str, ...], what: str
) -> None:
    attempt = 0
    while True:
        try:
            call()
            return
        except Refused as error:
            if error.absent or error.code in gone:
                return
            if error.code not in eventually:
                raise
            cloud.patience.pause(attempt, f"removing {what}, which is still in use", last_error=str(error))
            attempt += 1


KINDS = (
    _Kind(
        "spot request", "DescribeSpotInstanceRequests", "SpotInstanceRequests", "SpotInstanceRequestId",
        ("state", LIVING_REQUESTS), _delete("CancelSpotInstanceRequests", "SpotInstanceRequestIds"),
    ),
    _Kind(
        "instance", "DescribeInstances", "Reservations", "InstanceId",
        ("instance-state-name", LIVING_INSTANCES), _delete("TerminateInstances", "InstanceIds"),
    ),
    _Kind(
        "Elastic IP", "DescribeAddresses", "Addresses", "AllocationId",
        None, _delete("ReleaseAddress", "AllocationId", eventually=("InvalidIPAddress.InUse", "AuthFailure")),
    ),
    _Kind(
        "security group", "DescribeSecurityGroups", "SecurityGroups", "GroupId",
        None, _delete("DeleteSecurityGroup", "GroupId", eventually=("DependencyViolation", "InvalidGroup.InUse")),
    ),
    _Kind("key pair", "DescribeKeyPairs", "KeyPairs", "KeyName", None, _delete("DeleteKeyPair", "KeyName")),
    _Kind(
        "volume", "DescribeVolumes", "Volumes", "VolumeId",
        None, _delete("DeleteVolume", "VolumeId", eventually=("VolumeInUse", "IncorrectState")),
    ),
)  # fmt: skip


def find(cloud: Cloud, tagged: Filters, kinds: tuple[_Kind, ...] = KINDS) -> list[Belonging]:
    """All that has the tags, in the order of removal."""
    found: dict[str, Belonging] = {}
    for kind in kinds:
        for item in _items(cloud, kind, tagged):
            if not _kept(item):
                found[item[kind.id]] = _belonging(kind.name, item[kind.id], item)
            request = item.get("SpotInstanceRequestId", "")
            if kind.name == "instance" and request not in ("", *found):
                # Not found yet by its tags; left open it would launch another instance for the one that is terminated.
                found = {request: _belonging("spot request", request, item), **found}
    return list(found.values())


def _belonging(kind: str, identity: str, item: dict[str, Any]) -> Belonging:
    told = (tags.value(item, name) for name in (tags.MACHINE, tags.MACHINE_NAME, tags.STORE))
    return Belonging(kind, identity, *told)


def of_machine(cloud: Cloud, machine_id: str) -> list[Belonging]:
    """All that a machine has; machines that are removed at once are asked for together."""
    return _of_machines(cloud.account).once(cloud, machine_id) or []


@per_account
def _of_machines() -> Gathering[list[Belonging]]:
    def ask(cloud: Cloud, machine_ids: Sequence[str]) -> Mapping[str, list[Belonging]]:
        found: dict[str, list[Belonging]] = defaultdict(list)
        for item in find(cloud, tags.of_machines(machine_ids)):
            found[item.machine_id].append(item)
        return found

    return Gathering(ask)


def _items(cloud: Cloud, kind: _Kind, tagged: Filters) -> Iterator[Any]:
    wanted = tagged + ([{"Name": kind.state[0], "Values": list(kind.state[1])}] if kind.state else [])
    for item in cloud.pages(kind.action, kind.key, Filters=wanted):
        yield from item["Instances"] if kind.key == "Reservations" else [item]


def _kept(item: dict[str, Any]) -> bool:
    """Whether it is a volume that outlives its instance: said so by its tag, or by its attachment."""
    attachments = item.get("Attachments") or () if "VolumeId" in item else ()
    return bool(tags.value(item, KEEP)) or any(held.get("DeleteOnTermination") is False for held in attachments)


def remove(cloud: Cloud, found: list[Belonging], *, unprotect: bool = False) -> None:
    """Remove them, and wait for instances to be gone, since what they use cannot go before.

    With *unprotect* instances that are protected against termination go too.
    """
    by_name = {kind.name: kind for kind in KINDS}
    ids = [item.id for item in found if item.kind == "instance"]
    for item in found:
        if item.kind == "spot request":  # before its instance, in whose place it would launch another
            by_name[item.kind].remove(cloud, item.id)
    _terminate(cloud, ids, unprotect=unprotect)
    for identity in ids:
        instances.wait_for(cloud, identity, "terminated")
    for item in found:
        if item.kind not in ("spot request", "instance"):
            by_name[item.kind].remove(cloud, item.id)


def _terminate(cloud: Cloud, ids: Sequence[str], *, unprotect: bool) -> None:
    """By one call for these and those of other machines that are removed at once; each by itself when EC2 refuses, as
    it does for all when one of them is protected."""
    with contextlib.ExitStack() as stack:
        asks = [stack.enter_context(_terminations(cloud.account).about(identity)) for identity in ids]
        try:
            for ask in asks:
                ask(cloud)
            return
        except Refused:
            pass
    for identity in ids:
        _terminate_one(cloud, identity, unprotect=unprotect)


@per_account
def _terminations() -> Gathering[bool]:
    def ask(cloud: Cloud, ids: Sequence[str]) -> Mapping[str, bool]:
        cloud.call("TerminateInstances", InstanceIds=list(ids))
        return dict.fromkeys(ids, True)

    return Gathering(ask)


def _terminate_one(cloud: Cloud, instance_id: str, *, unprotect: bool) -> None:
    terminate = _delete("TerminateInstances", "InstanceIds")
    try:
        terminate(cloud, instance_id)
    except Refused as error:
        if error.code != "OperationNotPermitted":
            raise
        if not unprotect:
            raise DriverError(
                f"instance {instance_id} is protected against termination, though not by pymachine",
                hint=f"aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id {instance_id}",
            ) from error
        cloud.call("ModifyInstanceAttribute", InstanceId=instance_id, DisableApiTermination={"Value": False})
        terminate(cloud, instance_id)
