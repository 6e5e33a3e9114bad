"""Calls a router's handlers as the server would, without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast
from urllib.parse import urlencode

from pymachine.dockerapi.messages import Answer, Query, Request, Response
from pymachine.dockerapi.routing import Router


class WholeBody:
    """A request's body, all there at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, limit: int) -> bytes:
        return self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


class RouteCaller:
    """``call("GET", "/networks", filters="…")``: the JSON answered, or the status where there is no body."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def __call__(
        self, method: str, path: str, body: Any = None, *, version: tuple[int, int] = (1, 47), **query: str
    ) -> Any:
        found = self._router.find(method, path)
        assert found is not None, f"no route for {method} {path}"
        route, params = found
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, Query(urlencode(query)), {}, WholeBody(data), version, params)
        answer = asyncio.run(cast(Coroutine[Any, Any, Answer], route.handler(request)))
        assert isinstance(answer, Response)
        return json.loads(answer.body) if answer.body else answer.status
