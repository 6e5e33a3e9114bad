"""Find the machine image: by the publisher's SSM parameter, else by its owner and name."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.amazonec2 import catalogue
from pymachine.drivers.amazonec2.catalogue import DISTRIBUTIONS, Distribution
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.machine.errors import InvalidOption


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image."""

    id: str
    architecture: str
    """EC2's word: x86_64 or arm64."""
    root_device: str
    user: str
    size: int
    """GB that the root volume has at least."""


def find_image(cloud: Cloud, *, ami: str, distribution: str, architectures: list[str], instance_type: str) -> Image:
    """The image for an instance type that runs *architectures*. Raises `InvalidOption`."""
    if ami:
        return _given(cloud, ami, architectures, instance_type)
    wanted = DISTRIBUTIONS[distribution]
    architecture = "arm64" if architectures == ["arm64"] else "x86_64"
    found = _by_parameter(cloud, wanted, architecture) or _by_owner(cloud, wanted, architecture)
    if found is None:
        raise InvalidOption(
            f"--amazonec2-distribution: no image of {distribution} for {architecture} in {cloud.account.region}",
            hint="name one by --amazonec2-ami",
        )
    return _image(found, wanted.user)


def describe(cloud: Cloud, ami: str) -> dict[str, Any] | None:
    """What EC2 says of an image; ``None`` when there is no such one that we may use."""
    try:
        found = cloud.call("DescribeImages", ImageIds=[ami], IncludeDeprecated=True).get("Images") or []
        return found[0] if found else None
    except Refused as error:
        if error.code.startswith("InvalidAMIID"):
            return None
        raise


def _given(cloud: Cloud, ami: str, architectures: list[str], instance_type: str) -> Image:
    found = describe(cloud, ami)
    if found is None or found.get("State", "available") != "available":
        state = f" is {found['State']}" if found else " does not exist, or is not shared with this account"
        raise InvalidOption(f"--amazonec2-ami: {ami}{state} in {cloud.account.region}")
    if str(found.get("Platform") or "").lower() == "windows":
        raise InvalidOption(f"--amazonec2-ami: {ami} is an image of Windows; the engine needs Linux")
    image = _image(found, catalogue.user_of(found.get("OwnerId", ""), found.get("Name") or ""))
    if architectures and image.architecture not in architectures:
        raise InvalidOption(
            f"--amazonec2-ami: {ami} is for {image.architecture}, but {instance_type} is {' or '.join(architectures)}"
        )
    return image


def _by_parameter(cloud: Cloud, wanted: Distribution, architecture: str) -> dict[str, Any] | None:
    """Not every region or partition has the parameters, and not every identity may read them."""
    if not wanted.parameter:
        return None
    try:
        answer = cloud.call("ssm:GetParameter", Name=wanted.fill(wanted.parameter, architecture))
    except Refused:
        return None
    return describe(cloud, answer["Parameter"]["Value"])


def _by_owner(cloud: Cloud, wanted: Distribution, architecture: str) -> dict[str, Any] | None:
    """The newest that is not deprecated: by EC2 only its owner is told of such a one, but not by all that speak EC2."""
    named = [
        {"Name": "name", "Values": [wanted.fill(wanted.pattern, architecture)]},
        {"Name": "state", "Values": ["available"]},
        {"Name": "architecture", "Values": [architecture]},
    ]
    found = cloud.call("DescribeImages", Owners=[wanted.owner], Filters=named).get("Images") or []
    now = datetime.datetime.now(datetime.UTC).isoformat()
    current = [image for image in found if not "" < str(image.get("DeprecationTime") or "") <= now]
    return max(current, key=lambda image: str(image.get("CreationDate", "")), default=None)


def _image(found: dict[str, Any], user: str) -> Image:
    root = found.get("RootDeviceName") or "/dev/sda1"
    sizes = [
        mapping.get("Ebs", {}).get("VolumeSize") or 0
        for mapping in found.get("BlockDeviceMappings") or ()
        if mapping.get("DeviceName") == root
    ]
    return Image(found["ImageId"], found.get("Architecture", "x86_64"), root, user, max(sizes, default=0))
