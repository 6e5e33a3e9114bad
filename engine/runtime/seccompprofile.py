"""Seccomp profiles: Docker's JSON format, and the default one.

Format: docs.docker.com/engine/security/seccomp, which is that of the OCI runtime specification with conditions
(``includes``/``excludes``: ``caps``, ``arches``, ``minKernel``) on each rule and ``archMap`` in place of
``architectures``. What is asked of the profile is settled here; `pymachine.engine.runtime.seccompile` knows
nothing of conditions.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from typing import Any, cast

from pymachine.engine.runtime import seccompdefault

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_EPERM = 1
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition on one of a system call's arguments."""

    index: int
    operator: int
    value: int
    value_two: int = 0
    """For ``SCMP_CMP_MASKED_EQ``: *value* is the mask, this what the masked argument must be."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of some system calls, when all the comparisons hold."""

    names: tuple[str, ...]
    action: int
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile with all conditions settled."""

    default_action: int
    architectures: tuple[str, ...]
    """Those beside the computer's own, as libseccomp names them: ``x86``."""
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a profile's conditions are about."""

    capabilities: frozenset[str]
    machine: str
    kernel: tuple[int, int]


def load(text: str, capabilities: frozenset[str]) -> Profile:
    """The profile *text* (``default``, or JSON) for a process with *capabilities*; `ValueError` says what is wrong."""
    release = platform.release().split(".")
    kernel = (int(release[0]), int("".join(char for char in release[1] if char.isdigit()) or 0))
    situation = Situation(capabilities, platform.machine(), kernel)
    if text == "default":
        return parse(seccompdefault.profile(), situation)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"decoding the profile failed: {error}") from None
    return parse(document, situation)


def parse(document: Any, situation: Situation) -> Profile:
    """The profile in *document*, for *situation*."""
    if not isinstance(document, dict) or "defaultAction" not in document:
        raise ValueError("the profile is not an object with a defaultAction")
    default = _action(document["defaultAction"], document.get("defaultErrnoRet"))
    rules = [
        _rule(item)
        for item in _objects(document, "syscalls")
        if _holds(item.get("includes") or {}, situation, every=True)
        and not _holds(item.get("excludes") or {}, situation, every=False)
    ]
    return Profile(default, _architectures(document, situation), tuple(rules))


def _rule(item: dict[str, Any]) -> Rule:
    names = item.get("names") or ([item["name"]] if item.get("name") else [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the names of a rule are not a list of system calls")
    comparisons = tuple(_comparison(argument) for argument in _objects(item, "args"))
    return Rule(tuple(names), _action(item.get("action"), item.get("errnoRet")), comparisons)


def _comparison(item: dict[str, Any]) -> Comparison:
    operator = OPERATORS.get(str(item.get("op")))
    index = _number(item.get("index", 0))
    if operator is None or index > 5:
        raise ValueError(f"a comparison with the operator {item.get('op')!r} of argument {index} is not one")
    return Comparison(index, operator, _number(item.get("value", 0)), _number(item.get("valueTwo", 0)))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise ValueError(f"{value!r} is not a number of 64 bits")
    return value


def _action(name: Any, number: Any) -> int:
    action = ACTIONS.get(str(name))
    if action is None:
        raise ValueError(f"unknown action {name!r}")
    if name in _WITH_ERRNO:
        action |= _number(_EPERM if number is None else number) & 0xFFFF
    return action


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{name} is not a list of objects")
    return cast(list[dict[str, Any]], value)


def _holds(condition: Any, situation: Situation, *, every: bool) -> bool:
    """Whether *condition* holds: for ``includes`` every part of it must, for ``excludes`` one is enough."""
    if not isinstance(condition, dict):
        raise ValueError("includes and excludes are objects")
    parts: list[bool] = []
    if condition.get("arches"):
        parts.append(_GO_ARCHITECTURES.get(situation.machine, situation.machine) in condition["arches"])
    if condition.get("caps"):
        wanted = set(map(str, condition["caps"]))
        parts.append(wanted <= situation.capabilities if every else bool(wanted & situation.capabilities))
    if condition.get("minKernel"):
        major, _, minor = str(condition["minKernel"]).partition(".")
        parts.append(situation.kernel >= (int(major), int(minor or 0)))
    return all(parts) if every else any(parts)


def _architectures(document: dict[str, Any], situation: Situation) -> tuple[str, ...]:
    own = f"SCMP_ARCH_{situation.machine.upper()}"
    found = list(document.get("architectures") or [])
    for entry in _objects(document, "archMap"):
        if entry.get("architecture") == own:
            found += entry.get("subArchitectures") or []
    names = [str(name).removeprefix("SCMP_ARCH_").lower() for name in found]
    return tuple(name for name in dict.fromkeys(names) if name != situation.machine)
