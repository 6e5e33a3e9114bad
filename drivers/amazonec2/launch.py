"""The launch call: its parameters, and the ways to try when there is no capacity.

Source: EC2 API reference, RunInstances.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.amazonec2.plan import Plan


@dataclass(frozen=True, slots=True)
class Way:
    """One way to get an instance."""

    type: str
    subnet: str
    zone: str
    spot: bool

    def __str__(self) -> str:
        return f"{self.type} in {self.zone}{' (spot)' if self.spot else ''}"


def ways(plan: Plan, options: Options) -> list[Way]:
    """In the order to try: other zones, then other types, then on-demand instead of spot."""
    markets = [True] if options.spot_only else [True, False] if options.request_spot_instance else [False]
    return [Way(kind, subnet, zone, spot) for spot in markets for kind in plan.types for subnet, zone in plan.subnets]


def token(machine_id: str, generation: int, way: Way) -> str:
    """The client token (at most 64 characters): the same for the same attempt, so that a repeated call finds the
    instance that the first one made; another one once an instance was terminated."""
    text = json.dumps([machine_id, generation, way.type, way.subnet, way.spot])
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Parts:
    """What was made before the launch."""

    groups: list[str]
    key_name: str
    """Empty when the key comes by other ways."""
    user_data: str
    expires_at: str = ""
    """When the instance turns itself off, and is to be gone with that; empty: never."""


def parameters(plan: Plan, options: Options, parts: Parts, way: Way, client_token: str) -> dict[str, Any]:
    """Of ``RunInstances``."""
    return {
        "ImageId": plan.image,
        "InstanceType": way.type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": client_token,
        "NetworkInterfaces": [_interface(options, parts.groups, way)],
        "BlockDeviceMappings": list(_volumes(plan, options)),
        # Containers are one hop further away than the host: with 1 they could not use IMDSv2 at all.
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
        "Monitoring": {"Enabled": options.monitoring},
        "DisableApiTermination": options.termination_protection,
        "TagSpecifications": [tags.specification(kind, plan.tags) for kind in _tagged(way)],
        **({"KeyName": parts.key_name} if parts.key_name else {}),
        **({"UserData": parts.user_data} if parts.user_data else {}),
        **({"InstanceInitiatedShutdownBehavior": "terminate"} if parts.expires_at else {}),
        **dict(_optional(options, way, parts.expires_at)),
    }


def _tagged(way: Way) -> list[str]:
    return ["instance", "volume", "network-interface"] + (["spot-instances-request"] if way.spot else [])


def _interface(options: Options, groups: list[str], way: Way) -> dict[str, Any]:
    interface: dict[str, Any] = {"DeviceIndex": 0, "SubnetId": way.subnet, "Groups": groups}
    interface["AssociatePublicIpAddress"] = not (options.private_address_only or options.ipv6)
    if options.ipv6:
        interface["Ipv6AddressCount"] = 1
    return interface


def _volumes(plan: Plan, options: Options) -> Iterator[dict[str, Any]]:
    root = {"VolumeSize": plan.root_size, "VolumeType": options.volume_type, "DeleteOnTermination": True}
    yield {"DeviceName": plan.root_device, "Ebs": root | _encrypted(options)}
    for volume in options.volumes():
        further = {"VolumeSize": volume.size, "VolumeType": volume.type, "DeleteOnTermination": not volume.keep}
        iops = {"Iops": volume.iops} if volume.iops else {}
        yield {"DeviceName": volume.device, "Ebs": further | iops | _encrypted(options)}


def _encrypted(options: Options) -> dict[str, Any]:
    return {"Encrypted": True, **({"KmsKeyId": options.kms_key} if options.kms_key else {})}


def _optional(options: Options, way: Way, expires_at: str) -> Iterator[tuple[str, Any]]:
    if options.use_ebs_optimized_instance:
        yield "EbsOptimized", True
    if options.iam_instance_profile:
        key = "Arn" if options.iam_instance_profile.startswith("arn:") else "Name"
        yield "IamInstanceProfile", {key: options.iam_instance_profile}
    placement = {"GroupName": options.placement_group, "Tenancy": options.tenancy}
    if any(placement.values()):
        yield "Placement", {key: value for key, value in placement.items() if value}
    if options.cpu_credits:
        yield "CreditSpecification", {"CpuCredits": options.cpu_credits}
    if options.hibernate:
        yield "HibernationOptions", {"Configured": True}
    if options.launch_template:
        yield "LaunchTemplate", _template(options.launch_template)
    if way.spot:
        yield "InstanceMarketOptions", {"MarketType": "spot", "SpotOptions": _spot(options, expires_at)}


def _template(text: str) -> dict[str, str]:
    name, _, version = text.partition(":")
    key = "LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName"
    return {key: name, "Version": version or "$Default"}


def _spot(options: Options, expires_at: str) -> dict[str, Any]:
    """An interruption that does not end the instance needs a request that stays open; until the machine's time is over,
    lest there be another instance after that."""
    ends = options.spot_interruption == "terminate"
    return {
        "SpotInstanceType": "one-time" if ends else "persistent",
        "InstanceInterruptionBehavior": options.spot_interruption,
        **({"ValidUntil": expires_at} if expires_at and not ends else {}),
        **({"MaxPrice": options.spot_price} if options.spot_price else {}),
    }
