"""The group that we made lets this computer in, and follows it when it comes from another address.

Only rules that we wrote are taken back: they carry our word as their description. Groups that were given are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymachine.drivers.amazonec2 import firewall, sharing
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import NotAllowed, Refused
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.base import Context
from pymachine.machine.errors import DriverError

STEP = "open.group"
KINDS = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"))


def follow_caller(cloud: Cloud, options: Options, context: Context, planned: Sequence[str]) -> None:
    """Let in the address that this computer has now, and then no more the one of before; *planned* is whom create let
    in. Nothing is asked of AWS while the address is the same."""
    group = str(context.resources.get("group", ""))
    if not group or options.allow_from or options.private():
        return
    try:
        with sharing.making(cloud):  # machines that are started at once ask once
            question = ("address", options.address_service, options.ipv6)
            wanted = sharing.find_out(cloud, question, lambda: firewall.sources(options, ()))
    except DriverError as error:
        context.report(f"The security group stays as it is: {error}")
        return
    before = context.resources.get("sources", list(planned))
    if before == wanted:
        return
    context.journal.begin(STEP, group=group, sources=wanted)
    _note(context, [])  # neither is true until both calls are done: whoever comes after a crash does them again
    try:
        firewall.allow(cloud, group, firewall.permissions(options, wanted))
        _revoke(cloud, group, wanted)
    except NotAllowed as error:  # which keeps nobody from starting: others may have opened it
        context.report(f"The security group is not as it should be: {error}; {error.hint}")
        return
    _note(context, wanted)
    context.journal.complete(STEP)
    gone = f" instead of {', '.join(before)}" if before else ""
    context.report(f"Opened security group {group} to {', '.join(wanted)}{gone}")


def _note(context: Context, sources: list[str]) -> None:
    context.resources["sources"] = sources
    context.save()


def _revoke(cloud: Cloud, group: str, wanted: Sequence[str]) -> None:
    """Take back our rules for others than *wanted*."""
    (found,) = cloud.call("DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"]
    stale = [rule for permission in found.get("IpPermissions") or () for rule in _stale(permission, wanted)]
    if not stale:
        return
    try:
        cloud.call("RevokeSecurityGroupIngress", GroupId=group, IpPermissions=stale)
    except Refused as error:
        if error.code != "InvalidPermission.NotFound":  # somebody else did it
            raise


def _stale(permission: dict[str, Any], wanted: Sequence[str]) -> list[dict[str, Any]]:
    ports: dict[str, Any] = {key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission}
    rules: list[dict[str, Any]] = []
    for ranges, cidr in KINDS:
        old = [
            {cidr: entry[cidr]}
            for entry in permission.get(ranges) or ()
            if entry.get("Description") == firewall.OURS and entry[cidr] not in wanted
        ]
        if old:
            rules.append({**ports, ranges: old})
    return rules
