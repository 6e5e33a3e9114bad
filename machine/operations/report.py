"""How an operation tells of its progress: the contract, and the one that keeps silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pymachine.machine.events import OnEvent


class Report(Protocol):
    """Where progress goes. May be called by several threads at once."""

    def stage(self, text: str) -> None:
        """A new stage begins; the one before it has ended well."""
        ...

    def note(self, text: str) -> None:
        """A detail of the stage in progress, such as a driver's message."""
        ...

    def say(self, text: str) -> None:
        """A line that stands by itself; the stage before it has ended well."""
        ...

    def warn(self, text: str) -> None:
        """A line that the user should act on; ends no stage."""
        ...


class Silent:
    """Tells nobody."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""


def reporting(machine: str, on_event: OnEvent | None) -> Report:
    """What an operation on *machine* is given, so that *on_event* gets its progress (`pymachine.machine.events`)."""
    if on_event is None:
        return Silent()
    from pymachine.machine.events import EventReport  # some milliseconds that readers need not pay

    return EventReport(machine, on_event)
