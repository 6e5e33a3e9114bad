"""Name servers for sandboxes: opened, closed, and told who is called what."""

from __future__ import annotations

import asyncio
import logging

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network import hostfiles
from pymachine.engine.network.base import Endpoint, Sandbox
from pymachine.engine.network.names import NameTable
from pymachine.engine.network.nameserver import NameServer, ServerSockets, open_sockets
from pymachine.engine.network.sandboxes import LiveSandbox

_log = logging.getLogger(__name__)


class Resolver:
    """The embedded DNS of all sandboxes."""

    def __init__(self, *, translate: bool) -> None:
        self._translate = translate
        self._names = NameTable()

    async def open(self, state: LiveSandbox, path: str, *, fresh: bool) -> None:
        """Serve a sandbox whose namespace is at *path*, if it is in a user-defined network and not served yet.

        A failure is logged only: the container runs, but resolves no names."""
        if state.nameserver is not None or not wanted(state.sandbox):
            return
        server = NameServer(state.sandbox.endpoints, self._names, lambda: _servers(state.sandbox))
        state.nameserver = server
        try:
            sockets = await asyncio.to_thread(self._sockets, path, fresh)
            if state.nameserver is not server:
                sockets.close()  # released meanwhile
                return
            await server.serve(sockets)
        except (OSError, EngineError) as error:
            state.nameserver = None
            _log.error("container %s has no name server: %s", state.sandbox.container_id[:12], error)

    def _sockets(self, path: str, fresh: bool) -> ServerSockets:
        if not self._translate:
            return open_sockets(path, translate=False, fresh=fresh)
        try:
            return open_sockets(path, translate=True, fresh=fresh)
        except (EngineError, OSError) as error:
            _log.warning("the embedded name server takes port 53 itself: %s", error)
            return open_sockets(path, translate=False, fresh=fresh)

    def close(self, state: LiveSandbox) -> None:
        """Serve it no longer, and forget its names."""
        if state.nameserver is not None:
            state.nameserver.close()
            state.nameserver = None
        for endpoint in state.sandbox.endpoints:
            self._names.remove(endpoint)

    def join(self, endpoint: Endpoint) -> None:
        """Answer for a new endpoint."""
        self._names.add(endpoint)

    def leave(self, endpoint: Endpoint) -> None:
        """Answer for it no longer."""
        self._names.remove(endpoint)


def wanted(sandbox: Sandbox) -> bool:
    """Whether a sandbox has an embedded name server: in user-defined networks, as with Docker."""
    return any(endpoint.dns_names for endpoint in sandbox.endpoints)


def _servers(sandbox: Sandbox) -> list[str]:
    given = next((endpoint.dns_servers for endpoint in sandbox.endpoints if endpoint.dns_servers), ())
    return list(given) or hostfiles.host_servers()
