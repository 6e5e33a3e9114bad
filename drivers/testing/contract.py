"""What holds for every driver, as pytest tests to be inherited."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers import options
from pymachine.drivers.base import Context, Driver, State
from pymachine.drivers.testing.workbench import Workbench
from pymachine.machine.errors import DriverError, MachineError

MOST_MOMENTS = 200
"""A driver whose create writes more often than this to record and journal is caught in a loop."""


class DriverContract:
    """Inherit it in a class named ``Test…`` and define `new_driver`.

    Each test has a machine of its own, which is removed at its end. `leftovers` says what the outside still
    has of a machine. Tests of things that a driver's `Features` deny check that they are refused.
    """

    timeout: float = 120.0
    """Seconds that one call may take."""
    keeps_address: bool = True
    """False for drivers whose documentation says that a stopped machine may come back with another address."""

    def new_driver(self, context: Context) -> Driver:
        """A driver object for the machine, always with the same options."""
        raise AssertionError(f"{type(self).__name__} must define new_driver(context)")

    def leftovers(self, driver: Driver) -> list[str]:
        """What is left of a machine outside, in words. Override it when the driver has no such method."""
        ask = getattr(driver, "leftovers", None)
        return list(ask()) if ask is not None else []

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Workbench]:
        """One machine, not created yet."""
        with self.machine(tmp_path / "bench") as bench:
            yield bench

    @contextlib.contextmanager
    def machine(self, directory: Path) -> Iterator[Workbench]:
        """A machine that is removed when the block ends, however it ends."""
        bench = Workbench(directory, timeout=self.timeout)
        try:
            yield bench
        finally:
            self.new_driver(bench.context()).remove()

    def created(self, bench: Workbench) -> Driver:
        """The machine, created; the driver object is a new one, as every command has it."""
        self.new_driver(bench.context()).create()
        return self.new_driver(bench.context())

    def test_options_survive_json(self, bench: Workbench) -> None:
        """What is written to the record gives the same options when it is read."""
        driver = self.new_driver(bench.context())
        kind = type(driver)
        again = options.build(kind.name, kind.Options, options.to_json(driver.options), env={})
        assert again == driver.options

    def test_options_are_described(self, bench: Workbench) -> None:
        """Every option has a flag under the driver's name, and one line of help."""
        kind = type(self.new_driver(bench.context()))
        for spec in options.describe(kind.name, kind.Options):
            assert spec.flag.startswith(f"--{kind.name}-")
            assert spec.help
            assert "\n" not in spec.help

    def test_pre_create_check_makes_nothing(self, bench: Workbench) -> None:
        """The check passes here, and leaves record, journal and outside as they were."""
        driver = self.new_driver(bench.context())
        driver.pre_create_check()
        assert driver.context.resources == {}
        assert bench.journal.steps() == []
        assert self.leftovers(driver) == []

    def test_remove_before_create(self, bench: Workbench) -> None:
        """There is nothing to remove, and that is fine."""
        self.new_driver(bench.context()).remove()
        assert self.leftovers(self.new_driver(bench.context())) == []

    def test_create_makes_a_running_machine(self, bench: Workbench) -> None:
        """After create: running, with an address, an engine URL, and an SSH server that speaks."""
        driver = self.created(bench)
        assert driver.state() is State.RUNNING
        assert driver.address()
        assert "://" in driver.engine_url()
        self._speaks_ssh(driver)

    def test_create_again_changes_nothing(self, bench: Workbench) -> None:
        """A second create finds everything there and keeps it."""
        first = self.created(bench)
        address, resources = first.address(), dict(first.context.resources)
        second = self.created(bench)
        assert (second.address(), second.context.resources) == (address, resources)
        assert second.state() is State.RUNNING

    def test_stop_and_start(self, bench: Workbench) -> None:
        """A stopped machine is Stopped, can be stopped again, and comes back; so does one that was killed."""
        driver = self.created(bench)
        if not driver.features.lifecycle:
            return self._refuses_lifecycle(driver)
        address = driver.address()
        for end in ("stop", "kill"):
            for _ in range(2):
                getattr(self.new_driver(bench.context()), end)()
                assert self.new_driver(bench.context()).state() is State.STOPPED
            for _ in range(2):
                self.new_driver(bench.context()).start()
                assert self.new_driver(bench.context()).state() is State.RUNNING
            again = self.new_driver(bench.context())
            assert again.address() == address or not self.keeps_address
            self._speaks_ssh(again)

    def test_restart(self, bench: Workbench) -> None:
        """A restarted machine runs, whether it ran before or not."""
        driver = self.created(bench)
        if not driver.features.lifecycle:
            return self._refuses_lifecycle(driver)
        driver.restart()
        self._speaks_ssh(self.new_driver(bench.context()))
        driver.stop()
        driver.restart()
        assert self.new_driver(bench.context()).state() is State.RUNNING

    def test_remove_twice(self, bench: Workbench) -> None:
        """Nothing is left after the first; the second is fine."""
        self.created(bench).remove()
        assert self.leftovers(self.new_driver(bench.context())) == []
        driver = self.new_driver(bench.context())
        driver.remove()
        if driver.features.lifecycle:
            assert driver.state() in (State.NONE, State.ERROR)

    def test_remove_a_stopped_machine(self, bench: Workbench) -> None:
        """A machine need not run to be removed, nor have the name with which it was made."""
        driver = self.created(bench)
        if driver.features.lifecycle:
            driver.stop()
        bench.name = "renamed"
        renamed = self.new_driver(bench.context())
        renamed.renamed()
        assert renamed.state() is driver.state()
        renamed.remove()
        assert self.leftovers(renamed) == []
        assert self.leftovers(driver) == []

    def test_create_goes_on_after_any_crash(self, tmp_path: Path) -> None:
        """However far a create came before it was killed, the next one ends well, and its machine can be removed."""
        for at in self._moments():
            with self.machine(tmp_path / f"resumed-{at}") as bench:
                crashed = bench.crash(lambda context: self.new_driver(context).create(), at)
                if not crashed:
                    return
                driver = self.created(bench)
                assert driver.state() is State.RUNNING, f"after a crash at moment {at}"
                self._speaks_ssh(driver)
                driver.remove()
                assert self.leftovers(driver) == [], f"after a crash at moment {at}"

    def test_remove_after_any_crash(self, tmp_path: Path) -> None:
        """However far a create came before it was killed, remove leaves no trace."""
        for at in self._moments():
            with self.machine(tmp_path / f"removed-{at}") as bench:
                crashed = bench.crash(lambda context: self.new_driver(context).create(), at)
                if not crashed:
                    return
                driver = self.new_driver(bench.context())
                driver.remove()
                assert self.leftovers(driver) == [], f"after a crash at moment {at}"

    def test_remove_goes_on_after_any_crash(self, tmp_path: Path) -> None:
        """A remove that was killed can be repeated."""
        for at in self._moments():
            with self.machine(tmp_path / f"again-{at}") as bench:
                self.created(bench)
                crashed = bench.crash(lambda context: self.new_driver(context).remove(), at)
                driver = self.new_driver(bench.context())
                driver.remove()
                assert self.leftovers(driver) == [], f"after a crash at moment {at}"
                if not crashed:
                    return

    def _moments(self) -> Iterator[int]:
        yield from range(1, MOST_MOMENTS)
        raise AssertionError(f"an operation has more than {MOST_MOMENTS} moments")

    def _refuses_lifecycle(self, driver: Driver) -> None:
        actions = [driver.start, driver.stop, driver.kill]
        for action in actions if driver.features.reboots else [*actions, driver.restart]:
            with pytest.raises(DriverError):
                action()

    def _speaks_ssh(self, driver: Driver) -> None:
        """The endpoint's own server speaks; nothing to see when the driver has no host, or it is behind a proxy."""
        if not driver.features.provisions:
            with pytest.raises(MachineError):
                driver.ssh_endpoint()
            return
        endpoint = driver.ssh_endpoint()
        if endpoint.proxy_command:
            return
        with socket.create_connection((endpoint.host, endpoint.port), timeout=10) as connection:
            assert connection.recv(64).startswith(b"SSH-")
