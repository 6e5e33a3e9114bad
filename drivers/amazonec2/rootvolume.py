"""Bring a running instance's root volume back to what it was when an image was made of it.

EC2 puts a new volume in the old one's place and reboots; instance, addresses and further volumes stay. Source: EC2 API
reference, CreateReplaceRootVolumeTask: the snapshot must be one of the instance's own root volumes.
"""

from __future__ import annotations

import uuid
from typing import Any

from pymachine.drivers.amazonec2 import instances
from pymachine.drivers.amazonec2.cloud import Cloud, filters
from pymachine.drivers.amazonec2.tags import specification
from pymachine.drivers.base import Context
from pymachine.machine.errors import DriverError

UNDER_WAY = ("pending", "in-progress", "failing")
ENDS = {
    "failed": "the instance has its old root volume",
    "failed-detached": "the instance has no root volume now; stop it, and attach one",
}


def replace(cloud: Cloud, context: Context, instance_id: str, image: dict[str, Any], tagged: list[Any]) -> None:
    """Replace the root volume by one of *image*, and delete the old one. Raises `DriverError` with EC2's reason."""
    snapshot = _root_snapshot(image)
    for task in _tasks(cloud, instance_id, UNDER_WAY):  # of a restore that was cut off
        _ended(cloud, task["ReplaceRootVolumeTaskId"])
    token = uuid.uuid4().hex
    context.journal.begin("restore.root", snapshot=snapshot, token=token)
    task = cloud.call(
        "CreateReplaceRootVolumeTask",
        InstanceId=instance_id,
        SnapshotId=snapshot,
        DeleteReplacedRootVolume=True,
        ClientToken=token,
        TagSpecifications=[specification("replace-root-volume-task", tagged)],
    )["ReplaceRootVolumeTask"]
    identity = str(task["ReplaceRootVolumeTaskId"])
    context.report(f"Replacing the root volume by one of {snapshot}")
    state = _ended(cloud, identity)
    if state != "succeeded":
        why = ENDS.get(state, "EC2 gives no reason")
        raise DriverError(f"replacing the root volume of {instance_id} has {state} (task {identity}): {why}")
    _tag(cloud, instance_id, tagged)
    context.journal.complete("restore.root")


def _root_snapshot(image: dict[str, Any]) -> str:
    for mapping in image.get("BlockDeviceMappings") or ():
        if mapping.get("DeviceName") == image.get("RootDeviceName") and mapping.get("Ebs", {}).get("SnapshotId"):
            return str(mapping["Ebs"]["SnapshotId"])
    raise DriverError(f"image {image['ImageId']} has no snapshot of a root volume")


def _tasks(cloud: Cloud, instance_id: str, states: tuple[str, ...]) -> list[dict[str, Any]]:
    found = cloud.pages(
        "DescribeReplaceRootVolumeTasks", "ReplaceRootVolumeTasks", Filters=filters(instance_id=instance_id)
    )
    return [task for task in found if task["TaskState"] in states]


def _ended(cloud: Cloud, identity: str) -> str:
    """Wait for a task; its last state."""

    def ask() -> str:
        answer = cloud.call("DescribeReplaceRootVolumeTasks", ReplaceRootVolumeTaskIds=[identity])
        found = answer.get("ReplaceRootVolumeTasks") or [{}]  # a new one may not be found at once
        return str(found[0].get("TaskState", "pending"))

    return cloud.patience.until(
        ask,
        lambda state: state not in UNDER_WAY,
        f"waiting for the root volume to be replaced (task {identity})",
        last=lambda state: f"it is {state}",
    )


def _tag(cloud: Cloud, instance_id: str, tagged: list[Any]) -> None:
    """The new volume is made by EC2, without our tags."""
    instance = instances.describe(cloud, instance_id) or {}
    for mapping in instance.get("BlockDeviceMappings") or ():
        if mapping.get("DeviceName") == instance.get("RootDeviceName"):
            cloud.call("CreateTags", Resources=[mapping["Ebs"]["VolumeId"]], Tags=tagged)
