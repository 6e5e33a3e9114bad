"""What a machine is asked to be, beyond its driver: engine, swarm and TLS options; the environment's settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The ``--engine-*`` flags."""

    opts: tuple[str, ...] = ()
    """``--engine-opt``: ``key`` or ``key=value``, a key of the engine's configuration."""
    labels: tuple[str, ...] = ()
    """``--engine-label``: ``key=value``."""
    env: tuple[str, ...] = ()
    """``--engine-env``: ``NAME=value``, the engine's own environment (proxies)."""
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    storage_driver: str = ""
    """Empty: the engine's choice (overlay2)."""
    install_url: str = ""
    """Accepted for docker-machine's scripts; the engine comes with pymachine and needs no download."""

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> EngineOptions:
        """From the record; unknown fields are passed over."""
        known = {field.name for field in dataclasses.fields(cls)}
        fields: dict[str, Any] = {
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items() if name in known
        }
        return cls(**fields)
