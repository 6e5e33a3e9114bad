"""Make docker talk to a machine by a docker context, and show which machines have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pymachine.machine.context.dockerstore import DockerContext, DockerContexts
from pymachine.machine.context.tunnel import Tunnel
from pymachine.machine.context.upkeep import forget, make, wanted_kind
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.report import Report

OVERRIDES = ("DOCKER_HOST", "DOCKER_CONTEXT")
"""Variables that docker heeds more than its current context."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A machine, and its context if it has one."""

    machine: str
    context: DockerContext | None
    current: bool

    def as_json(self) -> dict[str, str | bool]:
        """For ``--format json``."""
        found = self.context
        return {
            "Machine": self.machine,
            "Context": found.name if found else "",
            "Kind": found.kind if found else "",
            "Host": found.host if found else "",
            "Current": self.current,
        }


def create(machine: Machine, report: Report, environ: Mapping[str, str], *, kind: str = "") -> DockerContext:
    """Make the machine's context, or bring it up to date. Without a *kind* it keeps the one it has, else it gets what
    the environment asks for, else ``tls``. The engine is asked before anything is written."""
    contexts = DockerContexts.of(environ)
    former = contexts.find(machine.record.id)
    kind = kind or (former.kind if former else wanted_kind(environ)) or "tls"
    return make(machine, _reach(machine, kind, report), kind, contexts)


def use(machine: Machine, report: Report, environ: Mapping[str, str], *, kind: str = "") -> DockerContext:
    """Make docker talk to *machine* in every shell that does not say otherwise."""
    context = create(machine, report, environ, kind=kind)
    DockerContexts.of(environ).use(context.name)
    return context


def unuse(environ: Mapping[str, str]) -> str:
    """Let docker talk to its default engine, when it is a machine of ours that it talks to; returns the former name.

    Raises `MachineError` when the current context is somebody else's.
    """
    contexts = DockerContexts.of(environ)
    current = contexts.current()
    if current and current not in {context.name for context in contexts.ours()}:
        raise MachineError(
            f'docker uses the context "{current}", which is none of pymachine\'s',
            hint="If you want docker's default engine: docker context use default",
        )
    contexts.use("")
    return current


def remove(machine: Machine, environ: Mapping[str, str]) -> None:
    """Remove the machine's context; the machine itself is left alone."""
    if not forget(machine, environ):
        raise MachineError(f'Machine "{machine.name}" has no docker context')


def entries(machines: Sequence[Machine], environ: Mapping[str, str]) -> list[Entry]:
    """All *machines* with their contexts; nobody is asked."""
    contexts = DockerContexts.of(environ)
    by_machine = {context.machine_id: context for context in contexts.ours()}
    current = contexts.current()
    found = ((machine.name, by_machine.get(machine.record.id)) for machine in machines)
    return [Entry(name, context, context is not None and context.name == current) for name, context in found]


def overridden(environ: Mapping[str, str]) -> str:
    """The variable because of which docker does not heed its current context; empty when there is none."""
    return next((name for name in OVERRIDES if environ.get(name)), "")


def _reach(machine: Machine, kind: str, report: Report) -> str:
    """The engine's URL, checked as far as *kind* will use it."""
    if kind == "ssh":
        if Tunnel(machine.directory).answers():
            return ""
        if not machine.driver().features.provisions:
            raise MachineError(f'Machine "{machine.name}" is known by its engine\'s URL only: there is no SSH to use')
        return machine.url()
    url = machine.url()
    if urlsplit(url).scheme != "tcp":
        return url
    from pymachine.machine.bundle.connection import connect

    try:
        return connect(machine, report=report).url
    except MachineError as error:
        raise MachineError(f"Error checking TLS connection: {error}", hint=error.hint) from error
