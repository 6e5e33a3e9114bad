"""Times as the Engine API and ``docker ps`` write them."""

from __future__ import annotations

from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"


def stamp(seconds: float) -> str:
    """RFC 3339 with nanoseconds, in UTC; 0 is the API's zero time."""
    if seconds <= 0:
        return NEVER
    nanoseconds = int(seconds * 10**9)
    return stamp_nanoseconds(nanoseconds)


def stamp_nanoseconds(nanoseconds: int) -> str:
    """As `stamp`, from whole nanoseconds since the epoch."""
    whole = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}Z"


def ago(seconds: float) -> str:
    """A span in words, as ``docker ps`` shows it: ``5 seconds``, ``About a minute``, ``3 hours``."""
    whole = int(max(seconds, 0))
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = round(seconds / 3600)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"
