"""The event stream: filters, the past, and the end."""

import asyncio
import time
from typing import Any

import pytest

from pymachine.dockerapi.filters import Filters
from pymachine.engine.api.events import feed, matches
from pymachine.engine.events import EventBus


def _event(kind: str, action: str, actor: str, **attributes: str) -> dict[str, Any]:
    bus = EventBus()
    bus.publish(kind, action, actor, attributes)
    return bus.kept()[0]


START = _event("container", "start", "abc123", name="web", image="shop/web:2", tier="front")


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"type": ["container", "image"]},
        {"event": ["die", "start"]},
        {"container": ["web"]},
        {"container": ["abc"]},
        {"image": ["shop/web:2"]},
        {"image": ["shop/web"]},
        {"label": ["tier=front"]},
        {"label": ["tier", "name=web"]},
        {"scope": ["local"]},
    ],
)
def test_an_event_passes_filters_that_ask_for_it(filters: dict[str, list[str]]) -> None:
    assert matches(START, Filters(filters))


@pytest.mark.parametrize(
    "filters",
    [
        {"type": ["network"]},
        {"event": ["sta"]},
        {"container": ["db"]},
        {"image": ["shop"]},
        {"label": ["tier=back"]},
        {"label": ["tier", "absent"]},
        {"volume": ["web"]},
        {"container": ["web"], "event": ["die"]},
    ],
)
def test_an_event_is_held_back_by_any_filter_that_does_not(filters: dict[str, list[str]]) -> None:
    assert not matches(START, Filters(filters))


def test_actions_with_details_are_asked_for_by_their_beginning() -> None:
    event = _event("container", "exec_create: ls -l", "abc")
    assert matches(event, Filters({"event": ["exec_create"]}))
    assert not matches(event, Filters({"event": ["exec_start"]}))


def test_nothing_is_lost_between_the_past_and_the_present() -> None:
    async def run() -> list[str]:
        bus = EventBus()
        bus.publish("volume", "create", "old")
        stream = feed(bus, Filters(), since=0.0, until=None)
        seen = [(await anext(stream))["Actor"]["ID"]]
        for number in range(3):
            bus.publish("volume", "create", f"new{number}")
        for _ in range(3):
            seen.append((await anext(stream))["Actor"]["ID"])
        await stream.aclose()  # type: ignore[attr-defined]
        assert bus.listeners == 0
        return seen

    assert asyncio.run(run()) == ["old", "new0", "new1", "new2"]


def test_without_since_the_past_is_left_out() -> None:
    async def run() -> None:
        bus = EventBus()
        bus.publish("volume", "create", "old")
        stream = feed(bus, Filters(), since=None, until=None)
        first = asyncio.ensure_future(anext(stream))
        for _ in range(3):
            await asyncio.sleep(0)
        bus.publish("volume", "create", "new")
        assert (await first)["Actor"]["ID"] == "new"
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_moment_in_the_past_ends_the_stream() -> None:
    async def run() -> list[str]:
        bus = EventBus()
        bus.publish("volume", "create", "old")
        return [event["Actor"]["ID"] async for event in feed(bus, Filters(), since=0.0, until=time.time())]

    assert asyncio.run(run()) == ["old"]


def test_a_listener_that_is_too_slow_is_cut_off_and_not_the_bus() -> None:
    async def run() -> None:
        bus = EventBus()
        stream = feed(bus, Filters(), since=None, until=None)
        first = asyncio.ensure_future(anext(stream))
        for _ in range(3):
            await asyncio.sleep(0)
        for number in range(10_000):
            bus.publish("volume", "create", str(number))
        with pytest.raises(StopAsyncIteration):
            await first
        assert bus.listeners == 0

    asyncio.run(run())
