"""Dockerfile instructions applied to an image's configuration (``changes`` of import and commit)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)


def apply_changes(config: dict[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A copy of *config* (the inner ``config`` of an image) with *changes*; raises `InvalidArgument`."""
    result = json.loads(json.dumps(config))
    for change in changes:
        for line in change.replace("\\\n", " ").splitlines():
            if line.strip():
                _apply(result, line.strip())
    return result  # type: ignore[no-any-return]


def _apply(config: dict[str, Any], line: str) -> None:
    name, _, rest = line.partition(" ")
    instruction = _INSTRUCTIONS.get(name.upper())
    if instruction is None:
        raise InvalidArgument(f"{name} is not a valid change command")
    if not rest.strip():
        raise InvalidArgument(f"{name.upper()} requires at least one argument")
    instruction(config, rest.strip())


def _command(text: str) -> list[str]:
    """The JSON form, or the shell form."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["/bin/sh", "-c", text]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"cannot read {text!r}: {error}") from None


def _pairs(name: str, text: str) -> list[tuple[str, str]]:
    """``a=b c=d``, or the old form ``a b c`` that sets one."""
    words = _words(text)
    if "=" not in words[0]:
        first, _, rest = text.partition(" ")
        if not rest:
            raise InvalidArgument(f"{name} must have two arguments")
        return [(first, rest.strip())]
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"cannot read {word!r} in {name}: NAME=VALUE is wanted")
        pairs.append((key, value))
    return pairs


def _cmd(config: dict[str, Any], text: str) -> None:
    config["Cmd"] = _command(text)


def _entrypoint(config: dict[str, Any], text: str) -> None:
    config["Entrypoint"] = _command(text)
    config.pop("Cmd", None)  # one that was made for another entry point


def _env(config: dict[str, Any], text: str) -> None:
    values = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    values.update(_pairs("ENV", text))
    config["Env"] = [f"{key}={value}" for key, value in values.items()]


def _label(config: dict[str, Any], text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs("LABEL", text))}


def _expose(config: dict[str, Any], text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in _words(text):
        match = _PORT.match(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 0 < first <= last < 65536:
            raise InvalidArgument(f"invalid port {word!r} in EXPOSE")
        for port in range(first, last + 1):
            ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    config["ExposedPorts"] = ports


def _user(config: dict[str, Any], text: str) -> None:
    config["User"] = text


def _workdir(config: dict[str, Any], text: str) -> None:
    base = config.get("WorkingDir") or "/"
    config["WorkingDir"] = text if text.startswith("/") else f"{base.rstrip('/')}/{text}"


def _volume(config: dict[str, Any], text: str) -> None:
    names = _command(text) if text.startswith("[") else _words(text)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{name: {} for name in names}}


def _stop_signal(config: dict[str, Any], text: str) -> None:
    config["StopSignal"] = text


def _on_build(config: dict[str, Any], text: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or []), text]


_INSTRUCTIONS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
