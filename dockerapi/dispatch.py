"""From a request's head to an answer: version, route, handler, and errors as the Engine API words them."""

from __future__ import annotations

import logging

import h11

from pymachine.dockerapi import versions
from pymachine.dockerapi.errors import EngineError, NotFound, status_of
from pymachine.dockerapi.messages import Answer, Query, Request, Response, json_response
from pymachine.dockerapi.request_body import RequestBody
from pymachine.dockerapi.routing import Router

_log = logging.getLogger(__name__)


class Dispatcher:
    """Answers requests by a router's handlers."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def answer(self, head: h11.Request, body: RequestBody) -> tuple[Answer, versions.Version]:
        """The answer and the API version it is for. Raises only `ConnectionError`: the client has gone."""
        method, target = head.method.decode("latin-1"), head.target.decode("latin-1")
        version = versions.MAXIMUM
        try:
            path, query = split_target(target)
            version, path = versions.split(path)
            found = self._router.find(method, path)
            if found is None:
                raise NotFound("page not found")
            route, params = found
            request = Request(method, path, Query(query), _headers(head), body, version, params)
            return await route.handler(request), version
        except ConnectionError:
            if not body.finished:
                raise
            return _failed(method, target), version
        except EngineError as error:
            return error_response(error), version
        except Exception:
            return _failed(method, target), version


def _failed(method: str, target: str) -> Response:
    """The answer to an error nobody foresaw: one line for the client, the rest for the log."""
    import sys

    error = sys.exc_info()[1]
    _log.exception("%s %s failed", method, target.partition("?")[0])
    return error_response(error or RuntimeError("unknown error"))


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target, in origin form or (from proxies) absolute form (RFC 9112, 3.2)."""
    if not target.startswith("/"):
        scheme, found, rest = target.partition("://")
        if found and scheme in ("http", "https", "unix"):
            target = "/" + rest.partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def error_response(error: BaseException) -> Response:
    """*error* as the Engine API shows it; ``304`` carries no body."""
    status = status_of(error)
    if status == 304:
        return Response(status)
    message = str(error)
    if not isinstance(error, EngineError):
        message = message.strip().partition("\n")[0] or type(error).__name__
    return json_response({"message": message}, status)


def _headers(head: h11.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
