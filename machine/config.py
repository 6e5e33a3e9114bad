"""What a machine is asked to be, beyond its driver: engine, swarm and TLS options; the environment's settings."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from pymachine.machine.errors import InvalidOption

SWARM_NOTICE = "Swarm provisioning is not in this version yet: the --swarm flags are recorded, and nothing more."
"""For who asks for a member of a cluster."""
STRATEGIES = ("spread", "binpack", "random")
"""Of classic Swarm's scheduler."""
_DISCOVERY = re.compile(r"[^:]*://.*")
_MANAGER = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]*):(?P<port>[0-9]{1,5})/?")


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
        return _to_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> EngineOptions:
        """From the record; unknown fields are passed over."""
        return cls(**_known(cls, value))

    def problems(self) -> list[str]:
        """Everything wrong with the values, each naming its flag."""
        wrong = [f"--engine-label: {label!r} is not KEY=VALUE" for label in self.labels if not _is_pair(label)]
        wrong += [f"--engine-env: {item!r} is not NAME=VALUE" for item in self.env if not _is_pair(item)]
        wrong += [f"--engine-opt: {item!r} has no key" for item in self.opts if not item.split("=", 1)[0].strip("- ")]
        wrong += [
            f"--engine-registry-mirror: {mirror!r} is not an http or https URL"
            for mirror in self.registry_mirrors
            if not re.match(r"https?://[^/\s]+", mirror)
        ]
        everything = (*self.opts, *self.labels, *self.env, *self.insecure_registries, *self.registry_mirrors)
        wrong += [f"{item!r} has a line break" for item in everything if "\n" in item or "\0" in item]
        return wrong


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """The ``--swarm-*`` flags, with docker-machine's defaults."""

    agent: bool = False
    """``--swarm``."""
    master: bool = False
    image: str = "swarm:latest"
    """Accepted for docker-machine's scripts; the cluster's software comes with pymachine."""
    discovery: str = ""
    strategy: str = "spread"
    opts: tuple[str, ...] = ()
    join_opts: tuple[str, ...] = ()
    host: str = "tcp://0.0.0.0:3376"
    addr: str = ""
    experimental: bool = False

    @property
    def wanted(self) -> bool:
        """Whether the machine belongs to a cluster at all."""
        return self.agent or self.master

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return _to_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SwarmOptions:
        """From the record; unknown fields are passed over."""
        return cls(**_known(cls, value))

    @property
    def manager_port(self) -> int:
        """Where the cluster's manager listens; raises `InvalidOption` for a ``--swarm-host`` that does not tell."""
        match = _MANAGER.fullmatch(self.host)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise InvalidOption(f"--swarm-host: {self.host!r} is not of the form tcp://ADDRESS:PORT")
        return int(match["port"])

    def problems(self) -> list[str]:
        """Everything wrong with the values but for `discovery` (see `check`), each naming its flag."""
        wrong: list[str] = []
        try:
            self.manager_port  # noqa: B018 - whether it can be told
        except InvalidOption as error:
            wrong.append(str(error))
        if self.strategy not in STRATEGIES:
            wrong.append(f"--swarm-strategy: {self.strategy!r} is none of {', '.join(STRATEGIES)}")
        for flag, options in (("--swarm-opt", self.opts), ("--swarm-join-opt", self.join_opts)):
            wrong += [f"{flag}: {item!r} has no key" for item in options if not item.split("=", 1)[0].strip("- ")]
        everything = (*self.opts, *self.join_opts, self.image, self.discovery, self.addr)
        return wrong + [f"{item!r} has a line break" for item in everything if "\n" in item or "\0" in item]

    def check(self) -> None:
        """Raise `InvalidOption` for a discovery address that is not a URL."""
        if self.discovery and not _DISCOVERY.fullmatch(self.discovery):
            raise InvalidOption(
                f"Error parsing swarm discovery: Swarm Discovery URL was in the wrong format: {self.discovery}"
            )


def _is_pair(text: str) -> bool:
    key, separator, _ = text.partition("=")
    return bool(key.strip() and separator)


def _to_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _known(kind: type[Any], value: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items() if name in names}
