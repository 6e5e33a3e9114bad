"""Contexts of machines: made when asked for, and kept true ever after."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from pymachine.machine.context.dockerstore import TLS_FILES, DockerContext, DockerContexts
from pymachine.machine.context.tunnel import Tunnel
from pymachine.machine.errors import CertificateError, InvalidOption, MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.report import Report

KINDS = ("tls", "ssh")
WISH = "MACHINE_DOCKER_CONTEXT"
"""The environment variable that asks for a context for every machine."""


def context_name(machine_name: str) -> str:
    """What a machine's context is called: as the machine, unless docker allows no such name (``default`` is its own,
    and one letter is too short)."""
    return f"machine-{machine_name}" if machine_name == "default" or len(machine_name) < 2 else machine_name


def make(machine: Machine, url: str, kind: str, contexts: DockerContexts) -> DockerContext:
    """Make the context of a machine whose engine answers at *url*, or bring it up to date.

    With kind ``ssh`` its tunnel is opened when nobody answers through it.
    """
    if kind == "ssh":
        tunnel = Tunnel(machine.directory)
        if not tunnel.answers():
            tunnel.open(machine.driver().ssh_endpoint())
        url = tunnel.url
        tls: dict[str, bytes] = {}
    else:
        Tunnel(machine.directory).close()
        kind = "tls" if urlsplit(url).scheme == "tcp" else "plain"
        tls = _client_files(machine) if kind == "tls" else {}
    context = DockerContext(context_name(machine.name), url, machine.record.id, kind, f"pymachine {machine.name}")
    former = contexts.find(machine.record.id)
    contexts.write(context, tls)
    if former and former.name != context.name:
        was_current = contexts.current() == former.name
        contexts.remove(former.name)
        if was_current:
            contexts.use(context.name)
    return context


def keep(machine: Machine, url: str, report: Report, environ: Mapping[str, str] | None = None) -> None:
    """After a change of the machine (address, certificates, name, a start): bring its context up to date, if it has
    one; make it, if every machine is to have one. A failure is told as a warning: the machine itself is well."""
    environ = os.environ if environ is None else environ
    contexts = DockerContexts.of(environ)
    found = contexts.find(machine.record.id)
    try:
        kind = found.kind if found else wanted_kind(environ)
        if kind == "ssh" and not machine.driver().features.provisions:
            kind = "tls"
        if kind:
            make(machine, url, kind, contexts)
    except MachineError as error:
        report.warn(f'The docker context of "{machine.name}" is not up to date: {error}')


def version_through_ssh(machine: Machine) -> str | None:
    """The version of the engine of a machine whose context is by SSH, asked that way: its port may be closed.

    ``None`` for all other machines. Raises `MachineError` when it cannot be asked.
    """
    found = DockerContexts.of(os.environ).find(machine.record.id)
    if (found.kind if found else os.environ.get(WISH)) != "ssh" or not machine.driver().features.provisions:
        return None
    tunnel = Tunnel(machine.directory)
    tunnel.open(machine.driver().ssh_endpoint())
    return tunnel.version()


def forget(machine: Machine, environ: Mapping[str, str] | None = None) -> bool:
    """Remove the context of a machine; whether there was one."""
    contexts = DockerContexts.of(os.environ if environ is None else environ)
    Tunnel(machine.directory).close()
    found = contexts.find(machine.record.id)
    if found:
        contexts.remove(found.name)
    return found is not None


def wanted_kind(environ: Mapping[str, str]) -> str:
    """The kind of context that every machine is to have, by ``$MACHINE_DOCKER_CONTEXT``; empty for none."""
    kind = environ.get(WISH, "")
    if kind not in ("", *KINDS):
        raise InvalidOption(f"{WISH}: {kind!r} is none of {', '.join(KINDS)}")
    return kind


def _client_files(machine: Machine) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name in TLS_FILES:
        try:
            files[name] = (machine.directory / name).read_bytes()
        except OSError as error:
            hint = f'Run "pymachine regenerate-certs {machine.name}".'
            raise CertificateError(f"cannot read {machine.directory / name}: {error.strerror}", hint=hint) from error
    return files
