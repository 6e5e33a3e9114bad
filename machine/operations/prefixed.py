"""Progress of many machines at once: each line says whose it is."""

from __future__ import annotations

from pymachine.machine.events import OnEvent, relay
from pymachine.machine.operations.report import Report


class Prefixed:
    """Passes progress on with a name before each line."""

    def __init__(self, report: Report, name: str) -> None:
        self._report = report
        self._name = name

    def stage(self, text: str) -> None:
        """Many stages go on at once, so none ends another."""
        self._report.note(f"{self._name}: {text}")

    def note(self, text: str) -> None:
        """Notes of drivers name the machine already."""
        own = text.removeprefix(f"({self._name}) ")
        self._report.note(f"{self._name}: {own}")

    def say(self, text: str) -> None:
        """A line."""
        self._report.note(f"{self._name}: {text}")

    def warn(self, text: str) -> None:
        """A line."""
        self._report.warn(f"{self._name}: {text}")


def prefixing(report: Report) -> OnEvent:
    """Shows the events of many machines by one report."""
    return lambda event: relay(Prefixed(report, event.machine))(event)
