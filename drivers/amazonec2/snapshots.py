"""Snapshots of a machine as images (AMIs), of which new machines can be made; they outlive the machine."""

from __future__ import annotations

import datetime
from typing import Any

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.base import Context, Snapshot
from pymachine.machine.errors import DriverError

NAME = "pymachine:snapshot"
OF = "pymachine:snapshot-of"
"""Not the machine's own tag: an image is kept when the machine is removed."""


def every(cloud: Cloud, machine_id: str) -> list[dict[str, Any]]:
    """A machine's images, the oldest first."""
    wanted = [{"Name": f"tag:{OF}", "Values": [machine_id]}]
    found = cloud.call("DescribeImages", Owners=["self"], Filters=wanted).get("Images") or []
    return sorted(found, key=lambda image: str(image.get("CreationDate", "")))


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
        raise DriverError(f'machine "{context.name}" has no snapshot "{name}"')
    return found


def create(cloud: Cloud, context: Context, instance_id: str, name: str, own: dict[str, str]) -> str:
    """Make an image of a running or stopped instance and wait for it; a running one reboots, so that its files are
    whole. The image's id."""
    if find(cloud, context.machine_id, name):
        raise DriverError(f'machine "{context.name}" has a snapshot "{name}" already')
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%S")
    kept = {**own, "Name": f"{context.name} {name}", NAME: name, OF: context.machine_id, tags.STORE: context.store_id}
    tagged = [{"Key": key, "Value": value} for key, value in kept.items()]
    image = str(
        cloud.call(
            "CreateImage",
            InstanceId=instance_id,
            Name=f"pymachine-{context.machine_id}-{moment}",
            Description=f"{context.name}: {name}",
            TagSpecifications=[tags.specification(kind, tagged) for kind in ("image", "snapshot")],
        )["ImageId"]
    )
    cloud.patience.until(
        lambda: cloud.call("DescribeImages", ImageIds=[image], eventually=("InvalidAMIID.NotFound",))["Images"][0],
        lambda found: _available(found),
        f"waiting for image {image}",
        last=lambda found: f"it is {found['State']}",
    )
    return image


def remove(cloud: Cloud, image: dict[str, Any]) -> None:
    """The image, and the volume snapshots behind it."""
    cloud.call("DeregisterImage", ImageId=image["ImageId"])
    for mapping in image.get("BlockDeviceMappings") or ():
        if snapshot := mapping.get("Ebs", {}).get("SnapshotId"):
            cloud.call("DeleteSnapshot", SnapshotId=snapshot)


def _available(image: dict[str, Any]) -> bool:
    if image["State"] in ("failed", "error", "invalid"):
        reason = image.get("StateReason", {}).get("Message", "EC2 gives no reason")
        raise DriverError(f"image {image['ImageId']} came to nothing: {reason}")
    return bool(image["State"] == "available")
