"""How long what was found of KVM counts."""

from __future__ import annotations

from typing import Any

import pytest

from pymachine.drivers.libvirt.kvm import same_boot

HOUR = 3600.0
ENTRY = {"problem": "", "cpu_time": HOUR, "at": 1_000_000.0}


@pytest.mark.parametrize(
    ("later", "cpu_time", "same"),
    [
        (60.0, HOUR + 60, True),
        (10 * HOUR, 10.6 * HOUR, True),
        (60.0, 30.0, False),
        (10 * HOUR, 9.9 * HOUR, False),
        (-HOUR, HOUR, False),
    ],
    ids=["a minute", "some time lost to other guests", "booted anew", "booted anew long since", "clock put back"],
)
def test_a_boot_is_seen_by_the_time_that_the_cpus_have_spent(later: float, cpu_time: float, *, same: bool) -> None:
    assert same_boot(ENTRY, cpu_time, ENTRY["at"] + later) is same  # type: ignore[operator]


@pytest.mark.parametrize("entry", [{}, {"cpu_time": "x", "at": 0}, {"cpu_time": 1}])
def test_a_damaged_note_counts_nothing(entry: dict[str, Any]) -> None:
    assert not same_boot(entry, 100.0, 100.0)
