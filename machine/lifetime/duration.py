"""Spans of time as people write them: ``90s``, ``45m``, ``2h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pymachine.machine.errors import InvalidOption

_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
LONGEST = 10 * 365 * 86400
"""Seconds."""


def parse_span(text: str) -> float:
    """Seconds, more than none; raises `InvalidOption`."""
    found = _SPAN.fullmatch(text.strip().lower())
    numbers = found.groups(default="0") if found else ()
    seconds = sum(int(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=bool(numbers)))
    if not 0 < seconds <= LONGEST:
        raise InvalidOption(f"{text!r} is no span of time such as 90s, 45m, 2h30m or 7d, ten years at most")
    return float(seconds)


def moment_after(seconds: float) -> str:
    """The moment so many seconds from now, as records have it (RFC 3339, UTC)."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_moment(text: str) -> datetime:
    """A moment as records have it; raises `ValueError` for what is none, and for one that does not say where."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} does not name its time zone")
    return moment


def until(moment: str, now: datetime | None = None) -> str:
    """How long it is until *moment*, in one or two units: ``2h5m``, ``3d``; ``expired`` when it is past, empty when
    there is none."""
    if not moment:
        return ""
    try:
        left = int((parse_moment(moment) - (now or datetime.now(UTC))).total_seconds())
    except ValueError:
        return "unknown"
    if left <= 0:
        return "expired"
    parts = []
    for unit, size in list(_UNITS.items())[1:]:
        number, left = divmod(left, size)
        parts.append((number, unit))
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return "".join(f"{number}{unit}" for number, unit in parts[first : first + 2] if number)
