"""The security group of a machine that was given none: open for SSH, engine and swarm, to its user alone."""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Sequence
from typing import Any

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.cloud import Cloud, filters
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.amazonec2.values import Port
from pymachine.machine.errors import DriverError

ENGINE_PORT, SWARM_PORT = 2376, 3376
OURS = "pymachine"
"""The description of the rules that we write."""
GROUP_GONE = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
ANSWER_SECONDS = 10.0
LONGEST_ANSWER = 100


def group_name(machine_id: str) -> str:
    """By the machine's id, for a machine may be renamed."""
    return f"pymachine-{machine_id}"


def ensure_group(
    cloud: Cloud, name: str, vpc: str, wanted: Sequence[dict[str, Any]], tagged: list[dict[str, str]]
) -> str:
    """The group with the rules; made when it is not there. Its id."""
    try:
        group_id: str = cloud.call(
            "CreateSecurityGroup",
            GroupName=name,
            Description="A machine of pymachine: SSH, engine and swarm",
            VpcId=vpc,
            TagSpecifications=[tags.specification("security-group", tagged)],
        )["GroupId"]
    except Refused as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        group_id = _existing(cloud, name, vpc)
    allow(cloud, group_id, list(wanted))
    return group_id


def allow(cloud: Cloud, group_id: str, permissions: list[dict[str, Any]]) -> None:
    """Add rules; fine when some or all are there."""
    try:
        cloud.call("AuthorizeSecurityGroupIngress", GroupId=group_id, IpPermissions=permissions, eventually=GROUP_GONE)
    except Refused as error:
        if error.code != "InvalidPermission.Duplicate":
            raise
        if len(permissions) > 1:  # one that is there made an error of them all
            for permission in permissions:
                allow(cloud, group_id, [permission])


def _existing(cloud: Cloud, name: str, vpc: str) -> str:
    def found() -> list[dict[str, Any]]:
        return list(
            cloud.call("DescribeSecurityGroups", Filters=filters(group_name=name, vpc_id=vpc))["SecurityGroups"]
        )

    return str(cloud.patience.until(found, bool, f"waiting for security group {name} to be found")[0]["GroupId"])


def permissions(options: Options, sources: Sequence[str]) -> list[dict[str, Any]]:
    """The rules: each port for each source network."""
    ports = [] if options.session_manager else [Port(options.ssh_port)]
    ports += [Port(ENGINE_PORT), Port(SWARM_PORT), *options.ports()]
    return [_rule(port, sources) for port in dict.fromkeys(ports)]


def _rule(port: Port, sources: Sequence[str]) -> dict[str, Any]:
    rule: dict[str, Any] = {"IpProtocol": port.protocol, "FromPort": port.number, "ToPort": port.number}
    old = [{"CidrIp": text, "Description": OURS} for text in sources if ":" not in text]
    new = [{"CidrIpv6": text, "Description": OURS} for text in sources if ":" in text]
    return {**rule, **({"IpRanges": old} if old else {}), **({"Ipv6Ranges": new} if new else {})}


def sources(options: Options, ranges: Sequence[str]) -> list[str]:
    """Who may reach the ports: as the options say; else the VPC (*ranges*) when the machine is reached from inside it,
    else this computer."""
    if options.allow_from:
        return [str(ipaddress.ip_network(text)) for text in options.allow_from]
    if options.private():
        return list(ranges)
    address = _own_ipv6() if options.ipv6 else _public_address(options.address_service)
    return [f"{address}/{address.max_prefixlen}"]


def _public_address(url: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """This computer's address as seen from outside, whatever NAT is between."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
            return ipaddress.ip_address(answer.read(LONGEST_ANSWER).decode("ascii").strip())
    except (OSError, ValueError) as error:
        raise DriverError(
            f"cannot find out this computer's public address from {url}: {error}",
            hint="say who may reach the machine: --amazonec2-allow-from NETWORK (0.0.0.0/0 for everybody)",
        ) from error


def _own_ipv6() -> ipaddress.IPv6Address:
    """IPv6 knows no NAT, so our address towards the world is the one that the world sees."""
    import socket

    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2600::", 53))  # sends nothing; only routes
            return ipaddress.IPv6Address(probe.getsockname()[0])
        except OSError as error:
            raise DriverError(
                f"this computer has no IPv6 address that the machine could be opened to: {error}",
                hint="say who may reach the machine: --amazonec2-allow-from NETWORK",
            ) from error
