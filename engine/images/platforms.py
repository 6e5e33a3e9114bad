"""Platforms: this host's, and the choice among an image's manifests (OCI image index, ``platform``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_VARIANTS = {"armv7l": "v7", "armv6l": "v6"}


@dataclass(frozen=True, slots=True)
class Platform:
    """``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def host() -> Platform:
    """What this computer runs."""
    machine = os.uname().machine
    return Platform("linux", _ARCHITECTURES.get(machine, machine), _VARIANTS.get(machine, ""))


def parse(text: str) -> Platform | None:
    """A platform as clients send it; ``None`` for an empty one. Raises `InvalidArgument`."""
    if not text:
        return None
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(part and part.replace("-", "").replace("_", "").isalnum() for part in parts):
        raise InvalidArgument(f"{text!r} is not a platform: os/architecture[/variant] is wanted")
    if len(parts) == 1:
        here = host()
        return Platform(parts[0], here.architecture) if parts[0] == "linux" else Platform("linux", _alias(parts[0]))
    return Platform(parts[0], _alias(parts[1]), parts[2] if len(parts) == 3 else "")


def choose(wanted: Platform, manifests: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The entry of an index that fits best: the wanted variant, one without, the newest older one (arm)."""
    fitting = []
    for entry in manifests:
        platform = entry.get("platform") or {}
        if not isinstance(platform, dict):
            continue
        if platform.get("os") != wanted.os or platform.get("architecture") != wanted.architecture:
            continue
        variant = str(platform.get("variant") or "")
        if wanted.variant and variant and variant > wanted.variant:
            continue
        fitting.append((variant == wanted.variant, not variant, variant, entry))
    return max(fitting, key=lambda one: one[:3])[3] if fitting else None


def _alias(name: str) -> str:
    return _ALIASES.get(name, name)
