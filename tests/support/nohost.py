"""Provisioning without a host: what would be done is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pymachine.machine.certs import check
from pymachine.machine.certs.check import EngineVersion
from pymachine.machine.ssh import connect
from pymachine.provisioners import converge
from pymachine.provisioners.base import Provisioned, ProvisionPlan, Step


@dataclass(frozen=True)
class Sent:
    """One provisioning."""

    plan: ProvisionPlan
    steps: Sequence[Step]


def without_host(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """Let every provisioning succeed at once, and every engine answer; what was sent, filled as it goes."""
    kept: list[Sent] = []

    def provision(session: Any, plan: ProvisionPlan, report: Any, steps: Sequence[Step]) -> Provisioned:
        kept.append(Sent(plan, steps))
        return Provisioned("debian", "digest")

    @contextmanager
    def open_session(*args: Any, **options: Any) -> Iterator[None]:
        yield None

    monkeypatch.setattr(converge, "provision", provision)
    monkeypatch.setattr(connect, "open_session", open_session)
    monkeypatch.setattr(check, "check_engine", lambda url, directory, timeout: EngineVersion("1.2", "1.47"))
    return kept
