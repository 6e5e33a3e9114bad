"""The small languages of some options: ports, tags, volumes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pymachine.machine.errors import InvalidOption

RESERVED = ("aws:", "pymachine:")
MOST_TAGS = 40
"""EC2 allows 50 a resource; some are ours."""
LONGEST_KEY, LONGEST_VALUE = 128, 256
PROVISIONED = ("io1", "io2")
"""Types whose operations a second are paid for, and must be told."""
VOLUME_TYPES = ("gp3", "gp2", "io1", "io2", "st1", "sc1", "standard")


@dataclass(frozen=True, slots=True)
class Port:
    """A port to open."""

    number: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Volume:
    """A further EBS volume."""

    size: int
    """GB."""
    device: str
    type: str = "gp3"
    iops: int = 0
    keep: bool = False
    """Whether it outlives the instance."""


def parse_port(text: str) -> Port:
    """``PORT[/PROTOCOL]``. Raises `InvalidOption`."""
    number, _, protocol = text.partition("/")
    if not number.isdecimal() or not 1 <= int(number) <= 65535 or protocol not in ("", "tcp", "udp"):
        raise InvalidOption(f"--amazonec2-open-port: {text!r} is not PORT, PORT/tcp or PORT/udp")
    return Port(int(number), protocol or "tcp")


def parse_tags(texts: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE``, or docker-machine's ``KEY,VALUE,KEY,VALUE``. Raises `InvalidOption`."""
    tags: dict[str, str] = {}
    plain: list[str] = []
    for text in texts:
        for item in text.split(","):
            key, separator, value = item.partition("=")
            if separator and not plain:
                tags[key.strip()] = value.strip()
            else:
                plain.append(item.strip())
    if len(plain) % 2:
        raise InvalidOption(f"--amazonec2-tags: not in pairs of key and value: {len(plain)} items")
    tags.update(zip(plain[::2], plain[1::2], strict=True))
    for key, value in tags.items():
        _check_tag(key, value)
    if len(tags) > MOST_TAGS:
        raise InvalidOption(f"--amazonec2-tags: {len(tags)} tags are more than {MOST_TAGS}")
    return tags


def _check_tag(key: str, value: str) -> None:
    if not key or len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
        raise InvalidOption(
            f"--amazonec2-tags: {key!r}: a key has 1 to {LONGEST_KEY} characters, a value {LONGEST_VALUE}"
        )
    if key.lower().startswith(RESERVED) or key == "Name":
        raise InvalidOption(f"--amazonec2-tags: {key!r} is set by AWS or by pymachine")


def parse_volume(text: str, number: int) -> Volume:
    """``SIZE[,type=T][,iops=N][,device=NAME][,keep]``; *number* (from 0) chooses the device. Raises `InvalidOption`."""
    size, *settings = text.split(",")
    given = dict(setting.partition("=")[::2] for setting in settings)
    kind, device = given.pop("type", "gp3"), given.pop("device", f"/dev/sd{chr(ord('f') + number)}")
    iops, keep = given.pop("iops", "0"), given.pop("keep", None)
    wrong = (
        f"unknown setting {sorted(given)[0]!r}" if given
        else "the size is not a number of GB" if not size.isdecimal() or not 1 <= int(size) <= 65536
        else f"type {kind!r} is none of {', '.join(VOLUME_TYPES)}" if kind not in VOLUME_TYPES
        else "iops is not a number" if not iops.isdecimal()
        else f"type {kind} needs iops=N" if kind in PROVISIONED and not int(iops)
        else f"{device!r} is not a device such as /dev/sdf" if not re.fullmatch(r"/dev/[a-z0-9]+", device)
        else "keep takes no value" if keep
        else "there are no more than 11 volumes" if number > 10
        else ""
    )  # fmt: skip
    if wrong:
        raise InvalidOption(f"--amazonec2-volume: {text!r}: {wrong}")
    return Volume(int(size), device, kind, int(iops), keep is not None)
