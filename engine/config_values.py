"""How values are read: from daemon.json's JSON types, and from the text of a flag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.engine.config import AddressPool
from pymachine.engine.runtime.spec import Rlimit


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of value. Both readers raise `ValueError` saying what is expected."""

    from_json: Callable[[Any], Any]
    from_flag: Callable[[str], Any]
    repeated: bool = False
    """The flag may be given several times; its values are put together by *gather*."""
    gather: Callable[[list[Any]], Any] = tuple


def _expect(value: Any, kind: type, words: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected {words}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: f"{value!r}", type(None): "null", bool: str(value).lower()}
    return names.get(type(value), repr(value))


def _flag(text: str) -> bool:
    readings = {"true": True, "1": True, "t": True, "yes": True, "false": False, "0": False, "f": False, "no": False}
    if text.lower() not in readings:
        raise ValueError(f"expected true or false, not {text!r}")
    return readings[text.lower()]


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, not {text!r}") from None


def _path(value: Any) -> Path | None:
    text = _expect(value, str, "a path")
    if text and not text.startswith("/"):
        raise ValueError(f"expected an absolute path, not {text!r}")
    return Path(text) if text else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_expect(item, str, "a list of strings") for item in _expect(value, list, "a list of strings"))


def _options(value: Any) -> dict[str, str]:
    words = "an object of strings"
    return {name: _expect(item, str, words) for name, item in _expect(value, dict, words).items()}


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"expected name=value, not {text!r}")
    return name, value


def _ulimits(value: Any) -> tuple[Rlimit, ...]:
    if isinstance(value, list):  # the flag's form, as provisioning passes it on
        return tuple(_ulimit(text) for text in _texts(value))
    limits = []
    for name, item in _expect(value, dict, "an object of limits").items():
        entry = _expect(item, dict, 'limits like {"Soft": 1024, "Hard": 2048}')
        hard = _expect(entry.get("Hard", entry.get("Soft")), int, f"a number as Hard of {name}")
        limits.append(Rlimit(name.lower(), _expect(entry.get("Soft", hard), int, f"a number as Soft of {name}"), hard))
    return tuple(limits)


def _ulimit(text: str) -> Rlimit:
    name, value = _pair(text)
    soft, _, hard = value.partition(":")
    return Rlimit(name.lower(), _number(soft), _number(hard or soft))


def _pools(value: Any) -> tuple[AddressPool, ...]:
    words = 'a list like [{"base": "10.10.0.0/16", "size": 24}]'
    pools = []
    for item in _expect(value, list, words):
        if isinstance(item, str):  # the flag's form, as provisioning passes it on
            pools.append(_pool(item))
            continue
        entry = _expect(item, dict, words)
        pools.append(AddressPool(_expect(entry.get("base"), str, words), _expect(entry.get("size"), int, words)))
    return tuple(pools)


def _pool(text: str) -> AddressPool:
    parts = dict(_pair(part) for part in text.split(","))
    if parts.keys() != {"base", "size"}:
        raise ValueError(f"expected base=…,size=…, not {text!r}")
    return AddressPool(parts["base"], _number(parts["size"]))


TEXT = Kind(lambda value: _expect(value, str, "a string"), str)
FLAG = Kind(lambda value: _expect(value, bool, "true or false"), _flag)
NUMBER = Kind(lambda value: _expect(value, int, "a whole number"), _number)
PATH = Kind(_path, _path)
TEXTS = Kind(_texts, str, repeated=True)
OPTIONS = Kind(_options, _pair, repeated=True, gather=dict)
ULIMITS = Kind(_ulimits, _ulimit, repeated=True)
POOLS = Kind(_pools, _pool, repeated=True)
