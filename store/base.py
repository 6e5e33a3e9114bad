"""The store's contract: machine records, their files, leases and journals.

A record is plain data and holds no absolute path and no credential, so it can be exported and shared.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

SCHEMA = 1
"""The record schema's version; a record with a higher one is refused (shown as damaged), never rewritten."""


@dataclass(slots=True)
class Record:
    """One machine, as stored. Values are JSON."""

    name: str
    id: str
    """A UUID; resources outside carry it as a tag."""
    driver: str
    created_at: str
    """RFC 3339, UTC."""
    phase: str = "creating"
    """``creating``, ``ready``, ``removing``."""
    options: dict[str, Any] = field(default_factory=dict)
    """The driver's options as given (`pymachine.drivers.options`)."""
    engine: dict[str, Any] = field(default_factory=dict)
    """`pymachine.machine.config.EngineOptions` as a dictionary."""
    swarm: dict[str, Any] = field(default_factory=dict)
    tls_san: list[str] = field(default_factory=list)
    tls: dict[str, Any] = field(default_factory=dict)
    """How certificates are made: ``key_type``; empty for the default."""
    resources: dict[str, Any] = field(default_factory=dict)
    """What the driver made or found: addresses, ids of outside resources."""
    provisioned: dict[str, Any] = field(default_factory=dict)
    """What provisioning left: ``release`` (digest), ``provisioner``, ``engine_version``, ``at``."""
    fleet: dict[str, Any] = field(default_factory=dict)
    """Which fleet made the machine (``name``), and which of the driver's options it gave (``options``)."""
    expires_at: str = ""
    """When the machine is to be removed by itself (RFC 3339, UTC); empty: never."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields that this version does not know; written back untouched."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A record that cannot be used, listed instead of hidden."""

    name: str
    reason: str


class Journal(Protocol):
    """The steps of the operation in progress on one machine; each call is on disk before it returns.

    Names are dotted: ``create.address``, ``provision.tls``. A crash leaves it as it is; `clear` ends it.
    """

    def done(self, step: str) -> bool:
        """Whether *step* was completed by this or an earlier attempt."""
        ...

    def begin(self, step: str, **facts: Any) -> None:
        """Before something outside comes to exist: say what it will be called."""
        ...

    def complete(self, step: str, **facts: Any) -> None:
        """After: say what it is."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """All facts of all steps so far, later ones winning."""
        ...

    def clear(self) -> None:
        """Forget everything: the operation has ended well."""
        ...


class Store(ABC):
    """Where machines are recorded. Readers never wait for writers."""

    @property
    @abstractmethod
    def id(self) -> str:
        """A UUID made with the store; asking for it makes the store."""

    @property
    def location(self) -> str:
        """What ``--storage-path`` must be so that another process opens this store; empty when none can."""
        return ""

    @abstractmethod
    def names(self) -> list[str]:
        """Names of all machines, damaged ones too; empty (and nothing made) when there is no store."""

    @abstractmethod
    def load(self, name: str) -> Record:
        """Raises `MachineNotFound` or `RecordDamaged`."""

    @abstractmethod
    def load_all(self) -> Iterator[Record | Damaged]:
        """Every machine; a damaged one hides no other."""

    @abstractmethod
    def create(self, record: Record) -> None:
        """Add a record; raises `MachineExists` when the name is taken, however many try at once."""

    @abstractmethod
    def save(self, record: Record) -> None:
        """Replace a record atomically; raises `MachineNotFound` when it was removed meanwhile."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a machine's record and all its files; fine when absent."""

    @abstractmethod
    def rename(self, name: str, new: str) -> Record:
        """Give a machine, whose files come along, another name at one moment: a crash leaves it whole under one of
        them. The leases of both are held by the caller. Raises `MachineExists` when *new* is taken."""

    def expiring(self) -> Mapping[str, str]:
        """Machines that have an ``expires_at``, with that moment (empty when it cannot be read); quick. May name some
        that are gone."""
        return {}

    def watch(self, *, wait: float = 0) -> AbstractContextManager[None]:
        """The sole right to remove machines that expire, while the block runs. Raises `StoreBusy`."""
        return contextlib.nullcontext()

    def forget_expiry(self, name: str) -> None:
        """Drop *name* from `expiring`, since it is gone or expires no more."""
        return None

    def salvage(self, name: str) -> Record | None:
        """What can still be known of machine *name*, whose record is damaged: at least its id and its driver, so
        that what is outside can be removed; ``None`` when not even that. Not to be saved."""
        return None

    @abstractmethod
    def sweep(self) -> None:
        """Finish deletions that a crash interrupted, and remove files of machines that never came to have a record."""

    @abstractmethod
    def lease(self, name: str, purpose: str, *, wait: float = 0) -> AbstractContextManager[None]:
        """The sole right to change a machine, while the block runs; works before the record exists and
        while it is deleted. Ends with the process, however that ends. Raises `StoreBusy` naming the holder
        (process, host, purpose, since) after *wait* seconds."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """The store's own lock (making the CA); waits."""

    @abstractmethod
    def journal(self, name: str) -> Journal: ...

    @abstractmethod
    def machine_dir(self, name: str) -> Path:
        """The machine's directory (0700) for keys, certificates and logs."""

    @abstractmethod
    def certs_dir(self) -> Path:
        """The directory (0700) of the store's CA and client certificate: ca.pem, ca-key.pem, cert.pem, key.pem."""
