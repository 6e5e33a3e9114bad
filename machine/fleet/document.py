"""A fleet file::

    fleet: web
    defaults:
      driver: local
      options: {cpus: 2}
    machines:
      db: {}
      web:
        count: 3                      # web-1, web-2, web-3
        options: {memory: 1g}
        engine: {labels: [role=web]}

A machine's own fields come before those of ``defaults``; its ``options`` are added to theirs when both have the same
driver, its ``engine`` and ``swarm`` field by field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.drivers import registry
from pymachine.drivers.options import build, describe
from pymachine.machine.certs.keytype import key_type
from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import MachineError
from pymachine.machine.fleet.section import Section, read
from pymachine.machine.lifetime.duration import parse_span
from pymachine.machine.names import check_name
from pymachine.machine.operations.create import Request

MOST = 1000
"""Machines of one kind."""
FIELDS = ("driver", "options", "engine", "swarm", "tls-san", "tls-key-type", "ttl", "count")
ENGINE_LISTS: Mapping[str, str] = {
    "options": "opts",
    "labels": "labels",
    "env": "env",
    "insecure-registries": "insecure_registries",
    "registry-mirrors": "registry_mirrors",
}
"""Fields of ``engine`` that are lists, with those of `EngineOptions`."""

SWARM_FLAGS = ("agent", "master", "experimental")
SWARM_TEXTS = ("image", "discovery", "strategy", "host", "addr")
SWARM_LISTS: Mapping[str, str] = {"options": "opts", "join-options": "join_opts"}
"""Fields of ``swarm``, the lists with those of `SwarmOptions`."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What there is to be."""

    name: str
    path: Path
    machines: tuple[Request, ...]

    def marks(self, request: Request) -> dict[str, Any]:
        """What the record of a machine that this fleet makes says of it."""
        return {"name": self.name, "options": sorted(request.options)}


def load_fleet(path: Path, default_driver: str) -> Fleet:
    """The fleet in the file *path*; raises `FleetError` that lists everything wrong with it."""
    top, problems = read(path)
    name = top.text("fleet")
    if not name and "fleet" not in top:
        top.wrong("fleet", "it is missing: the name by which the fleet knows its machines")
    defaults = top.section("defaults")
    machines = top.section("machines")
    if machines is None:
        top.wrong("machines", "it is missing")
    top.only(("fleet", "defaults", "machines"))
    requests: list[Request] = []
    seen: dict[str, str] = {}
    for kind, section in machines.sections() if machines else ():
        reader = _Reader(section, defaults, default_driver)
        for request in reader.requests(kind):
            if request.name in seen:
                section.wrong("count", f"{request.name} is the name of a machine of {seen[request.name]} too")
            seen[request.name] = kind
            requests.append(request)
    if defaults is not None:
        defaults.only(FIELDS[:-1])
    problems.check()
    return Fleet(name, path, tuple(requests))


class _Reader:
    """One entry of ``machines``, over ``defaults``."""

    def __init__(self, section: Section, defaults: Section | None, default_driver: str) -> None:
        self._section = section
        self._defaults = defaults
        self._common = defaults.text("driver", default_driver) if defaults else default_driver
        self._layers = [layer for layer in (section, defaults) if layer is not None]

    def requests(self, kind: str) -> list[Request]:
        """Its machines; problems are told to the section."""
        section = self._section
        driver = section.text("driver", self._common)
        request = Request(
            name=kind,
            driver=driver,
            options=self._options(driver),
            engine=self._engine(),
            swarm=self._swarm(),
            tls_san=self._first("tls-san").texts("tls-san"),
            key_type=self._first("tls-key-type").parsed("tls-key-type", lambda text: str(key_type(text)), ""),
            ttl=self._first("ttl").parsed("ttl", parse_span, 0.0),
        )
        count = section.parsed("count", _count, None)
        section.only(FIELDS)
        names = [kind] if count is None else [f"{kind}-{index}" for index in range(1, count + 1)]
        try:
            for name in (kind, *names):
                check_name(name)
        except MachineError as error:
            section.wrong("", str(error))
        return [dataclasses.replace(request, name=name) for name in names]

    def _first(self, name: str) -> Section:
        """The layer that counts for a field."""
        return next((layer for layer in self._layers if name in layer), self._section)

    def _options(self, driver: str) -> dict[str, Any]:
        """The driver's options, each checked by itself so that its line can be told."""
        layers = [layer.section("options") for layer in reversed(self._layers)]
        if driver != self._common and len(layers) == 2:
            layers = layers[1:]
        try:
            kind = registry.load(driver)
        except MachineError as error:
            self._section.wrong("driver", str(error))
            return {}
        types = {spec.field: spec.type for spec in describe(kind.name, kind.Options)}
        values: dict[str, Any] = {}
        for layer in layers:
            for name in layer.names() if layer else ():
                assert layer is not None
                field = name.replace("-", "_")
                if field not in types:
                    known = ", ".join(item.replace("_", "-") for item in types)
                    layer.wrong(name, f"driver {driver} has no such option; known are {known}")
                    continue
                value = layer.texts(name) if types[field] == "list" else layer.text(name)
                try:
                    build(kind.name, kind.Options, {field: value}, {})
                    values[field] = value
                except MachineError as error:
                    layer.wrong(name, str(error).partition(": ")[2] or str(error))
        return values

    def _engine(self) -> EngineOptions:
        values: dict[str, Any] = {}
        for layer in reversed(self._layers):
            section = layer.section("engine")
            if section is None:
                continue
            for name, field in ENGINE_LISTS.items():
                if name in section:
                    values[field] = section.texts(name)
                    _note(section, name, EngineOptions(**{field: values[field]}).problems())
            if "storage-driver" in section:
                values["storage_driver"] = section.text("storage-driver")
            section.only((*ENGINE_LISTS, "storage-driver"))
        return EngineOptions(**values)

    def _swarm(self) -> SwarmOptions:
        values: dict[str, Any] = {}
        for layer in reversed(self._layers):
            section = layer.section("swarm")
            if section is None:
                continue
            values |= {name: section.parsed(name, _truth, False) for name in SWARM_FLAGS if name in section}
            texts = {name: section.text(name) for name in SWARM_TEXTS if name in section}
            lists = {field: section.texts(name) for name, field in SWARM_LISTS.items() if name in section}
            values |= texts | lists
            for name, field in {**{name: name for name in texts}, **SWARM_LISTS}.items():
                if name in section and values[field]:
                    _note(section, name, SwarmOptions(**{field: values[field]}).problems())
            try:
                SwarmOptions(discovery=values.get("discovery", "")).check()
            except MachineError as error:
                section.wrong("discovery", str(error).partition(": ")[2])
                values.pop("discovery")
            section.only((*SWARM_FLAGS, *SWARM_TEXTS, *SWARM_LISTS))
        return SwarmOptions(**values)


def _note(section: Section, name: str, problems: list[str]) -> None:
    """Problems of a flag, as those of field *name*."""
    for problem in problems:
        section.wrong(name, problem.partition(": ")[2] or problem)


def _truth(text: str) -> bool:
    """YAML 1.1's words for it, less the odd ones."""
    if text.lower() in ("true", "yes", "on"):
        return True
    if text.lower() in ("false", "no", "off"):
        return False
    raise ValueError(f"{text!r} is not true or false")


def _count(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= MOST:
        raise ValueError(f"{text!r} is no number from 0 to {MOST}")
    return number
