"""Something that answers like an engine over mutual TLS on loopback, with certificates of the test's choosing."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.serving import always, serving

VERSION = {"Version": "1.2.3", "ApiVersion": "1.47", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}


def server_context(directory: Path) -> ssl.SSLContext:
    """As an engine sets it up: server.pem, server-key.pem, and clients of ca.pem only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server-key.pem")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextlib.contextmanager
def tls_engine(
    directory: Path, *, status: int = 200, document: Any = VERSION, address: str = "127.0.0.1"
) -> Iterator[str]:
    """Its URL. Every request gets *document* with *status*."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Silence: clients that break off are what is tested."""

    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    server = Server((address, 0), always(body, status))
    context = server_context(directory)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with serving(server):
        yield f"tcp://{address}:{server.server_address[1]}"


@contextlib.contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener that hands each connection to *serve*; its URL."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connections.append(listener.accept()[0])
                except OSError:
                    return
                with contextlib.suppress(OSError):
                    serve(connections[-1])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()
