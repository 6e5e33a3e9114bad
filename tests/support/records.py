"""Machine records for tests."""

from __future__ import annotations

from typing import Any

from pymachine.store.base import Record


def record(name: str = "web", **changes: Any) -> Record:
    """A plain record; *changes* replace fields."""
    fields: dict[str, Any] = {
        "name": name,
        "id": f"id-of-{name}",
        "driver": "none",
        "created_at": "2026-01-02T03:04:05Z",
        "options": {"url": "tcp://10.0.0.1:2376"},
        "tls_san": ["web.example.org"],
    }
    return Record(**(fields | changes))
