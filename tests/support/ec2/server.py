"""Run as a program: moto's EC2, SSM and STS behind the front, on a free port of loopback, which is the first line told.

``/_control`` takes the faults that are wanted as JSON, and can make a new account; ``/_log`` tells what was called;
``/checkip`` is the service that tells a caller's address. Port 22 of every address greets like an SSH server.
"""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from support.ec2 import identity, images, rootvolumes, wire
from support.ec2.faults import Faults, Wanted
from support.ec2.identity import Identity
from support.ec2.lab import OBSERVER
from support.ec2.wire import Answer, Call

BANNER = b"SSH-2.0-lab\r\n"
LOST = Answer("500 Internal Server Error", "text/plain", b"")
"""Nobody gets it."""
CALLER = "198.51.100.7"
"""What ``/checkip`` says: an address of nobody (RFC 5737)."""


class Front:
    """The WSGI application."""

    def __init__(self, moto: Any) -> None:
        self._moto = moto
        self._faults = Faults()
        self._identity = Identity()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = self._own(environ, body) or identity.answer(environ) or self._api(environ, body)
        if answer is LOST:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        headers = [("Content-Type", answer.type), ("Content-Length", str(len(answer.body)))]
        start_response(answer.status, headers)
        return [answer.body]

    def _own(self, environ: dict[str, Any], body: bytes) -> Answer | None:
        path = environ["PATH_INFO"]
        if path == "/checkip":
            return Answer("200 OK", "text/plain", f"{self._faults.wanted.caller or CALLER}\n".encode())
        if path == "/_callers":
            return Answer("200 OK", "application/json", json.dumps(self._identity.callers).encode())
        if path == "/_asked":
            return Answer(
                "200 OK", "application/json", json.dumps(self._faults.asked[environ["QUERY_STRING"]]).encode()
            )
        if path == "/_images":
            images.change(json.loads(body))
            return Answer("200 OK", "application/json", b"{}")
        if path in ("/_host", "/_expire_keys"):
            from support.ec2 import hosts

            return hosts.about(environ["QUERY_STRING"]) if path == "/_host" else hosts.expire_keys()
        if path == "/_tagged":
            from support.ec2 import moto_side

            return Answer("200 OK", "application/json", json.dumps(moto_side.tagged()).encode())
        if path == "/_log":
            return Answer("200 OK", "application/json", json.dumps(self._faults.log).encode())
        if path == "/_control":
            asked = json.loads(body)
            if asked["reset"]:
                self._reset()
            self._faults.want(Wanted(**asked["faults"]))
            return Answer("200 OK", "application/json", b"{}")
        return None

    def _api(self, environ: dict[str, Any], body: bytes) -> Answer:
        call = wire.parse(environ, body)
        if OBSERVER in environ.get("HTTP_USER_AGENT", ""):
            return self._faults.seen(call, self._ask_moto(environ, body, call))
        while call.region in self._faults.wanted.silent_in:
            time.sleep(0.05)
        with self._lock:
            wanted = self._faults.wanted
            refused = self._identity.refused(call, environ, wanted.keys, wanted.expired)
            answer = wire.error(call, refused, "refused by the test") if refused else self._faults.before(call)
            if answer is None:
                answer = self._faults.after(call, self._ask_moto(environ, body, call))
                if call.service == "sts":
                    self._identity.note_issued(answer)
            self._faults.done()
            return LOST if self._faults.loses(call) else answer

    def _ask_moto(self, environ: dict[str, Any], body: bytes, call: Call) -> Answer:
        from werkzeug.test import run_wsgi_app

        if call.action == "CreateImage":
            body = wire.without_tags(call, "snapshot")  # which moto does not know
        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks, status, headers = run_wsgi_app(self._moto, inner)
        answer = Answer(status, headers.get("Content-Type", "text/xml"), b"".join(chunks))
        self._host_changed(call, answer)
        return answer

    def _host_changed(self, call: Call, answer: Answer) -> None:
        if self._faults.wanted.hosts:
            from support.ec2 import hosts

            hosts.closed[:] = self._faults.wanted.closed
            hosts.follow(call, answer)

    def _reset(self) -> None:
        from moto.backends import get_backend

        from support.ec2 import moto_side

        for service in ("ec2", "ssm", "sts"):
            for account in list(get_backend(service)):
                for backend in get_backend(service)[account].values():
                    backend.reset()
        moto_side.parameter.cache_clear()
        images.reset()
        rootvolumes.reset()
        self._identity = Identity()
        if "support.ec2.hosts" in sys.modules:
            from support.ec2 import hosts

            hosts.remove_all()
        self._faults = Faults()


def greet() -> None:
    """An SSH server as far as its first line, on every address there is."""
    listener = socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(BANNER)

    threading.Thread(target=serve, daemon=True).start()


def main() -> None:
    """Serve until killed."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    from support.ec2 import moto_side

    moto_side.quicken()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    class Handler(WSGIRequestHandler):  # type: ignore[misc]
        protocol_version = "HTTP/1.1"

        def make_environ(self) -> dict[str, Any]:
            """With the one header of AWS's that has underscores in its name, which werkzeug leaves out."""
            return {**super().make_environ(), identity.BEARER: self.headers.get("x-amz-sso_bearer_token", "")}

    front = Front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Handler)
    greet()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    finally:
        if "support.ec2.hosts" in sys.modules:
            from support.ec2 import hosts

            hosts.remove_all()
        os._exit(0)  # moto's many objects need not be taken apart


if __name__ == "__main__":
    main()
