"""JSON for programs: what ``--format json`` prints. Its schemas are in docs/schemas/."""

from __future__ import annotations

import json
from typing import Any


def as_document(value: Any) -> str:
    """*value* as JSON on lines of their own, indented as docker-machine's ``inspect`` does."""
    return f"{json.dumps(value, indent=4)}\n"
