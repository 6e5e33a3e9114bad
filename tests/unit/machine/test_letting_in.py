"""What has to reach a running host asks its driver to let this computer in before: it may be elsewhere by now."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pymachine.machine.machine import Machine
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.provision import provision, regenerate_certificates, upgrade
from pymachine.machine.operations.report import Silent
from pymachine.machine.operations.stop import stop
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, World
from support.nohost import Sent

QUIET = Silent()


@pytest.mark.parametrize("operation", [provision, regenerate_certificates, upgrade])
def test_before_anything_is_sent(
    operation: Callable[[Machine, Silent], None],
    store: FileStore,
    world: World,
    sent: list[Sent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_in: list[int] = []
    monkeypatch.setattr(FakeDriver, "let_in", lambda self: let_in.append(len(sent)), raising=False)
    world.provisions = True
    machine = create(store, Request("m", "fake"), QUIET)
    before = len(sent)

    operation(machine, QUIET)

    assert let_in == [before]
    assert len(sent) == before + 1


def test_a_start_does_it_by_itself(
    store: FileStore, world: World, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped machine is started to be upgraded: the driver's start knows what to open."""
    let_in: list[str] = []
    monkeypatch.setattr(FakeDriver, "let_in", lambda self: let_in.append("twice"), raising=False)
    world.provisions = True
    machine = create(store, Request("m", "fake"), QUIET)
    stop(machine, QUIET)

    upgrade(machine, QUIET)

    assert (world.calls[-1], let_in) == ("start", [])
