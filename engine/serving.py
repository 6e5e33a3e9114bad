"""Puts the API on the configured addresses."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pymachine.dockerapi.listeners import ListenError, systemd_listeners
from pymachine.dockerapi.routing import Router
from pymachine.dockerapi.server import APIServer
from pymachine.dockerapi.tls import ServerTLS, TLSFiles
from pymachine.engine import identity
from pymachine.engine.config import EngineConfig, parse_host

_log = logging.getLogger(__name__)


def server_tls(config: EngineConfig) -> ServerTLS | None:
    """The TLS of the TCP addresses, ``None`` when they are to be served without. Raises `CertificateError`."""
    if not (config.tls or config.tlsverify):
        return None
    ca = config.tlscacert if config.tlsverify else None
    return ServerTLS(TLSFiles(ca, config.tlscert, config.tlskey))


class Front:
    """The API server on all of the configuration's addresses."""

    def __init__(self, router: Router, config: EngineConfig) -> None:
        """Raises `CertificateError`: before anything listens."""
        self._config = config
        self._tls = server_tls(config)
        self._server = APIServer(router, product=f"pyengine/{identity.version()}")

    async def open(self) -> None:
        """Listen on every address; raises `ListenError` and then on none."""
        try:
            for host in self._config.hosts:
                await self._listen(host)
        except BaseException:
            await self._server.close(0.0)
            raise

    async def _listen(self, host: str) -> None:
        kind, address, port = parse_host(host)
        if kind == "unix":
            await self._server.listen_unix(Path(address), group=self._config.group)
        elif kind == "tcp":
            # Names are looked up here once, at a moment when nobody is served yet.
            port = await self._server.listen_tcp(address, port, tls=self._tls)
            host = f"tcp://{address}:{port}"
        else:
            handed = systemd_listeners()
            if not handed:
                raise ListenError(f"cannot listen on {host}: systemd handed no sockets over")
            for listener in handed:
                await self._server.listen(listener)
        _log.info("serving the Engine API on %s", host)

    async def reload_certificates(self) -> None:
        """Take the certificates from their files again. Raises `CertificateError`; the old ones then stay."""
        if self._tls is not None:
            await asyncio.to_thread(self._tls.reload)

    async def close(self, grace: float) -> None:
        """Stop listening and end the connections."""
        await self._server.close(grace)
