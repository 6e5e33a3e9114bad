"""Drivers are found by entry point, and only the chosen one is imported."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from pymachine.drivers import registry
from pymachine.drivers.none import NoneDriver
from pymachine.machine.errors import DriverError, InvalidOption


def test_our_own_drivers_are_found() -> None:
    """Both are installed with the package."""
    assert {"local", "none"} <= set(registry.names())
    assert registry.load("none") is NoneDriver
    assert registry.load("local").name == "local"


def test_the_table_of_our_drivers_is_that_of_the_package() -> None:
    """What is known without looking through the installed packages is what pyproject.toml says."""
    project = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]

    assert project["entry-points"][registry.GROUP] == registry.OURS


def test_an_unknown_driver_is_named_with_the_known_ones() -> None:
    """The message says what is missing; the hint what there is."""
    with pytest.raises(InvalidOption, match='Driver "x" not found. Do you have the package') as caught:
        registry.load("x")
    assert "local" in caught.value.hint


def test_only_the_chosen_driver_is_imported() -> None:
    """Loading one leaves the others alone, and local's own parts until they are needed."""
    code = (
        "import sys; from pymachine.drivers import registry; registry.load('none');"
        "print(sorted(m for m in sys.modules if m.startswith('pymachine.drivers.')))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pymachine.drivers.none" in output
    assert "pymachine.drivers.local" not in output


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_package.driver:Driver", "cannot be loaded: No module named"),
        ("pymachine.drivers.none:NoSuch", "cannot be loaded"),
        ("json:dumps", "is not a subclass"),
        ("pymachine.drivers.none:NoneDriver", 'calls itself "none"'),
    ],
)
def test_a_broken_driver_package_is_told(value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with somebody's package is said in one line, with its name."""
    install(monkeypatch, ("broken", value))
    with pytest.raises(DriverError, match=message):
        registry.load("broken")


def test_two_packages_for_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is chosen silently."""
    install(monkeypatch, ("twice", "a:A"), ("twice", "b:B"))
    with pytest.raises(DriverError, match="more than once: a:A, b:B"):
        registry.load("twice")


def install(monkeypatch: pytest.MonkeyPatch, *named: tuple[str, str]) -> None:
    entries = EntryPoints(EntryPoint(name, value, registry.GROUP) for name, value in named)
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: entries.select(**wanted))
