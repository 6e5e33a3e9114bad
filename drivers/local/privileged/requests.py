"""What may be asked of the helper, and what the arguments may be. Everything here comes from an ordinary user.

A request that is not exactly as the client writes it is refused: it was written by hand, and not for a good end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from pymachine.drivers.local.options import Options, parse_subnet
from pymachine.drivers.options import build
from pymachine.machine.errors import InvalidOption, MachineError

MACHINE_OPERATIONS = ("pre_create_check", "create", "start", "stop", "kill", "restart", "remove", "renamed")
IMAGE_OPERATIONS = ("image.build", "image.remove")
LONGEST_TIMEOUT = 86400.0
"""Seconds."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,62}")
_IMAGE = re.compile(r"(sha256:)?[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]{1,60} [A-Za-z0-9+/=]{16,4000}( [\w@.+-]{1,100})?", re.ASCII)


class Refused(MachineError):
    """The request is not one that the client makes."""


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """An operation on one machine."""

    operation: str
    machine_id: str
    name: str
    options: Options
    resources: dict[str, Any]
    authorized_key: str
    """One line; empty where the operation needs none."""
    timeout: float
    roots: tuple[str, str]
    """The local root and the image root that the user means; empty for the default."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """An operation on one image."""

    operation: str
    name: str
    force: bool
    roots: tuple[str, str]


def parse(message: Mapping[str, Any]) -> MachineRequest | ImageRequest:
    """The request in *message*; raises `Refused`, or `InvalidOption` for options that the user got wrong."""
    operation = message.get("operation")
    if operation in IMAGE_OPERATIONS:
        _only(message, {"operation", "roots", "name", "force"})
        name = _matching(_IMAGE, message, "name")
        return ImageRequest(operation, name, message.get("force") is True, _roots(message))
    if operation not in MACHINE_OPERATIONS:
        raise Refused(f"the helper has no operation {operation!r}")
    _only(message, {"operation", "roots", "id", "name", "options", "resources", "authorized_key", "timeout"})
    return MachineRequest(
        operation=operation,
        machine_id=_matching(_UUID, message, "id"),
        name=_matching(_NAME, message, "name"),
        options=_options(message.get("options")),
        resources=_resources(message.get("resources")),
        authorized_key=_matching(_KEY, message, "authorized_key") if message.get("authorized_key") else "",
        timeout=_timeout(message.get("timeout")),
        roots=_roots(message),
    )


def _only(message: Mapping[str, Any], fields: set[str]) -> None:
    if unknown := message.keys() - fields - {"call"}:
        raise Refused(f"the helper knows nothing of {', '.join(sorted(unknown))}")


def _matching(pattern: re.Pattern[str], message: Mapping[str, Any], field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Refused(f"the helper takes no {field} such as {value!r:.80}")
    return value


def _options(value: Any) -> Options:
    if not isinstance(value, dict) or not all(_is_plain(item) for item in value.values()):
        raise Refused("the helper takes options as an object only")
    options = build("local", Options, value, env={})
    assert isinstance(options, Options)
    if problems := options.problems():
        raise InvalidOption("; ".join(problems))
    if options.image and not _IMAGE.fullmatch(options.image):
        raise InvalidOption(f"--local-image: {options.image!r} is no image name")
    return options


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, (str, int, bool))


def _resources(value: Any) -> dict[str, Any]:
    """What the user's record says; a hint only, for what counts is in the local root."""
    if not isinstance(value, dict):
        raise Refused("the helper takes resources as an object only")
    _only(value, set(_RESOURCES))
    for name, item in value.items():
        if not isinstance(item, str) or (item and not _holds(_RESOURCES[name], item)):
            raise Refused(f"the helper takes no {name} such as {item!r:.80}")
    return dict(value)


def _holds(check: Callable[[str], object], value: str) -> bool:
    try:
        return bool(check(value))
    except ValueError:  # InvalidOption is one
        return False


_RESOURCES: Mapping[str, Callable[[str], object]] = {
    "address": IPv4Address,
    "subnet": parse_subnet,
    "image": re.compile(r"[0-9a-f]{64}").fullmatch,
    "root": _UUID.fullmatch,
}


def _timeout(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST_TIMEOUT:
        raise Refused(f"the helper takes no timeout such as {value!r:.80}")
    return float(value)


def _roots(message: Mapping[str, Any]) -> tuple[str, str]:
    value = message.get("roots")
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(item, str) for item in value):
        raise Refused("the helper takes two roots only")
    return value[0], value[1]
