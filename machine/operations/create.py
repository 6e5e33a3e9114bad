"""Create: from a name and options to a machine whose engine answers, or to one that can be resumed or removed.

The record is on disk before the driver makes anything, and the driver journals each outside thing it makes,
so whatever stops a create (an error, Ctrl-C, a power cut), the same create goes on from there and ``rm``
removes it all.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymachine.drivers import registry
from pymachine.drivers.options import build, to_json
from pymachine.machine.certs.keytype import key_type
from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import (
    InvalidOption,
    MachineError,
    MachineExists,
    MachineNotFound,
    PreCreateCheckFailed,
)
from pymachine.machine.lifetime.duration import moment_after
from pymachine.machine.machine import Machine
from pymachine.machine.names import check_name
from pymachine.machine.operations import converge
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.remove import finish_removal
from pymachine.machine.operations.report import Report
from pymachine.store.base import Record, Store

if TYPE_CHECKING:
    from pymachine.drivers.base import Driver

TIMEOUT = 600.0
"""Seconds that a whole create may take."""
_FLAGS_PROVIDED = "Error setting machine configuration from flags provided: "


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted."""

    name: str
    driver: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """The driver's options that were given, by field name."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """Where options that were not given may come from."""
    engine: EngineOptions = EngineOptions()
    swarm: SwarmOptions = SwarmOptions()
    tls_san: tuple[str, ...] = ()
    key_type: str = ""
    """Of the machine's certificate, and of the CA and client certificate when they are made for it: one of
    `pymachine.machine.certs.keytype.KEY_TYPES`; empty for the default."""
    timeout: float = TIMEOUT
    ttl: float = 0
    """Seconds after which the machine is removed by itself; 0: never."""
    fleet: Mapping[str, Any] = field(default_factory=dict)
    """See `pymachine.store.base.Record`."""
    resources: Mapping[str, Any] = field(default_factory=dict)
    """What the driver's resources begin with: what is to be copied, when the machine is a clone."""


def create(store: Store, request: Request, report: Report) -> Machine:
    """Create the machine, or go on with an interrupted create of the same request. What an interrupted remove left is
    removed before.

    Raises `MachineExists` for a finished machine, `PreCreateCheckFailed` with nothing made, and any other
    `MachineError` with what was made so far on record.
    """
    deadline = Deadline(request.timeout)
    check_name(request.name, "Error creating machine: ")
    request.swarm.check()
    kind = registry.load(request.driver)
    with store.lease(request.name, "create"):
        found = _unfinished(store, request)
        wanted = _record(request, kind, new=found is None or found.phase == "removing")
        if found and found.phase == "removing":
            finish_removal(store, found, report, timeout=deadline.left("finishing the removal"))
            found = None
        machine = Machine(store, _resumed(found, wanted) if found else wanted)
        _check(machine, report, deadline, new=not found)
        if found:
            report.say(f'Resuming the create of "{machine.name}" where it stopped...')
        else:
            store.create(machine.record)
            _see_to_expiry(store, machine.record)
        try:
            return _make(machine, report, deadline)
        except MachineError as error:
            error.add_note(
                f'Run the same create again to go on from there, or "pymachine rm {machine.name}" to clean up.'
            )
            raise


def _unfinished(store: Store, request: Request) -> Record | None:
    """The record of an interrupted create or remove, if there is one; a finished machine is `MachineExists`."""
    try:
        record = store.load(request.name)
    except MachineNotFound:
        return None
    if record.phase not in ("creating", "removing"):
        raise MachineExists(request.name)
    return record


def _record(request: Request, kind: type[Driver], *, new: bool = False) -> Record:
    """The record that *request* makes. For a *new* machine everything is told that is wrong with its options in
    themselves, before anything is made or said."""
    problems = [*request.engine.problems(), *request.swarm.problems()]
    try:
        options = build(kind.name, kind.Options, request.options, request.environ)
        if new and hasattr(options, "problems"):
            problems += options.problems()
    except InvalidOption as error:
        problems.append(str(error))
    if problems:
        raise InvalidOption(f"{_FLAGS_PROVIDED}{'; '.join(problems)}")
    return Record(
        name=request.name,
        id=str(uuid.uuid4()),
        driver=kind.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        options=to_json(options),
        engine=request.engine.to_json(),
        swarm=request.swarm.to_json(),
        tls_san=list(request.tls_san),
        tls={"key_type": key_type(request.key_type)} if request.key_type else {},
        fleet=dict(request.fleet),
        expires_at=moment_after(request.ttl) if request.ttl else "",
        resources=dict(request.resources),
    )


def _see_to_expiry(store: Store, record: Record) -> None:
    if record.expires_at:
        from pymachine.machine.lifetime.watcher import ensure_watched

        ensure_watched(store)


def is_wanted(store: Store, request: Request) -> bool:
    """Whether there is a finished machine that this request would have made."""
    record = store.load(request.name)
    return record.phase == "ready" and not _differing(record, _record(request, registry.load(request.driver)))


def _differing(found: Record, wanted: Record) -> list[str]:
    names = ("driver", "options", "engine", "swarm", "tls_san", "tls")
    return [name for name in names if getattr(found, name) != getattr(wanted, name)]


def _resumed(found: Record, wanted: Record) -> Record:
    """The found record, once it is sure that the same machine is meant."""
    if differing := _differing(found, wanted):
        raise MachineError(
            f'Machine "{found.name}" exists: its create has not finished, and was started with other options: '
            f"{_differences(found, wanted, differing)}",
            hint=f'Run it with the same options to go on, or "pymachine rm {found.name}" to start over.',
        )
    return found


def _differences(found: Record, wanted: Record, names: list[str]) -> str:
    """Names of what differs, for people; values stay out, since they may be long."""
    words: list[str] = []
    for name in names:
        before, now = getattr(found, name), getattr(wanted, name)
        if isinstance(before, dict) and found.driver == wanted.driver:
            words += [key for key in sorted(before | now) if before.get(key) != now.get(key)]
        elif not isinstance(before, dict):
            words.append(name)
    return ", ".join(words) or "driver"


def _check(machine: Machine, report: Report, deadline: Deadline, *, new: bool) -> None:
    """The CA, then the driver's own check; a check that fails leaves no trace of a new machine."""
    from pymachine.machine.certs.authority import bootstrap

    bootstrap(machine.store, report.say, key_type=key_type(machine.record.tls.get("key_type", "")))
    if not new:
        return
    report.stage("Running pre-create checks...")
    try:
        machine.driver(report, timeout=deadline.left("running pre-create checks")).pre_create_check()
    except BaseException as error:
        machine.store.delete(machine.name)
        if isinstance(error, PreCreateCheckFailed):
            raise PreCreateCheckFailed(f'Error with pre-create check: "{error}"', hint=error.hint) from error
        if isinstance(error, InvalidOption):
            raise InvalidOption(f"{_FLAGS_PROVIDED}{error}", hint=error.hint) from error
        raise


def _make(machine: Machine, report: Report, deadline: Deadline) -> Machine:
    report.stage("Creating machine...")
    driver = machine.driver(report, timeout=deadline.left("creating the machine"))
    if driver.features.provisions:
        converge.prepare()
    driver.create()
    machine.save()
    if driver.features.provisions:
        report.stage("Waiting for machine to be running, this may take a few minutes...")
        report.stage("Detecting operating system of created instance...")
        converge.provision(machine, driver, report, deadline)
    else:
        converge.hand_out_client_certificate(machine)
        converge.keep_context(machine, driver, report)
    machine.record.phase = "ready"
    machine.save()
    machine.store.journal(machine.name).clear()
    return machine
