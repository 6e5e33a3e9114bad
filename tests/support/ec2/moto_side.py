"""What the front asks of moto's own objects, which live in the same process."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any
from xml.etree import ElementTree

ACCOUNT = "123456789012"
MACHINE = "pymachine:machine-id"
CANONICAL = "099720109477"
PUBLISHERS = ("canonical", "debian", "ami-amazon-linux-latest")
PUBLIC = ("ipAddress", "publicIp", "dnsName", "publicDnsName")
with_ipv6: set[str] = set()
"""Instances that were launched with an IPv6 address, which moto does not give."""
hosts: dict[str, str] = {}
"""Addresses of the hosts that instances are, by instance id."""


def quicken() -> None:
    """Have moto find a thing's tags by its id, for it tries the tags of all things in turn; and once what it finds out
    anew for each call, which takes a third of its time: the names of its own methods and modules."""
    from moto import backends
    from moto.core import responses
    from moto.ec2.models.tags import TagBackend

    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)

    slow = TagBackend.describe_tags

    def describe_tags(self: Any, filters: Any = None) -> Any:
        ids = filters["resource-id"] if filters and set(filters) == {"resource-id"} else ["*"]
        if any(character in identity for identity in ids for character in "*?["):
            return slow(self, filters)
        few = TagBackend()
        few.tags.update({identity: self.tags[identity] for identity in ids if identity in self.tags})
        return slow(few, filters)

    TagBackend.describe_tags = describe_tags


def backends() -> list[Any]:
    """EC2 of each region that was used."""
    from moto.ec2.models import ec2_backends

    return list(ec2_backends[ACCOUNT].values())


def _instances() -> list[Any]:
    return [
        instance
        for backend in backends()
        for reservation in backend.reservations.values()
        for instance in reservation.instances
    ]


def instance(identity: str) -> Any | None:
    """By its id."""
    return next((one for one in _instances() if one.id == identity), None)


def add_spot_request(identity: str, kind: str, tags: dict[str, str]) -> None:
    """EC2 makes one for a launch at a spot price; moto does not."""
    from moto.ec2.models.spot_requests import SpotInstanceRequest
    from moto.ec2.utils import random_spot_request_id

    launched = instance(identity)
    assert launched is not None

    class Request(SpotInstanceRequest):  # type: ignore[misc]
        def launch_instance(self) -> Any:
            return launched

    request = Request(
        launched.ec2_backend, random_spot_request_id(), "", launched.image_id, kind, None, None, None, None,
        "", [], None, launched.instance_type, None, None, None, False, "", {"spot-instances-request": tags}, None, None,
    )  # fmt: skip
    launched.ec2_backend.spot_instance_requests[request.id] = request


def spot_request(identity: str) -> str:
    """The id of an instance's request; empty when it has none, or it was cancelled."""
    return next((request.id for request in _requests() if request.instance.id == identity), "")


def end_spot_request(identity: str) -> None:
    """As its instance ends: one that was for one time is closed, another waits for capacity again."""
    for request in _requests():
        if request.instance.id == identity and request.state == "active":
            request.state = "closed" if request.type == "one-time" else "open"


def _requests() -> list[Any]:
    return [request for backend in backends() for request in backend.spot_instance_requests.values()]


def public_key(identity: str) -> str:
    """Of the instance's key pair; empty when it has none."""
    found = instance(identity)
    pairs = {name: pair for backend in backends() for name, pair in backend.key_pairs.items()}
    material = pairs[found.key_name].material_public if found is not None and found.key_name in pairs else ""
    return str(material.decode() if isinstance(material, bytes) else material).strip()


def public_address(identity: str) -> str:
    """As moto made it up; empty when there is none."""
    found = instance(identity)
    return str(found.public_ip or "") if found is not None else ""


def tag_snapshot(image: str, tags: dict[str, str]) -> None:
    """Moto gives none to the volume snapshot behind a new image."""
    backend = next(backend for backend in backends() if image in backend.amis)
    backend.create_tags([backend.amis[image].ebs_snapshot.id], tags)


def tagged() -> list[str]:
    """Ids of all that has a machine's tag and is still there, whatever it is: what somebody pays for, or wonders at."""
    found = []
    for backend in backends():
        there = {
            *(one.id for one in _instances() if one.state != "terminated"),
            *(one.id for one in _requests() if one.state in ("open", "active", "disabled")),
            *(one.id for groups in backend.groups.values() for one in groups.values()),
            *(one.id for one in backend.key_pairs.values()),
            *(one.id for one in backend.addresses),
            *backend.volumes,
            *backend.enis,
        }
        found += [identity for identity, tags in backend.tags.items() if MACHINE in tags and identity in there]
    return found


def terminated(ids: list[str]) -> bool:
    """Whether one of the instances is."""
    return any(found is None or found.state == "terminated" for found in map(instance, ids))


def protected(identity: str) -> bool:
    """Against termination; moto keeps it as a word."""
    found = instance(identity)
    return found is not None and str(found.disable_api_termination).lower() == "true"


def zone(subnet: str) -> str:
    """The subnet's zone."""
    for backend in backends():
        for zones in backend.subnets.values():
            if subnet in zones:
                return str(zones[subnet].availability_zone)
    return ""


def in_use(group: str) -> bool:
    """Whether an instance that is not terminated has the security group."""
    return any(
        group in {used.id for used in [*one.security_groups, *(g for nic in one.nics.values() for g in nic.group_set)]}
        for one in _instances()
        if one.state != "terminated"
    )


@functools.cache
def parameter(name: str) -> str:
    """The image of a public parameter of a publisher's: any of moto's of the right architecture."""
    if not name.startswith(tuple(f"/aws/service/{publisher}/" for publisher in PUBLISHERS)):
        return ""
    from moto.ec2.models import ec2_backends

    architecture = "arm64" if "arm64" in name else "x86_64"
    images = ec2_backends[ACCOUNT]["us-east-1"].amis.values()
    owned = [image for image in images if image.owner_id == CANONICAL and image.architecture == architecture]
    return str(max(owned, key=lambda image: image.name).id) if owned else ""


def give_reachable_addresses(item: ElementTree.Element, stale: str = "") -> None:
    """Moto's public addresses look like Amazon's own: in their place the instance's host's, or one of loopback; that
    of *stale* unless it is empty."""
    identity = item.findtext("instanceId", "")
    elastic = {  # moto forgets them when an instance is stopped
        address.instance.id: address.public_ip
        for backend in backends()
        for address in backend.addresses
        if address.instance is not None
    }
    for element in item.iter():
        if element.tag in PUBLIC and element.text:
            element.text = hosts.get(identity) or loopback(stale or elastic.get(identity, element.text))
    interface = item.find("networkInterfaceSet/item")
    if identity in with_ipv6 and interface is not None:
        for empty in interface.findall("ipv6AddressesSet"):
            interface.remove(empty)
        entry = ElementTree.SubElement(ElementTree.SubElement(interface, "ipv6AddressesSet"), "item")
        ElementTree.SubElement(entry, "ipv6Address").text = "::1"
    if identity in hosts:
        for element in item.iter("privateIpAddress"):
            element.text = hosts[identity]


def loopback(text: str) -> str:
    """An address of loopback for one that moto made up."""
    try:
        return f"127.{str(ipaddress.IPv4Address(text)).partition('.')[2]}"
    except ValueError:
        return "localhost"
