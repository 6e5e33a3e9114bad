"""What instance types can do, as EC2 tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.options import Options
from pymachine.machine.errors import InvalidOption


def describe(cloud: Cloud, wanted: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    """By name. Raises `InvalidOption` for a type that the region does not know."""
    try:
        found = cloud.call("DescribeInstanceTypes", InstanceTypes=list(wanted)).get("InstanceTypes") or []
    except Refused as error:
        if error.code != "InvalidInstanceType":
            raise
        found = []
    known = {item["InstanceType"]: item for item in found}
    if missing := [name for name in wanted if name not in known]:
        raise InvalidOption(f"--amazonec2-instance-type: {cloud.account.region} has no {', '.join(missing)}")
    return known


def architectures(known: Mapping[str, dict[str, Any]]) -> list[str]:
    """What runs on all of them; arm64 or x86_64. Raises `InvalidOption` when they differ."""
    common: set[str] | None = None
    for item in known.values():
        supported = set(item.get("ProcessorInfo", {}).get("SupportedArchitectures") or ())
        common = supported if common is None else common & supported
    usable = sorted((common or set()) & {"x86_64", "arm64"})
    if not usable:
        raise InvalidOption(
            f"--amazonec2-instance-type: {' and '.join(known)} have no architecture in common that we support"
        )
    return usable


def problems(known: Mapping[str, dict[str, Any]], options: Options) -> list[str]:
    """What is asked of the types that one of them cannot do."""
    found = []
    for name, item in known.items():
        if options.hibernate and not item.get("HibernationSupported"):
            found.append(f"--amazonec2-hibernate: {name} cannot hibernate")
        if options.cpu_credits and not item.get("BurstablePerformanceSupported"):
            found.append(f"--amazonec2-cpu-credits: {name} is not burstable")
        if options.use_ebs_optimized_instance and ebs_optimised(item) == "unsupported":
            found.append(f"--amazonec2-use-ebs-optimized-instance: {name} has no such choice")
        if options.request_spot_instance and "spot" not in (item.get("SupportedUsageClasses") or ("spot",)):
            found.append(f"--amazonec2-request-spot-instance: {name} is not offered as spot")
    return found


def ebs_optimised(item: Mapping[str, Any]) -> str:
    """``default`` (always on), ``supported`` (a choice) or ``unsupported``."""
    return str(item.get("EbsInfo", {}).get("EbsOptimizedSupport", "supported"))
