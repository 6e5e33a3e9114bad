"""Where an instance goes: VPC, subnets in the order to try, and the security groups that were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.amazonec2.cloud import Cloud, filters
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.options import Options
from pymachine.machine.errors import InvalidOption


@dataclass(frozen=True, slots=True)
class Place:
    """The VPC, and its subnets to try."""

    vpc: str
    ranges: tuple[str, ...]
    """The VPC's own networks."""
    subnets: tuple[tuple[str, str], ...]
    """Each with its zone."""


def find_place(cloud: Cloud, options: Options) -> Place:
    """As the options say, else the default VPC. Raises `InvalidOption` naming what does not fit."""
    zone = zone_name(options.zone, cloud.account.region)
    if options.subnet_id:
        subnets = [_subnet(cloud, options.subnet_id)]
        vpc_id = subnets[0]["VpcId"]
        if options.vpc_id and vpc_id != options.vpc_id:
            raise InvalidOption(f"--amazonec2-subnet-id: {options.subnet_id} is in {vpc_id}, not in {options.vpc_id}")
        if zone and subnets[0]["AvailabilityZone"] != zone:
            raise InvalidOption(f"--amazonec2-subnet-id: {options.subnet_id} is not in zone {zone}")
        return _place(_vpc(cloud, vpc_id), subnets)
    vpc = _vpc(cloud, options.vpc_id) if options.vpc_id else _default_vpc(cloud)
    return _place(vpc, _subnets(cloud, vpc["VpcId"], zone, options))


def zone_name(zone: str, region: str) -> str:
    """A zone by its letter, as docker-machine has it, or by its whole name."""
    return f"{region}{zone}" if len(zone) == 1 else zone


def groups(cloud: Cloud, vpc: str, wanted: Sequence[str]) -> list[str]:
    """Ids of security groups given by id or name; they are only read. Raises `InvalidOption`."""
    if not wanted:
        return []
    found = list(cloud.pages("DescribeSecurityGroups", "SecurityGroups", Filters=filters(vpc_id=vpc)))
    by_word = {word: group["GroupId"] for group in found for word in (group["GroupName"], group["GroupId"])}
    if missing := [word for word in wanted if word not in by_word]:
        raise InvalidOption(f"--amazonec2-security-group: {vpc} has no security group {', '.join(missing)}")
    return [by_word[word] for word in wanted]


def _place(vpc: dict[str, Any], subnets: list[dict[str, Any]]) -> Place:
    associated = [entry["CidrBlock"] for entry in vpc.get("CidrBlockAssociationSet") or ()]
    return Place(
        vpc["VpcId"],
        tuple(dict.fromkeys([vpc["CidrBlock"], *associated])),
        tuple((subnet["SubnetId"], subnet["AvailabilityZone"]) for subnet in subnets),
    )


def _subnet(cloud: Cloud, subnet_id: str) -> dict[str, Any]:
    return _only(cloud, "DescribeSubnets", "Subnets", "--amazonec2-subnet-id", SubnetIds=[subnet_id])


def _vpc(cloud: Cloud, vpc_id: str) -> dict[str, Any]:
    return _only(cloud, "DescribeVpcs", "Vpcs", "--amazonec2-vpc-id", VpcIds=[vpc_id])


def _only(cloud: Cloud, action: str, key: str, flag: str, **ids: list[str]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = cloud.call(action, **ids)[key][0]
        return found
    except (Refused, LookupError) as error:
        if isinstance(error, Refused) and not error.absent:
            raise
        (wanted,) = ids.values()
        raise InvalidOption(f"{flag}: there is no {wanted[0]} in {cloud.account.region}") from error


def _default_vpc(cloud: Cloud) -> dict[str, Any]:
    found = cloud.call("DescribeVpcs", Filters=filters(is_default="true")).get("Vpcs") or []
    if not found:
        raise InvalidOption(
            f"region {cloud.account.region} has no default VPC",
            hint="name one by --amazonec2-vpc-id or --amazonec2-subnet-id, or: aws ec2 create-default-vpc",
        )
    vpc: dict[str, Any] = found[0]
    return vpc


def _subnets(cloud: Cloud, vpc: str, zone: str, options: Options) -> list[dict[str, Any]]:
    """Zones' default subnets first, then those with the most free addresses; one a zone is enough."""
    wanted = filters(vpc_id=vpc, state="available") + (filters(availability_zone=zone) if zone else [])
    found = list(cloud.pages("DescribeSubnets", "Subnets", Filters=wanted))
    if options.ipv6:
        found = [subnet for subnet in found if subnet.get("Ipv6CidrBlockAssociationSet")]
    found.sort(key=lambda subnet: (not subnet.get("DefaultForAz"), -subnet.get("AvailableIpAddressCount", 0)))
    by_zone: dict[str, dict[str, Any]] = {}
    for subnet in found:
        by_zone.setdefault(subnet["AvailabilityZone"], subnet)
    if not by_zone:
        what = "subnet with IPv6" if options.ipv6 else "subnet"
        raise InvalidOption(f"{vpc} has no {what} in {f'zone {zone}' if zone else cloud.account.region}")
    return sorted(by_zone.values(), key=lambda subnet: str(subnet["AvailabilityZone"]))
