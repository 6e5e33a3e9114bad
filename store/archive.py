"""Machines as one file: an uncompressed tar archive of records and small files, and back.

::

    pymachine.json       {"schema": 1, "machines": ["web", …]}
    web/record.json      as in the store
    web/ca.pem …         the files beside it

What is read may come from anybody: every member must be a plain file with a name of this form, within the limits,
named once, of a machine that the first member names. Links, devices, directories and paths are refused, and nothing
is ever unpacked to a path that the archive gives.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymachine.machine.errors import MachineError
from pymachine.store.names import is_valid

ARCHIVE_SCHEMA = 1
LARGEST_ARCHIVE = 64 << 20
"""Bytes; a machine has some tens of kB."""
LARGEST_FILE = 1 << 20
MOST_FILES = 64
"""Of one machine."""
MOST_MACHINES = 10_000
RECORD = "record.json"
_MANIFEST = "pymachine.json"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class ArchiveRefused(MachineError):
    """What was to be imported is no archive of ours, or one that cannot be trusted."""


@dataclass(slots=True)
class ArchivedMachine:
    """A machine in an archive."""

    name: str
    record: bytes
    files: dict[str, bytes] = field(default_factory=dict)
    """The files beside the record, by name."""


def is_portable(name: str) -> bool:
    """Whether a file of this name may be in an archive: not what the store keeps for itself."""
    return _FILE.fullmatch(name) is not None and name not in (RECORD, "journal.jsonl", _MANIFEST)


def pack(machines: Sequence[ArchivedMachine]) -> bytes:
    """The archive. The same machines give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        manifest = {"schema": ARCHIVE_SCHEMA, "machines": [machine.name for machine in machines]}
        _add(archive, _MANIFEST, json.dumps(manifest).encode() + b"\n")
        for machine in machines:
            _add(archive, f"{machine.name}/{RECORD}", machine.record)
            for name, content in sorted(machine.files.items()):
                _add(archive, f"{machine.name}/{name}", content)
    return buffer.getvalue()


def unpack(content: bytes) -> list[ArchivedMachine]:
    """The machines of an archive; raises `ArchiveRefused` with the reason."""
    if len(content) > LARGEST_ARCHIVE:
        raise ArchiveRefused(f"it is larger than {LARGEST_ARCHIVE >> 20} MiB")
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            return _machines(_members(archive))
    except tarfile.TarError as error:
        raise ArchiveRefused(f"it is not an archive of machines, or is cut short ({error})") from error


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Names and contents, each checked before it is read."""
    seen: set[str] = set()
    for member in archive:
        name = member.name
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
            raise ArchiveRefused(f"{name!r} in it is not a plain file")
        if name in seen:
            raise ArchiveRefused(f"{name!r} is in it twice")
        if not 0 <= member.size <= LARGEST_FILE:
            raise ArchiveRefused(f"{name!r} in it is larger than {LARGEST_FILE >> 20} MiB")
        seen.add(name)
        file = archive.extractfile(member)
        assert file is not None
        content = file.read()
        if len(content) != member.size:
            raise ArchiveRefused(f"{name!r} in it is cut short")
        yield name, content


def _machines(members: Iterator[tuple[str, bytes]]) -> list[ArchivedMachine]:
    first, content = next(members, ("", b""))
    if first != _MANIFEST:
        raise ArchiveRefused("it is not an archive of machines")
    found = {name: ArchivedMachine(name, b"") for name in _manifest(content)}
    for path, content in members:
        directory, separator, name = path.partition("/")
        machine = found.get(directory)
        if machine is None or not separator or not (name == RECORD or is_portable(name)):
            raise ArchiveRefused(f"{path!r} has no place in an archive of machines")
        if name == RECORD:
            machine.record = content
        elif len(machine.files) == MOST_FILES:
            raise ArchiveRefused(f"machine {directory!r} in it has more than {MOST_FILES} files")
        else:
            machine.files[name] = content
    if missing := [name for name, machine in found.items() if not machine.record]:
        raise ArchiveRefused(f"there is no record of machine {missing[0]!r} in it")
    return list(found.values())


def _manifest(content: bytes) -> list[str]:
    """The names of the machines."""
    try:
        document: Any = json.loads(content)
        schema, names = document["schema"], document["machines"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArchiveRefused("its table of contents is damaged") from None
    if type(schema) is not int or schema < 1:
        raise ArchiveRefused("its table of contents is damaged")
    if schema > ARCHIVE_SCHEMA:
        raise ArchiveRefused(
            f"a newer pymachine wrote it (schema {schema}, this one knows {ARCHIVE_SCHEMA})", hint="upgrade pymachine"
        )
    if not isinstance(names, list) or not 0 < len(names) <= MOST_MACHINES or len(set(map(str, names))) != len(names):
        raise ArchiveRefused("its table of contents is damaged")
    if not all(isinstance(name, str) and is_valid(name) for name in names):
        raise ArchiveRefused("it names a machine as no machine may be called")
    return names
