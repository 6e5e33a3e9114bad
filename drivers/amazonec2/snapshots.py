"""Snapshots of a machine as images (AMIs), of which new machines can be made; they outlive the machine."""

from __future__ import annotations

import datetime
from typing import Any

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.cloud import Cloud, filters
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.base import Context, Snapshot
from pymachine.machine.errors import DriverError

NAME = "pymachine:snapshot"
OF = "pymachine:snapshot-of"
"""Not the machine's own tag: an image is kept when the machine is removed."""


def every(cloud: Cloud, machine_id: str) -> list[dict[str, Any]]:
    """A machine's images, the oldest first."""
    found = cloud.call("DescribeImages", Owners=["self"], Filters=_of(machine_id)).get("Images") or []
    return sorted(found, key=lambda image: str(image.get("CreationDate", "")))


def _of(machine_id: str) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{OF}", "Values": [machine_id]}]


def listed(cloud: Cloud, machine_id: str) -> list[Snapshot]:
    """As users see them."""
    return [
        Snapshot(tags.value(image, NAME), str(image.get("CreationDate", "")), running=False)
        for image in every(cloud, machine_id)
    ]


def find(cloud: Cloud, machine_id: str, name: str) -> dict[str, Any] | None:
    """The image of a snapshot."""
    return next((image for image in every(cloud, machine_id) if tags.value(image, NAME) == name), None)


def require(cloud: Cloud, context: Context, name: str) -> dict[str, Any]:
    """The same; raises `DriverError` when there is none."""
    found = find(cloud, context.machine_id, name)
    if found is None:
        raise _unknown(context, name)
    return found


def _unknown(context: Context, name: str) -> DriverError:
    return DriverError(f'machine "{context.name}" has no snapshot "{name}"')


def create(cloud: Cloud, context: Context, instance_id: str, name: str, own: dict[str, str]) -> str:
    """Make an image of a running or stopped instance and wait for it; a running one reboots, so that its files are
    whole. The image's id."""
    if find(cloud, context.machine_id, name):
        raise DriverError(f'machine "{context.name}" has a snapshot "{name}" already')
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%S")
    kept = {**own, "Name": f"{context.name} {name}", NAME: name, OF: context.machine_id, tags.STORE: context.store_id}
    tagged = [{"Key": key, "Value": value} for key, value in kept.items()]
    called = f"pymachine-{context.machine_id}-{moment}"
    try:
        image = cloud.call(
            "CreateImage",
            InstanceId=instance_id,
            Name=called,
            Description=f"{context.name}: {name}",
            TagSpecifications=[tags.specification(kind, tagged) for kind in ("image", "snapshot")],
        )["ImageId"]
    except Refused as error:
        if error.code != "InvalidAMIName.Duplicate":  # the call had no answer, and was repeated
            raise
        image = _image_called(cloud, called)
    cloud.patience.until(
        lambda: cloud.call("DescribeImages", ImageIds=[image], eventually=("InvalidAMIID.NotFound",))["Images"][0],
        lambda found: _available(found),
        f"waiting for image {image}",
        last=lambda found: f"it is {found['State']}",
    )
    return str(image)


def _image_called(cloud: Cloud, name: str) -> str:
    found = cloud.patience.until(
        lambda: cloud.call("DescribeImages", Owners=["self"], Filters=filters(name=name)).get("Images") or [],
        bool,
        f"waiting for image {name} to be found",
    )
    return str(found[0]["ImageId"])


def remove(cloud: Cloud, context: Context, name: str) -> None:
    """The image, and the volume snapshots behind it, also those that a remove which was cut off has left. Raises
    `DriverError` when there is nothing of that name."""
    image = find(cloud, context.machine_id, name)
    named = [*_of(context.machine_id), {"Name": f"tag:{NAME}", "Values": [name]}]
    behind = [one["SnapshotId"] for one in cloud.pages("DescribeSnapshots", "Snapshots", Filters=named)]
    if image is None and not behind:
        raise _unknown(context, name)
    if image is not None:
        mappings = [mapping.get("Ebs", {}) for mapping in image.get("BlockDeviceMappings") or ()]
        behind += [mapping["SnapshotId"] for mapping in mappings if mapping.get("SnapshotId")]
        _delete(cloud, "DeregisterImage", ImageId=image["ImageId"])
    for snapshot in dict.fromkeys(behind):
        _delete(cloud, "DeleteSnapshot", SnapshotId=snapshot)


def _delete(cloud: Cloud, action: str, **what: str) -> None:
    """Fine when it is gone."""
    try:
        cloud.call(action, **what)
    except Refused as error:
        if not error.absent and error.code != "InvalidAMIID.Unavailable":  # as a deregistered image is called
            raise


def _available(image: dict[str, Any]) -> bool:
    if image["State"] in ("failed", "error", "invalid"):
        reason = image.get("StateReason", {}).get("Message", "EC2 gives no reason")
        raise DriverError(f"image {image['ImageId']} came to nothing: {reason}")
    return bool(image["State"] == "available")
