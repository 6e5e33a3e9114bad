"""Where a registry is reached: mirrors, TLS with extra authorities, plain HTTP where that is allowed.

Extra authorities and client certificates lie as for Docker in ``certs.d/HOST[:PORT]/``: every ``*.crt`` is an
authority, ``NAME.cert`` with ``NAME.key`` a client certificate.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.images.reference import DEFAULT_DOMAIN

CERTS_DIR = Path("/etc/docker/certs.d")
_HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach a registry."""

    url: str
    """``https://host:port``, without a slash at the end."""
    tls: ssl.SSLContext | None = None
    """``None`` for plain HTTP."""
    mirror: bool = False
    insecure: bool = False

    @property
    def plain(self) -> bool:
        return self.url.startswith("http://")


@dataclass(frozen=True, slots=True)
class Registries:
    """The configuration: which registries may be reached how."""

    insecure: tuple[str, ...] = ()
    """``host[:port]`` or CIDR networks."""
    mirrors: tuple[str, ...] = ()
    """Base URLs of mirrors of Docker Hub."""
    certs_dir: Path = CERTS_DIR

    def endpoints(self, domain: str) -> list[Endpoint]:
        """The ways to reach *domain*, best first. Reads certificates: blocks. Raises `EngineError`."""
        if domain != DEFAULT_DOMAIN:
            return self._direct(domain)
        mirrors = [self._mirror(url) for url in self.mirrors]
        return [*mirrors, *self._direct(_HUB)]

    def is_insecure(self, host: str) -> bool:
        """Whether TLS may be unverified or absent: loopback, and what is listed."""
        name = _host_name(host)
        if name == "localhost" or host in self.insecure or name in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        if address.is_loopback:
            return True
        for entry in self.insecure:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                continue
        return False

    def _direct(self, host: str) -> list[Endpoint]:
        context = self._context(host)
        if not self.is_insecure(host):
            return [Endpoint(f"https://{host}", context or ssl.create_default_context())]
        if context is not None:  # there are certificates for it: then they count
            return [Endpoint(f"https://{host}", context)]
        return [
            Endpoint(f"https://{host}", _unverified(), insecure=True),
            Endpoint(f"http://{host}", insecure=True),
        ]

    def _mirror(self, url: str) -> Endpoint:
        parts = urlsplit(url)
        insecure = parts.scheme == "http" or self.is_insecure(parts.netloc)
        context = self._context(parts.netloc) if parts.scheme == "https" else None
        if parts.scheme == "https" and context is None:
            context = _unverified() if insecure else ssl.create_default_context()
        return Endpoint(url.rstrip("/"), context, mirror=True, insecure=insecure)

    def _context(self, host: str) -> ssl.SSLContext | None:
        folder = self.certs_dir / host
        try:
            files = sorted(folder.iterdir())
        except OSError:
            return None
        context = ssl.create_default_context()
        try:
            for path in files:
                if path.suffix == ".crt":
                    context.load_verify_locations(cafile=str(path))
                elif path.suffix == ".cert":
                    context.load_cert_chain(str(path), str(path.with_suffix(".key")))
        except (OSError, ssl.SSLError) as error:
            raise EngineError(f"cannot use the certificates in {folder}: {error}") from None
        return context


def check(insecure: Sequence[str], mirrors: Sequence[str]) -> None:
    """Raises `InvalidArgument` for configuration that can't be meant."""
    for url in mirrors:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise InvalidArgument(f"invalid registry mirror {url!r}: http(s)://host[:port] is wanted")
    for entry in insecure:
        if "://" in entry or not entry.strip():
            raise InvalidArgument(f"invalid insecure registry {entry!r}: host[:port] or a CIDR network is wanted")


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or host
    except ValueError:
        return host
