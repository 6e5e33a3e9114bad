"""The environment variables of a connection, set and unset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pymachine.machine.bundle.connection import Connection

NAMES = ("DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME")


def variables(connection: Connection, machine_name: str, *, windows: bool = os.name == "nt") -> dict[str, str]:
    """What a Docker client reads, in the order it is printed. Compose on Windows is told to translate paths; that is
    never unset, since it holds for all engines."""
    values = ("1", connection.url, str(connection.cert_path), machine_name)
    found = dict(zip(NAMES, values, strict=True))
    return found | ({"COMPOSE_CONVERT_WINDOWS_PATHS": "true"} if windows else {})


def with_host(environ: Mapping[str, str], host: str) -> tuple[str, str]:
    """The no-proxy variable's name, and its value with *host* in it."""
    name, hosts = _no_proxy(environ)
    return name, ",".join(hosts if host in hosts else [*hosts, host])


def without_host(environ: Mapping[str, str]) -> tuple[str, str]:
    """The no-proxy variable's name, and its value without the host that ``DOCKER_HOST`` names."""
    name, hosts = _no_proxy(environ)
    host = urlsplit(environ.get("DOCKER_HOST", "")).hostname
    return name, ",".join(item for item in hosts if item != host)


def _no_proxy(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    name = "no_proxy" if environ.get("no_proxy") else "NO_PROXY"
    return name, [item.strip() for item in environ.get(name, "").split(",") if item.strip()]
