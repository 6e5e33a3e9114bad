"""Connecting: one time for all of a name's addresses and for its lookup."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pymachine.machine.ssh.dial import connect_within


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What names resolve to, put in by the test."""
    answers: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    return answers


class Fake:
    """A socket that notes its timeout and does as it is told."""

    made: list[Fake] = []

    def __init__(self, *_: object) -> None:
        self.timeout, self.closed = 0.0, False
        self.made.append(self)

    def settimeout(self, timeout: float) -> None:
        self.timeout = timeout

    def connect(self, address: OSError | None) -> None:
        if address:
            raise address

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    Fake.made = []
    monkeypatch.setattr(socket, "socket", Fake)
    return Fake.made


def test_addresses_share_the_time_and_the_first_that_answers_wins(lookups: list[Any], sockets: list[Fake]) -> None:
    lookups += [(0, 0, 0, "", ConnectionRefusedError()), (0, 0, 0, "", None), (0, 0, 0, "", None)]
    found = connect_within("name", 22, 9)

    assert [round(fake.timeout, 1) for fake in sockets] == [3.0, 4.5]
    assert sockets[0].closed
    assert found is sockets[1]  # type: ignore[comparison-overlap]


def test_the_last_reason_is_told(lookups: list[Any], sockets: list[Fake]) -> None:
    lookups += [(0, 0, 0, "", TimeoutError()), (0, 0, 0, "", ConnectionRefusedError("no"))]

    with pytest.raises(ConnectionRefusedError, match="no"):
        connect_within("name", 22, 9)
    assert all(fake.closed for fake in sockets)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A resolver that does not answer."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30) and [])
    yield
    release.set()


def test_a_resolver_that_does_not_answer_is_not_waited_for(stuck: None) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="the name lookup timed out"):
        connect_within("name", 22, 0.05)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("host", ["a" * 64 + ".org", "a..b"])
def test_what_cannot_be_a_name_is_an_error(host: str) -> None:
    with pytest.raises((UnicodeError, OSError)):
        connect_within(host, 22, 5)
