"""What can still be known of a machine whose record is damaged: enough to remove what it has outside.

A record of another name is never used: it is a copy, and the machine it speaks of may be alive.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from pymachine.store.base import Record
from pymachine.store.schema import KINDS

_PIECE = re.compile(rb'^  "(name|id|driver|created_at|phase)": "([^"\\\n]*)",?$', re.MULTILINE)
"""A line of a record as we write it."""


def salvage_whole(content: bytes, name: str) -> Record | None:
    """From JSON that is whole, but of a later version or with fields that are not what they should be."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return _record(document, name) if isinstance(document, dict) else None


def salvage_pieces(content: bytes, name: str) -> Record | None:
    """From what was written before the record was cut short or overwritten."""
    pieces: dict[str, Any] = {}
    for field, value in _PIECE.findall(content):
        pieces.setdefault(field.decode(), value.decode(errors="replace"))
    return _record(pieces, name)


def _record(document: dict[str, Any], name: str) -> Record | None:
    usable: dict[str, Any] = {
        field: value for field, value in document.items() if isinstance(value, KINDS.get(field, ()))
    }
    if usable.get("name") != name or not usable.get("driver") or not _is_uuid(usable.get("id")):
        return None
    usable.setdefault("created_at", "")
    usable.pop("tls_san", None)  # its items are unchecked, and removing needs none
    return Record(**usable)


def _is_uuid(value: Any) -> bool:
    try:
        return bool(str(uuid.UUID(value)) == value)
    except (ValueError, AttributeError, TypeError):
        return False
