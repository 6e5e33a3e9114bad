"""``GET /events``: what happened and what happens, filtered (Engine API 1.24+, "Monitor events")."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from pymachine.dockerapi.filters import Filters, timestamp
from pymachine.dockerapi.messages import Answer, Request, Response, json_lines
from pymachine.dockerapi.routing import Route
from pymachine.engine.events import EventBus

FILTERS = frozenset(
    {
        *("config", "container", "daemon", "event", "image", "label", "network", "node", "plugin"),
        *("scope", "secret", "service", "type", "volume"),
    }
)
_WITH_DETAILS = ("health_status", "exec_create", "exec_start", "exec_die")
"""Actions that carry more after a colon (``exec_create: ls``), so that filters give their beginning."""
_NEVER = float("inf")


def matches(event: dict[str, Any], filters: Filters) -> bool:
    """Whether *event* is one that *filters* ask for."""
    kind, actor = event["Type"], event["Actor"]
    attributes = actor["Attributes"]
    return (
        _action(event["Action"], filters)
        and filters.exact("type", kind)
        and filters.exact("scope", event["scope"])
        and filters.labels(attributes)
        and _image(kind, actor, filters)
        and all(
            key not in filters or (kind == key and filters.prefix(key, actor["ID"], attributes.get("name", "")))
            for key in ("container", "volume", "network", "daemon", "plugin", "node", "service", "secret", "config")
        )
    )


def _action(action: str, filters: Filters) -> bool:
    wanted = filters.values("event")
    if not wanted:
        return True
    return any(action == value or (value in _WITH_DETAILS and action.startswith(f"{value}:")) for value in wanted)


def _image(kind: str, actor: dict[str, Any], filters: Filters) -> bool:
    if "image" not in filters:
        return True
    name = actor["Attributes"].get("name" if kind == "image" else "image", "")
    candidates = {actor["ID"], name, _without_tag(actor["ID"]), _without_tag(name)}
    return kind in ("image", "container") and filters.exact("image", *(candidates - {""}))


def _without_tag(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition("@")[0].partition(":")[0]


async def feed(
    bus: EventBus, filters: Filters, since: float | None, until: float | None
) -> AsyncIterator[dict[str, Any]]:
    """The events between two moments (seconds since the epoch), past ones first, then as they come."""
    listener = bus.listen()
    # Started before the past is looked at, so that nothing falls in between. It becomes a listener in its
    # first step, which the loop runs before anything a client could ask for meanwhile.
    following = asyncio.ensure_future(anext(listener))
    try:
        await asyncio.sleep(0)
        past = bus.kept() if since is not None else []
        for event in past:
            if _within(event, since or 0.0, until) and matches(event, filters):
                yield event
        while until is None or until > time.time():
            # Not wait_for, which would cancel the listener in the middle of its wait.
            left = None if until is None else max(0.0, until - time.time())
            done, _ = await asyncio.wait({following}, timeout=left)
            if not done:
                return
            event = following.result()
            following = asyncio.ensure_future(anext(listener))
            if matches(event, filters):
                yield event
    except StopAsyncIteration:
        return
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await following
        await listener.aclose()  # type: ignore[attr-defined]


def _within(event: dict[str, Any], since: float, until: float | None) -> bool:
    moment: float = event["timeNano"] / 1e9
    return since <= moment <= (_NEVER if until is None else until)


def event_routes(bus: EventBus) -> list[Route]:
    """The route of the event stream."""

    async def events(request: Request) -> Answer:
        filters = Filters.parse(request.query.text("filters"), FILTERS)
        since, until = request.query.text("since"), request.query.text("until")
        answer: Response = json_lines(
            feed(bus, filters, timestamp(since) if since else None, timestamp(until) if until else None)
        )
        return answer

    return [Route("GET", "/events", events)]
