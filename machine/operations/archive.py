"""Move machines between stores: all that a client needs of them in one archive, with no key changed.

An imported machine keeps the CA that its engine trusts beside it, so what others have goes on working. The CA's private
key stays where it is: who imports can use the machine, and cannot make certificates for others.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import InvalidName, InvalidOption, MachineError, MachineExists
from pymachine.machine.lifetime.duration import parse_moment
from pymachine.machine.lifetime.watcher import ensure_watched
from pymachine.machine.machine import Machine
from pymachine.machine.names import check_name
from pymachine.machine.operations.report import Report
from pymachine.store.archive import (
    LARGEST_ARCHIVE,
    LARGEST_FILE,
    ArchivedMachine,
    ArchiveRefused,
    is_portable,
    pack,
    unpack,
)
from pymachine.store.archiveseal import is_sealed, seal, unseal
from pymachine.store.atomic import replace_file, storage_errors
from pymachine.store.base import Damaged, Record, Store
from pymachine.store.schema import dump_record, parse_record, read_file

LOGS = ("provision.log", "provision.log.1")
PUBLIC = ("ca.pem", "cert.pem", "server.pem")
"""What is 0644; everything else is private."""


def export(machines: Sequence[Machine], path: Path, *, passphrase: str = "") -> None:
    """Write *machines* to the archive *path* (0600), under a passphrase if one is given.

    Each is read while nobody else changes it. Raises `MachineError` for one that is not whole.
    """
    archived = [_archived(machine) for machine in machines]
    content = pack(archived)
    if len(content) > LARGEST_ARCHIVE:
        raise MachineError(f"these machines are more than the {LARGEST_ARCHIVE >> 20} MiB that an archive may have")
    with storage_errors("cannot write", path):
        replace_file(path, seal(content, passphrase.encode()) if passphrase else content)


def needs_passphrase(path: Path) -> bool:
    """Whether the archive *path* is sealed."""
    return is_sealed(_read(path))


def import_archive(
    store: Store,
    path: Path,
    report: Report,
    *,
    passphrase: str = "",
    renamed: Mapping[str, str] | None = None,
    allow_commands: bool = False,
) -> list[Machine]:
    """Add the machines of the archive *path* to *store*, under the names that *renamed* gives them.

    All are checked before the first is added. Raises `ArchiveRefused` for an archive that cannot be trusted. A record
    with a command for reaching the host (``ProxyCommand``) is refused unless *allow_commands*: it would run here.
    """
    try:
        content = _read(path)
        archived = unpack(unseal(content, passphrase.encode()) if is_sealed(content) else content)
        records = [_checked(item, renamed or {}, allow_commands=allow_commands) for item in archived]
    except ArchiveRefused as error:
        raise ArchiveRefused(f"{path}: {error}", hint=error.hint) from error
    _check_free(store, [record.name for record in records], [record.id for record in records])
    machines = []
    for record, item in zip(records, archived, strict=True):
        machines.append(add(store, record, item.files))
        report.say(f'Imported "{record.name}" ({record.driver}).')
        _keep_context(machines[-1], report)
    ensure_watched(store)
    return machines


def add(store: Store, record: Record, files: Mapping[str, bytes]) -> Machine:
    """Add a machine that exists already: its files first, so that it is there whole or not at all."""
    with store.lease(record.name, "import"):
        if record.name in store.names():
            raise MachineExists(record.name)
        directory = store.machine_dir(record.name)
        with storage_errors("cannot write", directory):
            for name, content in files.items():
                public = name in PUBLIC or name.endswith(".pub")
                replace_file(directory / name, content, mode=0o644 if public else 0o600)
        store.create(record)
    return Machine(store, record)


def _archived(machine: Machine) -> ArchivedMachine:
    with machine.store.lease(machine.name, "export"):
        machine.record = machine.store.load(machine.name)
        if not machine.ready:
            raise MachineError(f'Cannot export machine "{machine.name}": {machine.unfinished}')
        return ArchivedMachine(machine.name, dump_record(machine.record), _files(machine.directory))


def _files(directory: Path) -> dict[str, bytes]:
    """Keys, certificates, known host keys: everything but what the store keeps, logs and sockets."""
    files = {}
    with storage_errors("cannot read", directory):
        for path in sorted(directory.iterdir()):
            if path.is_symlink() or not path.is_file() or not is_portable(path.name) or path.name in LOGS:
                continue
            if path.stat().st_size > LARGEST_FILE:
                raise MachineError(
                    f"{path} is larger than the {LARGEST_FILE >> 20} MiB that a file in an archive may be"
                )
            files[path.name] = read_file(path)
    return files


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_ARCHIVE + 1024)
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}") from error
    return content


def _checked(item: ArchivedMachine, renamed: Mapping[str, str], *, allow_commands: bool) -> Record:
    """The record, once everything in it that could do harm was looked at."""
    try:
        record = parse_record(item.record, item.name)
        record.id = str(uuid.UUID(record.id))
        record.name = renamed.get(item.name, item.name)
        if record.expires_at:
            parse_moment(record.expires_at)
        check_name(record.name)
        problems = [] if record.phase == "ready" else [f"it is not whole ({record.phase})"]
        problems += EngineOptions.from_json(record.engine).problems()
        swarm = SwarmOptions.from_json(record.swarm)
        swarm.check()
        problems += swarm.problems()
    except (InvalidName, InvalidOption):
        raise
    except (MachineError, ValueError, TypeError, AttributeError) as error:
        raise ArchiveRefused(f'the record of machine "{item.name}" in it is damaged: {error}') from error
    key = record.resources.get("ssh_key")
    if key and not (isinstance(key, str) and key in item.files):  # it is a path below the machine's directory
        problems.append(f"its SSH key {key!r} is not in the archive")
    if problems:
        raise ArchiveRefused(f'machine "{item.name}" in it cannot be imported: {"; ".join(problems)}')
    if command := record.resources.get("proxy_command"):
        _allow_command(item.name, str(command), allowed=allow_commands)
    record.fleet = {}  # a fleet of this store did not make it, and must not remove it
    return record


def _allow_command(name: str, command: str, *, allowed: bool) -> None:
    if not allowed:
        raise ArchiveRefused(
            f'machine "{name}" in it is reached through a command that would run on this computer: {command!r}',
            hint="If you trust whoever made the archive, import it with --allow-commands.",
        )


def _check_free(store: Store, names: Sequence[str], ids: Sequence[str]) -> None:
    """All names and ids must be new, in the store and among themselves."""
    taken = set(store.names())
    known = {item.id: item.name for item in store.load_all() if not isinstance(item, Damaged)}
    for name, machine_id in zip(names, ids, strict=True):
        if name in taken:
            raise MachineExists(name)
        if machine_id in known:
            raise MachineError(f'this machine is in the store already, as "{known[machine_id]}"')
        taken.add(name)
        known[machine_id] = name


def _keep_context(machine: Machine, report: Report) -> None:
    from pymachine.machine.context.upkeep import keep

    with contextlib.suppress(MachineError):  # the driver may not be installed here, or its host be gone
        keep(machine, machine.driver().engine_url(), report)
