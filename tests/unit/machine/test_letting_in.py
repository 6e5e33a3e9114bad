"""What has to reach a running host asks its driver to let this computer in before: it may be elsewhere by now."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from pymachine.machine.machine import Machine
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.provision import provision, regenerate_certificates, upgrade
from pymachine.machine.operations.report import Silent
from pymachine.machine.operations.stop import stop
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, register
from support.nohost import Sent

QUIET = Silent()


class Guarded(FakeDriver):
    """Lets in whom it knows."""

    sent: ClassVar[list[Sent]]
    let_in_after: ClassVar[list[int]]
    """How many times something was sent before each."""

    def let_in(self) -> None:
        self.let_in_after.append(len(self.sent))


@pytest.fixture
def let_in(monkeypatch: pytest.MonkeyPatch, sent: list[Sent]) -> list[int]:
    """After how much was sent this computer was let in."""
    world = register(monkeypatch, Guarded)
    world.provisions = True
    monkeypatch.setattr(Guarded, "sent", sent, raising=False)
    monkeypatch.setattr(Guarded, "let_in_after", [], raising=False)
    return Guarded.let_in_after


@pytest.mark.parametrize("operation", [provision, regenerate_certificates, upgrade])
def test_before_anything_is_sent(
    operation: Callable[[Machine, Silent], None], store: FileStore, let_in: list[int], sent: list[Sent]
) -> None:
    machine = create(store, Request("m", "fake"), QUIET)
    before = len(sent)

    operation(machine, QUIET)

    assert let_in == [before]
    assert len(sent) == before + 1


def test_a_start_does_it_by_itself(store: FileStore, let_in: list[int]) -> None:
    """A stopped machine is started to be upgraded: the driver's start knows what to open."""
    machine = create(store, Request("m", "fake"), QUIET)
    stop(machine, QUIET)

    upgrade(machine, QUIET)

    assert (Guarded.world.calls[-1], let_in) == ("start", [])
