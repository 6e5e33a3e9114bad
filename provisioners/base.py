"""The provisioner's contract: converge a host over one SSH session, step by step.

``provision(session, plan, report)`` in ``pymachine.provisioners.converge`` is what machine operations call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pymachine.machine.config import EngineOptions
from pymachine.machine.ssh.base import SSHSession


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Local paths of what the host needs for mutual TLS."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ProvisionPlan:
    """Everything provisioning needs to know of a machine."""

    machine_name: str
    driver_name: str
    engine: EngineOptions
    tls: TLSFiles
    engine_port: int = 2376
    set_hostname: bool = True
    timeout: float = 600.0


@dataclass(slots=True)
class Provisioned:
    """What provisioning found and left."""

    provisioner: str
    """``debian``, ``ubuntu``…"""
    release: str
    """The engine release's digest."""
    changed: list[str] = field(default_factory=list)
    """Names of the steps that had something to do."""


@dataclass(frozen=True, slots=True)
class OSRelease:
    """``/etc/os-release`` (os-release(5))."""

    id: str
    version_id: str = ""
    id_like: tuple[str, ...] = ()
    pretty_name: str = ""


@dataclass(slots=True)
class Host:
    """The host being provisioned, and facts once found."""

    session: SSHSession
    os: OSRelease
    plan: ProvisionPlan
    report: Callable[[str], None]
    facts: dict[str, str] = field(default_factory=dict)


class Step(Protocol):
    """One step. `check` changes nothing and says whether `apply` has something to do."""

    name: str

    def check(self, host: Host) -> bool:
        """True when the host is already as wanted."""
        ...

    def apply(self, host: Host) -> None: ...
