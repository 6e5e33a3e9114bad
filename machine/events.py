"""What an operation tells of its progress, as typed events: to a callback, or to be iterated over.

::

    client.start("web", on_event=print)

    for event in (progress := follow(client.start, "web")):
        print(event.machine, event.text)
    progress.result()
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from pymachine.machine.operations.report import Report

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")

__all__ = ["Event", "Message", "Note", "OnEvent", "Progress", "Stage", "Warned", "follow", "relay"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a machine. Each event is of one of the four kinds below."""

    machine: str
    """The machine's name."""
    text: str
    """One line for people."""


@dataclass(frozen=True, slots=True)
class Stage(Event):
    """A stage begins; the one before it has ended well."""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """A detail of the stage in progress, such as a driver's message."""


@dataclass(frozen=True, slots=True)
class Message(Event):
    """Something that stands by itself; the stage before it has ended well."""


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something that the user should act on; ends no stage."""


OnEvent = Callable[[Event], object]
"""Takes the events of an operation, in its thread; what it raises ends the operation."""


class EventReport:
    """The `Report` that makes events of what it is told."""

    def __init__(self, machine: str, on_event: OnEvent) -> None:
        self._machine = machine
        self._on_event = on_event

    def stage(self, text: str) -> None:
        """As `Stage`."""
        self._on_event(Stage(self._machine, text))

    def note(self, text: str) -> None:
        """As `Note`."""
        self._on_event(Note(self._machine, text))

    def say(self, text: str) -> None:
        """As `Message`."""
        self._on_event(Message(self._machine, text))

    def warn(self, text: str) -> None:
        """As `Warned`."""
        self._on_event(Warned(self._machine, text))


def relay(report: Report) -> OnEvent:
    """The way back: show events by a `Report`, such as a progress display."""
    ways: dict[type[Event], Callable[[str], None]] = {
        Stage: report.stage,
        Note: report.note,
        Message: report.say,
        Warned: report.warn,
    }
    return lambda event: ways[type(event)](event.text)


class Progress(Generic[Value]):
    """An operation under way in a thread of its own: iterate over its events, then ask for its `result`."""

    def __init__(self, operation: Callable[[OnEvent], Value]) -> None:
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._value: list[Value] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(operation,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Event]:
        """Each event as it comes, until the operation has ended; once."""
        while (event := self._events.get()) is not None:
            yield event
        self._events.put(None)  # whoever iterates again finds the end

    def result(self) -> Value:
        """What the operation returns, once it has ended; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _run(self, operation: Callable[[OnEvent], Value]) -> None:
        try:
            self._value.append(operation(self._events.put))
        except BaseException as error:
            self._error = error
        finally:
            self._events.put(None)


def follow(operation: Callable[Arguments, Value], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Progress[Value]:
    """Start an operation of a `Client` (any callable that takes ``on_event``), and follow it."""
    given: dict[str, Any] = dict(kwargs)
    call: Callable[..., Value] = operation
    return Progress(lambda on_event: call(*args, **{**given, "on_event": on_event}))
