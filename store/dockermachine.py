"""Read a store of docker-machine's, versions 0 to 3 of its config.json, and change nothing in it.

::

    PATH/certs/{ca,cert}.pem 0644, {ca-key,key}.pem 0600
    PATH/machines/NAME/config.json
    PATH/machines/NAME/{ca,cert,key,server,server-key}.pem, an SSH key

Version 0 has the cluster's settings beside ``HostOptions`` and its engine's may be missing; versions 1 to 3 differ in
paths only, which are not used: files are looked for where the machine is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from pymachine.machine.errors import MachineError
from pymachine.store.base import Damaged
from pymachine.store.schema import read_file

NEWEST = 3
CERTIFICATES = ("ca.pem", "cert.pem", "key.pem", "server.pem", "server-key.pem")
SHARED = ("ca.pem", "cert.pem", "key.pem")
"""What machines without copies of their own have in common."""


@dataclass(frozen=True, slots=True)
class FoundMachine:
    """A machine of docker-machine's."""

    name: str
    """Its directory's, which counts there, too."""
    driver: str
    settings: Mapping[str, Any]
    """The driver's part of config.json."""
    engine: Mapping[str, Any]
    swarm: Mapping[str, Any]
    sans: tuple[str, ...]
    directory: Path
    certificates: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def text(self, key: str) -> str:
        """A setting of the driver; empty when it is missing or no text."""
        value = self.settings.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """A setting of the driver; 0 when it is missing or no number."""
        value = self.settings.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def ssh_key(self) -> Path | None:
        """The private SSH key's file: where config.json says, or of that name in the machine's directory, when the
        store was moved."""
        noted = self.text("SSHKeyPath")
        if not noted:
            return None
        places = (Path(noted), self.directory / PureWindowsPath(noted).name)
        return next((path for path in places if path.is_file()), None)


def read_machines(root: Path) -> Iterator[FoundMachine | Damaged]:
    """Every machine in the store *root*, by name. Raises `MachineError` when there is no such store."""
    machines = root / "machines"
    try:
        names = sorted(name for name in os.listdir(machines) if not name.startswith("."))
    except OSError as error:
        raise MachineError(f"there is no docker-machine store in {root}: {error.strerror or error}") from error
    for name in names:
        if (machines / name).is_dir():
            try:
                yield _read(root, machines / name)
            except MachineError as error:
                yield Damaged(name, str(error))


def _read(root: Path, directory: Path) -> FoundMachine:
    document = _document(directory / "config.json")
    options = _object(document, "HostOptions")
    swarm = _object(options, "SwarmOptions") or _flat_swarm(document)
    sans = _object(options, "AuthOptions").get("ServerCertSANs")
    return FoundMachine(
        directory.name,
        str(document.get("DriverName") or ""),
        _object(document, "Driver"),
        _object(options, "EngineOptions"),
        swarm,
        tuple(san for san in sans if isinstance(san, str)) if isinstance(sans, list) else (),
        directory,
        _certificates(root, directory),
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_file(path))
    except FileNotFoundError:
        raise MachineError("it has no config.json") from None
    except OSError as error:
        raise MachineError(f"its config.json cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise MachineError(f"its config.json is damaged: {error}") from error
    if not isinstance(document, dict):
        raise MachineError("its config.json is damaged: it is not an object")
    version = document.get("ConfigVersion", 0)
    if type(version) is not int or version < 0:
        raise MachineError("its config.json is damaged: ConfigVersion is no version")
    if version > NEWEST:
        raise MachineError(f"its config.json has version {version}, and the newest known is {NEWEST}")
    return document


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _flat_swarm(document: Mapping[str, Any]) -> dict[str, Any]:
    """Of version 0, which keeps them with the driver too."""
    driver = _object(document, "Driver")
    names = {"Host": "SwarmHost", "Master": "SwarmMaster", "Discovery": "SwarmDiscovery"}
    return {ours: document.get(theirs, driver.get(theirs)) for ours, theirs in names.items()}


def _certificates(root: Path, directory: Path) -> dict[str, bytes]:
    """The machine's own, else what it shares with all: never a mixture, which would not fit together."""
    own = _files(directory, CERTIFICATES)
    return own if all(name in own for name in SHARED) else _files(root / "certs", SHARED)


def _files(directory: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for name in names:
        try:
            found[name] = read_file(directory / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise MachineError(f"{directory / name} cannot be read: {error.strerror or error}") from error
    return found
