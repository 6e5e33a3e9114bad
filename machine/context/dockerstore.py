"""Docker's store of contexts, in the directory of its configuration (``$DOCKER_CONFIG``, else ``~/.docker``)::

    config.json                                 "currentContext": NAME, beside much that is not ours
    contexts/meta/SHA256-OF-NAME/meta.json      name, description, endpoints
    contexts/tls/SHA256-OF-NAME/docker/         ca.pem, cert.pem, key.pem

The format is that of the docker command line's releases since 19.03; unknown fields are left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.machine.errors import MachineError
from pymachine.store.atomic import make_directory, replace_file, storage_errors
from pymachine.store.schema import read_file

TLS_FILES: Mapping[str, int] = {"ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}
"""Names and modes of a context's TLS material."""
_OURS = "pymachine"
"""Our field in a context's metadata: ``{"machine": ID, "kind": "tls" or "ssh"}``."""


@dataclass(frozen=True, slots=True)
class DockerContext:
    """One context that we made."""

    name: str
    host: str
    """What ``DOCKER_HOST`` would be."""
    machine_id: str
    kind: str
    """``tls``, ``ssh``, or ``plain`` for an engine that is reached as it is."""
    description: str = ""


class DockerContexts:
    """The contexts in one directory. Making the object reads nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._meta = directory / "contexts" / "meta"
        self._tls = directory / "contexts" / "tls"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> DockerContexts:
        """Those that the docker command line would use."""
        home = environ.get("HOME") if os.name != "nt" else environ.get("USERPROFILE")
        return cls(Path(environ.get("DOCKER_CONFIG") or Path(home or Path.home()) / ".docker"))

    def ours(self) -> Iterator[DockerContext]:
        """Every context that pymachine made, whatever the store; damaged files are passed over."""
        try:
            entries = sorted(os.listdir(self._meta))
        except OSError:
            return
        for entry in entries:
            context = _parse(_read_json(self._meta / entry / "meta.json"))
            if context:
                yield context

    def find(self, machine_id: str) -> DockerContext | None:
        """The context of a machine, whatever it is called."""
        return next((context for context in self.ours() if context.machine_id == machine_id), None)

    def write(self, context: DockerContext, tls: Mapping[str, bytes]) -> bool:
        """Make or bring up to date; whether anything changed. Raises `MachineError` when the name is another's."""
        folder = self._meta / _digest(context.name)
        found = _parse(_read_json(folder / "meta.json"))
        if folder.exists() and (found is None or found.machine_id != context.machine_id):
            raise MachineError(
                f'There is a docker context "{context.name}" already, which was not made for this machine',
                hint=f"Remove it if it is of no use: docker context rm {context.name}",
            )
        with storage_errors("cannot write", folder):
            changed = self._write_tls(context.name, tls)
            if found != context:
                _make_directories(folder)
                replace_file(folder / "meta.json", _dump(context), mode=0o644)
                changed = True
        return changed

    def remove(self, name: str) -> None:
        """Remove a context, and stop using it; fine when absent."""
        if self.current() == name:
            self.use("")
        for parent in (self._meta, self._tls):
            folder = parent / _digest(name)
            with storage_errors("cannot remove", folder), contextlib.suppress(FileNotFoundError):
                _remove_tree(folder)

    def current(self) -> str:
        """The context that docker uses when nothing else is said; empty for its default."""
        name = (_read_json(self._config) or {}).get("currentContext", "")
        return name if isinstance(name, str) else ""

    def use(self, name: str) -> None:
        """Make *name* the current context; the empty name for docker's default."""
        path = Path(os.path.realpath(self._config))  # some keep it under version control, behind a link
        with storage_errors("cannot write", path):
            document, mode = self._load_config(path)
            if document.get("currentContext", "") == name:
                return
            document.pop("currentContext", None)
            if name:
                document["currentContext"] = name
            _make_directories(path.parent)
            content = json.dumps(document, indent="\t", ensure_ascii=False).encode()
            replace_file(path, content, mode=mode)

    @property
    def _config(self) -> Path:
        return self.directory / "config.json"

    def _load_config(self, path: Path) -> tuple[dict[str, Any], int]:
        """The configuration and its file's mode. What cannot be understood must not be overwritten."""
        try:
            content = read_file(path)
        except FileNotFoundError:
            return {}, 0o600
        try:
            document = json.loads(content or b"{}")
        except ValueError as error:
            raise MachineError(f"docker's configuration {path} is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise MachineError(f"docker's configuration {path} is not a JSON object")
        return document, path.stat().st_mode & 0o777

    def _write_tls(self, name: str, tls: Mapping[str, bytes]) -> bool:
        folder = self._tls / _digest(name) / "docker"
        changed = False
        for file, content in tls.items():
            try:
                same = (folder / file).read_bytes() == content
            except FileNotFoundError:
                same = False
            if not same:
                _make_directories(folder.parent.parent)
                make_directory(folder)
                replace_file(folder / file, content, mode=TLS_FILES[file])
                changed = True
        if not tls and folder.exists():
            _remove_tree(folder.parent)
            changed = True
        return changed


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _parse(document: dict[str, Any] | None) -> DockerContext | None:
    """The context in a ``meta.json`` of ours; ``None`` for anybody else's."""
    try:
        metadata = document["Metadata"]  # type: ignore[index]
        name, host, ours = document["Name"], document["Endpoints"]["docker"]["Host"], metadata[_OURS]  # type: ignore[index]
        context = DockerContext(name, host, ours["machine"], ours["kind"], metadata.get("Description", ""))
    except (KeyError, TypeError, AttributeError):
        return None
    values = (context.name, context.host, context.machine_id, context.kind, context.description)
    return context if all(isinstance(value, str) for value in values) else None


def _dump(context: DockerContext) -> bytes:
    document = {
        "Name": context.name,
        "Metadata": {
            "Description": context.description,
            _OURS: {"machine": context.machine_id, "kind": context.kind},
        },
        "Endpoints": {"docker": {"Host": context.host, "SkipTLSVerify": False}},
    }
    return json.dumps(document).encode()


def _make_directories(path: Path) -> None:
    """Docker's own directories are open to all, except that of its configuration and of keys."""
    path.mkdir(mode=0o755, parents=True, exist_ok=True)


def _remove_tree(path: Path) -> None:
    import shutil

    shutil.rmtree(path)
