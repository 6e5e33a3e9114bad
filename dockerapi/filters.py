"""The ``filters`` query parameter: both of its JSON forms, and the ways a filter is matched.

``{"label": ["a=b"]}`` is the documented form; old clients and the Docker CLI send ``{"label": {"a=b": true}}``
(Engine API 1.24+).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument

_DURATION_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"(\d{1,15}(?:\.\d{0,12})?|\.\d{1,12})(h|ms|m|s|us|µs|ns)", re.ASCII)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)
_UNIX_SECONDS = re.compile(r"\d{1,15}(\.\d{1,12})?", re.ASCII)


class Filters:
    """Parsed filters: for each key its values. All values of one key are alternatives; keys add up."""

    def __init__(self, values: Mapping[str, Collection[str]] | None = None) -> None:
        self._values = {key: tuple(items) for key, items in (values or {}).items()}

    @classmethod
    def parse(cls, raw: str, allowed: Collection[str]) -> Filters:
        """Read the parameter's text; raises `InvalidArgument` for malformed JSON and for keys not in *allowed*."""
        if not raw:
            return cls()
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            raise InvalidArgument("invalid filters: not valid JSON") from None
        if document is None:
            return cls()
        if not isinstance(document, dict):
            raise InvalidArgument("invalid filters: expected a JSON object")
        for key in document:
            if key not in allowed:
                raise InvalidArgument(f"invalid filter '{key}'")
        return cls({key: _values(key, value) for key, value in document.items()})

    def __contains__(self, key: str) -> bool:
        return bool(self._values.get(key))

    def __bool__(self) -> bool:
        return any(self._values.values())

    def values(self, key: str) -> tuple[str, ...]:
        """Every value of *key*, in the order sent; empty when it was not asked for."""
        return self._values.get(key, ())

    def exact(self, key: str, *candidates: str) -> bool:
        """Whether *key* is not asked for, or one of its values is one of *candidates*."""
        wanted = self._values.get(key)
        return not wanted or any(value in candidates for value in wanted)

    def prefix(self, key: str, *candidates: str) -> bool:
        """As `exact`, where the beginning is enough (ids)."""
        wanted = self._values.get(key)
        return not wanted or any(candidate.startswith(value) for value in wanted for candidate in candidates)

    def contains(self, key: str, *candidates: str) -> bool:
        """As `exact`, where being a part is enough (names)."""
        wanted = self._values.get(key)
        return not wanted or any(value in candidate for value in wanted for candidate in candidates)

    def labels(self, labels: Mapping[str, str] | None, key: str = "label") -> bool:
        """Whether *labels* has every label asked for, each as ``name`` or ``name=value``."""
        return all(_has_label(value, labels or {}) for value in self.values(key))

    def without_labels(self, labels: Mapping[str, str] | None, key: str = "label!") -> bool:
        """Whether *labels* has none of the labels excluded by ``label!`` (prune calls)."""
        return not any(_has_label(value, labels or {}) for value in self.values(key))

    def flag(self, key: str, default: bool = False) -> bool:
        """A true/false filter (``dangling``); raises `InvalidArgument` for anything but one boolean."""
        wanted = self.values(key)
        if not wanted:
            return default
        readings = {_boolean(value) for value in wanted}
        if len(readings) != 1 or None in readings:
            raise InvalidArgument(f"invalid filter '{key}={','.join(wanted)}'")
        return bool(readings.pop())

    def until(self, key: str = "until") -> float | None:
        """The moment (seconds since the epoch) of an ``until`` filter; ``None`` when not asked for."""
        wanted = self.values(key)
        if not wanted:
            return None
        if len(wanted) > 1:
            raise InvalidArgument(f"more than one {key} filter specified")
        return timestamp(wanted[0])


def _values(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        if not all(isinstance(flag, bool) for flag in value.values()):
            raise InvalidArgument(f"invalid filter '{key}': expected a map to booleans")
        return tuple(name for name, flag in value.items() if flag)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str | bool | int) for item in value):
        # docker-py sends booleans and numbers bare, for example {"dangling": [true]}.
        return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in value)
    raise InvalidArgument(f"invalid filter '{key}': expected a list of strings")


def _has_label(wanted: str, labels: Mapping[str, str]) -> bool:
    name, separator, value = wanted.partition("=")
    return name in labels and (not separator or labels[name] == value)


def _boolean(value: str) -> bool | None:
    return {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}.get(value.lower())


def duration(text: str) -> float:
    """Seconds of a duration as Go writes it (``1h30m``, ``10s``, ``1.5h``); raises `ValueError`."""
    sign, written = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if written == "0":
        return 0.0
    if not written or _DURATION.fullmatch(written) is None:
        raise ValueError(f"not a duration: {text!r}")
    return sign * sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(written))


def timestamp(text: str, now: float | None = None) -> float:
    """Seconds since the epoch of a point in time as Docker's clients send it.

    Unix seconds with an optional fraction, RFC 3339 with or without a zone and a time, or a duration before
    *now*. Raises `InvalidArgument`.
    """
    if _UNIX_SECONDS.fullmatch(text):
        return float(text)
    try:
        return _written(text)
    except ValueError:
        pass
    try:
        return (time.time() if now is None else now) - duration(text)
    except ValueError:
        raise InvalidArgument(f"invalid time: {text!r}") from None


def _written(text: str) -> float:
    cut = text.replace("Z", "+00:00")
    main, dot, rest = cut.partition(".")
    if dot:  # fromisoformat reads microseconds at most; Docker's clients send nanoseconds
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        cut = f"{main}.{digits[:6]:0<6}{rest[len(digits) :]}"
    moment = datetime.fromisoformat(cut)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
