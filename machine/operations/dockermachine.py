"""Bring machines of docker-machine's into a store: what they are stays as it is, on their hosts and in their store.

Hosts of ``generic`` and ``none`` go on under the same driver. Hosts of others can be reached by SSH all the same, so on
request they become ``generic`` ones; what makes and removes them is not known to pymachine then.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import MachineError, MachineExists
from pymachine.machine.machine import Machine
from pymachine.machine.names import check_name
from pymachine.machine.operations.archive import add
from pymachine.machine.operations.report import Report
from pymachine.store.base import Damaged, Record, Store
from pymachine.store.dockermachine import FoundMachine, read_machines
from pymachine.store.schema import read_file

SAME = ("generic", "none")
"""Drivers that are the same here."""
_INSIDE = ("virtualbox", "hyperv", "vmwarefusion")
"""Their SSH ports may be forwarded ones of the computer itself; inside, it is 22."""


@dataclass(frozen=True, slots=True)
class Import:
    """What became of one machine."""

    name: str
    machine: Machine | None
    problem: str = ""
    """Why it was not imported."""


@dataclass(frozen=True, slots=True)
class _Host:
    """What the record is to say of the host, and the files it needs."""

    driver: str
    options: Mapping[str, Any]
    resources: dict[str, Any]
    files: dict[str, bytes]


def default_path(environ: Mapping[str, str]) -> Path:
    """Where docker-machine keeps its store."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return (Path(home) if home else Path.home()) / ".docker" / "machine"


def import_machines(
    store: Store, path: Path, report: Report, *, names: tuple[str, ...] = (), as_generic: bool = False
) -> list[Import]:
    """Import all machines of the store *path*, or those called *names*; each one's fate is told and returned.

    With *as_generic* machines of drivers that are not known here become ``generic`` ones.
    """
    found = list(read_machines(path))
    if unknown := [name for name in names if name not in {item.name for item in found}]:
        raise MachineError(f"there is no machine {', '.join(unknown)} in {path}")
    wanted = [item for item in found if not names or item.name in names]
    return [_attempt(store, item, report, as_generic=as_generic) for item in wanted]


def _attempt(store: Store, item: FoundMachine | Damaged, report: Report, *, as_generic: bool) -> Import:
    if isinstance(item, Damaged):
        return _refused(item.name, item.reason, report)
    try:
        machine = _import(store, item, as_generic=as_generic)
    except MachineExists:
        return _refused(item.name, "a machine of that name is in the store already", report)
    except MachineError as error:
        return _refused(item.name, f"{error}{f' ({error.hint})' if error.hint else ''}", report)
    was = f", was {item.driver}" if machine.record.driver != item.driver else ""
    report.say(f'Imported "{item.name}" ({machine.record.driver}{was}).')
    if "ca.pem" not in item.certificates:
        report.warn(f'"{item.name}" has no certificates, so docker cannot be told how to reach it.')
    return Import(item.name, machine)


def _refused(name: str, problem: str, report: Report) -> Import:
    report.warn(f'Not imported: "{name}": {problem}')
    return Import(name, None, problem)


def _import(store: Store, item: FoundMachine, *, as_generic: bool) -> Machine:
    check_name(item.name)
    if item.name in store.names():
        raise MachineExists(item.name)
    host = _host(item, as_generic=as_generic)
    record = Record(
        name=item.name,
        id=str(uuid.uuid4()),
        driver=host.driver,
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        phase="ready",
        options=dict(host.options),
        engine=_engine(item.engine).to_json(),
        swarm=_swarm(item.swarm).to_json(),
        tls_san=list(item.sans),
        resources=host.resources,
    )
    return add(store, record, {**item.certificates, **host.files})


def _host(item: FoundMachine, *, as_generic: bool) -> _Host:
    if item.driver == "none":
        if not item.text("URL"):
            raise MachineError("its config.json has no URL")
        return _Host("none", _options("none", url=item.text("URL")), {}, {})
    if item.driver == "generic" or (as_generic and item.driver):
        return _generic(item)
    raise MachineError(
        f"its driver {item.driver or '(none is named)'} is not known here",
        hint="with --as-generic its host is used as one that is reached by SSH",
    )


def _generic(item: FoundMachine) -> _Host:
    """A host reached by SSH, with the key that docker-machine has for it."""
    address = item.text("IPAddress")
    if not address:
        raise MachineError("its config.json has no address")
    files, key = _ssh_key(item)
    user = item.text("SSHUser") or "root"
    port = (0 if item.driver in _INSIDE else item.number("SSHPort")) or 22
    engine_port = item.number("EnginePort") or 2376
    options = _options("generic", ip_address=address, ssh_user=user, ssh_port=port, engine_port=engine_port)
    resources = {"address": address, "ssh_user": user, "ssh_port": port, "proxy_command": ""}
    return _Host("generic", options, {**resources, **({"ssh_key": key} if key else {})}, files)


def _ssh_key(item: FoundMachine) -> tuple[dict[str, bytes], str]:
    """The key's files and its name; none when an agent's keys are used."""
    from pymachine.drivers.generic.identity import TAKEN

    path = item.ssh_key()
    if path is None:
        if item.text("SSHKeyPath"):
            raise MachineError(f"its SSH key {item.text('SSHKeyPath')} is gone")
        return {}, ""
    name = f"ssh-{path.name}" if path.name in TAKEN or path.name.startswith(".") else path.name
    try:
        files = {name: read_file(path)}
        public = path.with_name(f"{path.name}.pub")
        if public.is_file():
            files[f"{name}.pub"] = read_file(public)
    except OSError as error:
        raise MachineError(f"its SSH key {path} cannot be read: {error.strerror or error}") from error
    return files, name


def _options(driver: str, **given: Any) -> dict[str, Any]:
    """As a create with these options would have put them on record."""
    from pymachine.drivers import registry
    from pymachine.drivers.options import build, to_json

    kind = registry.load(driver)
    return to_json(build(kind.name, kind.Options, given, env={}))


def _engine(found: Mapping[str, Any]) -> EngineOptions:
    return EngineOptions(
        opts=_texts(found, "ArbitraryFlags"),
        labels=_texts(found, "Labels"),
        env=_texts(found, "Env"),
        insecure_registries=_texts(found, "InsecureRegistry"),
        registry_mirrors=_texts(found, "RegistryMirror"),
        storage_driver=_text(found, "StorageDriver"),
        install_url=_text(found, "InstallURL"),
    )


def _swarm(found: Mapping[str, Any]) -> SwarmOptions:
    defaults = SwarmOptions()
    return SwarmOptions(
        agent=found.get("Agent") is True or found.get("IsSwarm") is True,
        master=found.get("Master") is True,
        image=_text(found, "Image") or defaults.image,
        discovery=_text(found, "Discovery"),
        strategy=_text(found, "Strategy") or defaults.strategy,
        opts=_texts(found, "ArbitraryFlags"),
        join_opts=_texts(found, "ArbitraryJoinFlags"),
        host=_text(found, "Host") or defaults.host,
        addr=_text(found, "Address"),
        experimental=found.get("IsExperimental") is True,
    )


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _texts(found: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = found.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
