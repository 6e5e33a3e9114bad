"""The container's program: what the image says, what the request says, and Docker's rules to join them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def complete(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """The request's ``Config`` with all that the image's ``config`` provides filled in."""
    merged = dict(config)
    for name in ("User", "WorkingDir", "StopSignal", "Shell"):
        merged[name] = config.get(name) or image.get(name) or ("" if name != "Shell" else None)
    merged["Env"] = merge_env(image.get("Env"), config.get("Env"))
    for name in ("Labels", "ExposedPorts", "Volumes"):
        merged[name] = {**(image.get(name) or {}), **(config.get(name) or {})}
    merged["Entrypoint"], merged["Cmd"] = _command(config, image)
    merged["Healthcheck"] = _health(config.get("Healthcheck"), image.get("Healthcheck"))
    return merged


def _command(config: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[list[str] | None, list[str] | None]:
    """An entry point given in the request drops the image's command; ``[""]`` drops the image's entry point."""
    entrypoint, cmd = config.get("Entrypoint"), config.get("Cmd")
    if not entrypoint:
        cmd = cmd or image.get("Cmd")
        entrypoint = image.get("Entrypoint") if entrypoint is None else None
    if entrypoint == [""]:
        entrypoint = None
    return entrypoint, cmd


def _health(given: Mapping[str, Any] | None, image: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A check given without a test only changes the timing of the image's."""
    if not given:
        return dict(image) if image else None
    if not given.get("Test") and image:
        return {**image, **{name: value for name, value in given.items() if value}}
    return dict(given)


def merge_env(base: Iterable[str] | None, over: Iterable[str] | None) -> list[str]:
    """*over* laid over *base*; the order of *base* stays, new names follow."""
    merged: dict[str, str] = {}
    for entry in (*(base or ()), *(over or ())):
        merged[entry.partition("=")[0]] = entry
    return list(merged.values())


def arguments(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The program and its arguments; raises `InvalidArgument` when there is none."""
    words = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if not words or not words[0]:
        raise InvalidArgument("no command specified")
    return words


def environment(config: Mapping[str, Any], hostname: str, extra: Iterable[str] | None = None) -> tuple[str, ...]:
    """The environment of the first process, or (*extra*) of one that exec adds.

    A name without ``=`` takes the variable away, as clients use it.
    """
    base = [DEFAULT_PATH, f"HOSTNAME={hostname}"]
    if config.get("Tty"):
        base.append("TERM=xterm")
    merged = merge_env(merge_env(base, config.get("Env")), extra)
    return tuple(entry for entry in merged if "=" in entry and not entry.startswith("="))
