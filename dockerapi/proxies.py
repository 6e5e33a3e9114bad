"""HTTP proxies by the environment: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``, in either case of letters.

The rules are those of Go's programs, dockerd among them: loopback is never proxied; an entry of ``NO_PROXY`` is
``*``, an address, a network, or a domain that also stands for what is below it, each with an optional port.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Proxy:
    """One HTTP proxy."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)
    """The ``Proxy-Authorization`` header's value, or empty."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy is for which server."""

    http: Proxy | None = None
    https: Proxy | None = None
    exceptions: tuple[str, ...] = ()

    def find(self, host: str, port: int, *, secure: bool) -> Proxy | None:
        """The proxy for a server, ``None`` to connect directly."""
        proxy = self.https if secure else self.http
        if proxy is None or _loopback(host) or any(_excepted(entry, host, port) for entry in self.exceptions):
            return None
        return proxy


def from_environment(environment: Mapping[str, str] | None = None) -> Proxies:
    """The proxies that the environment names; a malformed one counts as none."""
    values = os.environ if environment is None else environment

    def value(name: str) -> str:
        return values.get(name.upper()) or values.get(name) or ""

    exceptions = tuple(entry.strip().lower() for entry in value("no_proxy").split(",") if entry.strip())
    return Proxies(_proxy(value("http_proxy")), _proxy(value("https_proxy")), exceptions)


def _proxy(url: str) -> Proxy | None:
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError:
        return None
    if parts.scheme != "http" or not parts.hostname:
        return None
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    authorization = "Basic " + base64.b64encode(secret.encode()).decode() if secret else ""
    return Proxy(parts.hostname, port, authorization)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _excepted(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except (ValueError, TypeError):
        pass
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit() and "]" not in wanted:
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    entry, host = entry.removeprefix("*"), host.lower()
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith(f".{entry}")
