"""Times as image configurations and the Engine API write them: RFC 3339, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.dockerapi.filters import timestamp

ZERO = "0001-01-01T00:00:00Z"
"""No time, as Go writes it."""


def rfc3339(seconds: float | None = None) -> str:
    """*seconds* since the epoch (now by default); `ZERO` for 0."""
    if seconds == 0:
        return ZERO
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def seconds_of(text: object) -> float:
    """Seconds since the epoch; 0 for what is missing, not a time, or before the epoch (Go's zero time)."""
    if not isinstance(text, str) or not text:
        return 0.0
    try:
        return max(timestamp(text), 0.0)
    except (InvalidArgument, OverflowError):
        return 0.0
