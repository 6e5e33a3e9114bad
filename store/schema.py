"""Records as bytes and back, checked field by field: what is on disk may be cut short, foreign or from the future."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from pymachine.machine.errors import RecordDamaged
from pymachine.store.base import SCHEMA, Record
from pymachine.store.portable import open_without_waiting

MAX_SIZE = 16 << 20
"""Bytes; a record is a few kB, so a bigger file is none."""

_REQUIRED = ("name", "id", "driver", "created_at")
KINDS: dict[str, type[Any]] = {
    "name": str,
    "id": str,
    "driver": str,
    "created_at": str,
    "phase": str,
    "options": dict,
    "engine": dict,
    "swarm": dict,
    "tls_san": list,
    "tls": dict,
    "resources": dict,
    "provisioned": dict,
    "fleet": dict,
    "expires_at": str,
}
"""Fields, and what their values are."""
_JSON_NAMES: dict[type[Any], str] = {str: "a string", dict: "an object", list: "a list"}


def dump_record(record: Record) -> bytes:
    """*record* as JSON, unknown fields included; raises `TypeError` or `ValueError` for what JSON has not."""
    fields = dataclasses.asdict(record)
    extra = fields.pop("extra")
    document = {"schema": SCHEMA, **fields, **{key: value for key, value in extra.items() if key not in KINDS}}
    return json.dumps(document | {"schema": SCHEMA}, indent=2, allow_nan=False).encode() + b"\n"


def parse_record(content: bytes, name: str) -> Record:
    """The record of machine *name*; raises `RecordDamaged` whose text is the reason alone."""
    document = _parse_json(content)
    check_schema(document.pop("schema", None))
    for field in _REQUIRED:
        if field not in document:
            raise RecordDamaged(f"the field {field} is missing")
    known = {field: document.pop(field) for field in KINDS if field in document}
    for field, value in known.items():
        if not isinstance(value, KINDS[field]):
            raise RecordDamaged(f"the field {field} is not {_JSON_NAMES[KINDS[field]]}")
    if not all(isinstance(san, str) for san in known.get("tls_san", ())):
        raise RecordDamaged("the field tls_san holds something other than strings")
    if known["name"] != name:
        raise RecordDamaged(f"it is the record of a machine called {known['name']!r}")
    return Record(**known, extra=document)


def check_schema(schema: Any) -> None:
    """Refuse what a later version wrote; raises `RecordDamaged`."""
    if type(schema) is not int or schema < 1:
        raise RecordDamaged("the field schema is not a version number")
    if schema > SCHEMA:
        raise RecordDamaged(
            f"a newer pymachine wrote it (schema {schema}, this one knows {SCHEMA})", hint="upgrade pymachine"
        )


def read_file(path: Path) -> bytes:
    """A regular file's bytes. Never waits (a FIFO would make open(2) hang); raises `OSError`."""
    handle = open_without_waiting(path)
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if status.st_size > MAX_SIZE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        chunks = []
        while chunk := os.read(handle, status.st_size + 1):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(handle)


def _parse_json(content: bytes) -> dict[str, Any]:
    if not content.strip():
        raise RecordDamaged("the file is empty")
    try:
        document = json.loads(content)
    except RecursionError:
        raise RecordDamaged("it is nested too deep") from None
    except UnicodeDecodeError:
        raise RecordDamaged("it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        where = "not JSON" if content.rstrip().endswith(b"}") else "cut short"
        raise RecordDamaged(f"it is {where}: {error}") from None
    except ValueError as error:
        raise RecordDamaged(f"it is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RecordDamaged("it is not a JSON object")
    return document
