"""The provisioner's contract: facts, plan, commands.

A host is asked once for its *facts*. Each *step* turns facts and the wanted state into *actions*, or into
none when the host is already so: a second run changes nothing. Actions are values (`actions.py`); only
``converge.provision`` sends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pymachine.machine.config import EngineOptions
from pymachine.provisioners.actions import Action
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.release import Release


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Local paths of what the host needs for mutual TLS."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ProvisionPlan:
    """What the host is to become, as the machine's operations ask for it."""

    machine_name: str
    driver_name: str
    engine: EngineOptions
    tls: TLSFiles
    engine_port: int = 2376
    set_hostname: bool = True
    adopted: bool = False
    """The host was there before the machine, and may be another client's."""
    takeover: bool = False
    """With *adopted*: another client's host is to be taken over."""
    store_id: str = ""
    client: str = ""
    """Who we are, for people: ``user@computer``."""
    timeout: float = 600.0
    """Seconds for the whole."""


@dataclass(slots=True)
class Provisioned:
    """What provisioning found and left."""

    provisioner: str
    """The host's distribution: ``debian``, ``ubuntu``…"""
    release: str
    """The engine release's digest."""
    changed: list[str] = field(default_factory=list)
    """Names of the steps that had something to do, in order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything a step may look at besides facts."""

    plan: ProvisionPlan
    release: Release
    changed: tuple[str, ...] = ()
    """Steps before this one that had something to do."""


class Step(Protocol):
    """One step of provisioning."""

    name: str
    title: str
    """What the user reads while it runs: ``Installing packages``."""

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        """The actions that bring the host there; empty when it is there. Changes nothing itself."""
        ...
