"""Another time of day for the code that looks at certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pymachine.machine.certs import authority, expiry, issue


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let it be *days* later for the making of certificates and the looks at their ends."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=days)

    for module in (authority, issue, expiry):
        monkeypatch.setattr(module, "datetime", Clock)
