"""Figures: medians, ratios, and one table."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence


def alternate(samples: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """*samples* values of each measure, taken in turn so that a drifting machine harms all alike.

    One round before is not counted.
    """
    ours()
    theirs()
    mine: list[float] = []
    other: list[float] = []
    for _ in range(samples):
        mine.append(ours())
        other.append(theirs())
    return mine, other


def header(title: str) -> None:
    """The title and how busy the computer is."""
    load = os.getloadavg()[0]
    print(f"\n{title}   (load {load:.1f} on {os.cpu_count()} CPUs{'; busy, do not trust' if load > 1.5 else ''})")


def row(what: str, values: tuple[Sequence[float], Sequence[float]], unit: str = "ms", scale: float = 1000) -> None:
    """One line: median and range of each side, and the ratio of the medians."""
    ours, theirs = values
    mine, other = statistics.median(ours) * scale, statistics.median(theirs) * scale
    spread = " ".join(f"{min(v) * scale:.0f}-{max(v) * scale:.0f}" for v in (ours, theirs))
    ratio = f"{mine / other:5.2f} x" if other else "    -"
    print(f"  {what:<38} {mine:9.1f} {unit:<4} {other:9.1f} {unit:<4} {ratio}   [{spread}]", flush=True)


def single(what: str, values: Sequence[float], unit: str = "ms", scale: float = 1000) -> None:
    """One line of one side: median and range."""
    spread = f"{min(values) * scale:.0f}-{max(values) * scale:.0f}"
    print(f"  {what:<38} {statistics.median(values) * scale:9.1f} {unit:<4} {'':22}   [{spread}]", flush=True)


def columns(ours: str, theirs: str) -> None:
    """The head of the table."""
    print(f"  {'':<38} {ours:>14} {theirs:>14}   ratio   [ranges]")
