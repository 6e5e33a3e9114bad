"""What has to be done so that a store has the machines of a fleet, found out from the records alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pymachine.drivers import registry
from pymachine.drivers.options import build, to_json
from pymachine.machine.config import SwarmOptions
from pymachine.machine.errors import MachineNotFound
from pymachine.machine.fleet.document import Fleet
from pymachine.machine.log.redact import one_line
from pymachine.machine.operations.converge import DUE
from pymachine.machine.operations.create import Request
from pymachine.store.base import Damaged, Record, Store

Verb = Literal["create", "change", "replace", "remove", "keep", "unchanged"]
SIGNS: Mapping[Verb, str] = {"create": "+", "change": "~", "replace": "±", "remove": "-", "keep": "?", "unchanged": "="}
ENGINE = ("opts", "labels", "env", "insecure_registries", "registry_mirrors", "storage_driver")
_SECRET = re.compile(r"secret|password|passwd|token|credential|access.key|private|env", re.IGNORECASE)
LONGEST = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about one machine."""

    verb: Verb
    name: str
    reasons: tuple[str, ...] = ()
    request: Request | None = None
    """``None`` for machines that the fleet does not name."""

    @property
    def line(self) -> str:
        """For people."""
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"  {SIGNS[self.verb]} {self.name}: {self.verb}{why}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done about all."""

    fleet: Fleet
    steps: tuple[Step, ...] = field(default=())

    def having(self, *verbs: Verb) -> list[Step]:
        """The steps with one of *verbs*."""
        return [step for step in self.steps if step.verb in verbs]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.having("create", "change", "replace", "remove")

    def as_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        steps = [{"Name": step.name, "Action": step.verb, "Reasons": list(step.reasons)} for step in self.steps]
        return {"Fleet": self.fleet.name, "File": str(self.fleet.path), "Idle": self.idle, "Steps": steps}

    @property
    def summary(self) -> str:
        """One line of numbers."""
        verbs: tuple[Verb, ...] = ("create", "change", "replace", "remove")
        numbers = [(len(self.having(verb)), verb) for verb in verbs]
        parts = [f"{number} to {verb}" for number, verb in numbers if number or verb != "replace"]
        return f"{', '.join(parts)}, {len(self.having('unchanged'))} unchanged."


def make_plan(store: Store, fleet: Fleet, *, prune: bool = False) -> Plan:
    """Compare *fleet* with the records of *store*. Only with *prune* machines are removed that the fleet has made and
    names no longer. Raises `RecordDamaged` when a machine of the fleet has a record that cannot be used."""
    steps = [_step(store, request, fleet) for request in fleet.machines]
    wanted = {request.name for request in fleet.machines}
    for record in store.load_all():
        if not isinstance(record, Damaged) and record.fleet.get("name") == fleet.name and record.name not in wanted:
            reason = () if prune else ("the fleet does not name it any more; --prune removes it",)
            steps.append(Step("remove" if prune else "keep", record.name, reason))
    return Plan(fleet, tuple(steps))


def _step(store: Store, request: Request, fleet: Fleet) -> Step:
    try:
        record = store.load(request.name)
    except MachineNotFound:
        return Step("create", request.name, (f"driver {request.driver}",), request)
    if record.phase == "removing":
        return Step("create", request.name, ("after its removal, which has begun, is finished",), request)
    anew = tuple(_host_differences(record, request))
    changes = tuple(_changes(record, request))
    if anew or (changes and record.phase == "creating"):
        return Step("replace", request.name, anew + changes, request)
    if record.phase == "creating":
        return Step("create", request.name, ("goes on where it stopped",), request)
    if due := record.provisioned.get(DUE):
        changes = (*changes, str(due))
    return Step("change" if changes else "unchanged", request.name, changes, request)


def _host_differences(record: Record, request: Request) -> Iterator[str]:
    """What can only be had by another host. Options count that the fleet gives, or gave when it made the machine."""
    if record.driver != request.driver:
        yield f"driver: {record.driver} → {request.driver}"
        return
    kind = registry.load(request.driver)
    wanted = to_json(build(kind.name, kind.Options, request.options, {}))
    given = record.fleet.get("options", [])
    for name in sorted({*request.options, *(given if isinstance(given, list) else ())}):
        if name in wanted and record.options.get(name) != wanted[name]:
            yield _difference(f"options.{name.replace('_', '-')}", record.options.get(name), wanted[name])


def _changes(record: Record, request: Request) -> Iterator[str]:
    """What the same host can be given."""
    engine = request.engine.to_json()
    for name in ENGINE:
        before = record.engine.get(name, [] if name != "storage_driver" else "")
        if before != engine[name]:
            yield _difference(f"engine.{name.replace('_', '-')}", before, engine[name])
    member, wanted = SwarmOptions.from_json(record.swarm).to_json(), request.swarm.to_json()
    for name in sorted(wanted):
        if member[name] != wanted[name]:
            yield _difference(f"swarm.{name.replace('_', '-')}", member[name], wanted[name])
    if sorted(record.tls_san) != sorted(request.tls_san):
        yield _difference("tls-san", record.tls_san, list(request.tls_san))
    if request.key_type and record.tls.get("key_type") != request.key_type:
        yield _difference("tls-key-type", record.tls.get("key_type", ""), request.key_type)


def _difference(name: str, before: Any, now: Any) -> str:
    """In words; values that may be secret are not shown."""
    if _SECRET.search(name):
        return f"{name} differs"
    return one_line(f"{name}: {_shown(before)} → {_shown(now)}")


def _shown(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str("" if value is None else value)
    return (text if len(text) <= LONGEST else f"{text[:LONGEST]}…") or "(none)"
