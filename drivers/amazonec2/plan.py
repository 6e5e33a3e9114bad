"""What will be made, found out before anything is: the same facts for the check, for create, and for its resumption.

A plan is written to the record before the first call that makes anything, for EC2 takes a repeated call as the same
only when every parameter is the same (EC2 API reference, "Ensuring idempotency").
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.amazonec2 import firewall, images, keypair, network, sharing, tags, types
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.base import Context
from pymachine.machine.errors import InvalidOption


@dataclass(frozen=True, slots=True)
class Plan:
    """Plain values: it is kept in the record as JSON."""

    region: str
    image: str
    root_device: str
    root_size: int
    user: str
    vpc: str
    subnets: list[list[str]]
    """Subnet and zone, in the order to try."""
    types: list[str]
    groups: list[str]
    """Given security groups; empty when one is to be made."""
    sources: list[str]
    """Networks that may reach the group that is made."""
    tags: list[dict[str, str]]

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return dataclasses.asdict(self)


_checked: dict[tuple[str, Options], Plan] = {}
"""Of machines whose check has passed, for the create that follows in the same process."""


def remember(context: Context, options: Options, plan: Plan) -> None:
    """Keep what the check before create found out."""
    _checked[context.machine_id, options] = plan


def remembered(cloud: Cloud, options: Options, context: Context) -> Plan:
    """What the check found out, else what is found out now."""
    return _checked.pop((context.machine_id, options), None) or make_plan(cloud, options, context)


def make_plan(cloud: Cloud, options: Options, context: Context) -> Plan:
    """Ask AWS, and make nothing; machines with the same options that are made at once ask together (`sharing`).
    Raises `InvalidOption` for what does not fit."""
    found = sharing.find_out(cloud, options, lambda: _find(cloud, options))
    return dataclasses.replace(found, tags=tags.tags_of(context, options.own_tags()))


def _find(cloud: Cloud, options: Options) -> Plan:
    """The plan but for the tags, which are each machine's own."""
    known = types.describe(cloud, options.types())
    if problems := types.problems(known, options):
        raise InvalidOption("; ".join(problems))
    image = images.find_image(
        cloud,
        ami=options.ami,
        distribution=options.distribution,
        architectures=types.architectures(known),
        instance_type=options.instance_type,
    )
    place = network.find_place(cloud, options)
    groups = network.groups(cloud, place.vpc, options.security_group)
    if options.keypair_name and not keypair.exists(cloud, options.keypair_name):
        raise InvalidOption(f"--amazonec2-keypair-name: there is no key pair {options.keypair_name}")
    return Plan(
        region=cloud.account.region,
        image=image.id,
        root_device=options.device_name or image.root_device,
        root_size=max(options.root_size, image.size),
        user=options.ssh_user or image.user,
        vpc=place.vpc,
        subnets=[list(subnet) for subnet in place.subnets],
        types=options.types(),
        groups=groups,
        sources=[] if groups else firewall.sources(options, place.ranges),
        tags=[],
    )
