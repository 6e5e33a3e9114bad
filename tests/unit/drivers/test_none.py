"""Driver ``none``: docker-machine's words and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.none import NoneDriver, Options
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DriverError, InvalidOption


def driver(tmp_path: Path, url: str) -> NoneDriver:
    return NoneDriver(Options(url=url), Workbench(tmp_path / "bench").context())


def test_the_url_is_kept_as_it_is(tmp_path: Path) -> None:
    """URL and address are what docker-machine prints."""
    none = driver(tmp_path, "tcp://127.0.0.1:1")
    assert (none.engine_url(), none.address()) == ("tcp://127.0.0.1:1", "127.0.0.1:1")


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "tcp://", "tcp://host:port", "tcp://[::1", "http:"])
def test_a_wrong_url_is_refused(tmp_path: Path, url: str) -> None:
    """Before anything is recorded."""
    with pytest.raises(InvalidOption, match="--url"):
        driver(tmp_path, url).pre_create_check()


def test_no_url(tmp_path: Path) -> None:
    """docker-machine's own words."""
    with pytest.raises(InvalidOption, match="--url option is required when no driver is selected"):
        driver(tmp_path, "").pre_create_check()


@pytest.mark.parametrize(
    ("verb", "word"), [("start", "started"), ("stop", "stopped"), ("restart", "restarted"), ("kill", "killed")]
)
def test_no_lifecycle(tmp_path: Path, verb: str, word: str) -> None:
    """docker-machine's own words."""
    with pytest.raises(DriverError, match=f"hosts without a driver cannot be {word}"):
        getattr(driver(tmp_path, "tcp://h:1"), verb)()


def test_a_socket_has_no_address(tmp_path: Path) -> None:
    """A unix socket is a fine engine, but no place to connect to."""
    none = driver(tmp_path, "unix:///run/engine.sock")
    none.pre_create_check()
    with pytest.raises(DriverError, match="no address"):
        none.address()
