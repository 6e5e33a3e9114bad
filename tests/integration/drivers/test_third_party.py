"""A driver in somebody else's package: found by its entry point, and held to the contract by the suite we ship."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.program import Program

DRIVER = '''
from dataclasses import dataclass
from pymachine.drivers.base import Driver, Features, State
from pymachine.drivers.options import option
from pymachine.machine.errors import DriverError


@dataclass(frozen=True)
class Options:
    size: int = option(1, "size of the shed", env="SHED_SIZE")


class ShedDriver(Driver):
    """Hosts that somebody else runs, by address; nothing can be started or stopped."""

    name = "shed"
    description = "A machine in the garden shed"
    Options = Options
    features = Features(provisions=False, lifecycle=False)

    def pre_create_check(self): pass
    def create(self): pass
    def start(self): raise DriverError("a shed cannot be started")
    def stop(self): raise DriverError("a shed cannot be stopped")
    def kill(self): raise DriverError("a shed cannot be killed")
    def restart(self): raise DriverError("a shed cannot be restarted")
    def remove(self): pass
    def state(self): return State.RUNNING
    def address(self): return "127.0.0.1"
    def engine_url(self): return "tcp://127.0.0.1:1"
    def ssh_endpoint(self): raise DriverError("a shed has no SSH")
'''
SUITE = """
from shed import Options, ShedDriver
from pymachine.drivers.testing import DriverContract

class TestShed(DriverContract):
    def new_driver(self, context):
        return ShedDriver(Options(size=3), context)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package as pip would leave it in a folder of the path."""
    (tmp_path / "shed.py").write_text(DRIVER)
    facts = tmp_path / "shed-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shed\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[pymachine.drivers]\nshed = shed:ShedDriver\n")
    return tmp_path


def test_the_program_finds_it(package: Path) -> None:
    program = Program(package / "store", {"PYTHONPATH": str(package)})

    assert "--shed-size" in program.ok("create", "-d", "shed", "--help")
    program.ok("create", "-d", "shed", "--shed-size", "2", "s")
    assert program.ok("ip", "s") == "127.0.0.1\n"
    done = program.run("stop", "s")
    assert done.returncode == 1
    assert "a shed cannot be stopped" in done.stderr.splitlines()[0]


def test_the_contract_suite_runs_elsewhere(package: Path) -> None:
    """With nothing of this repository but the installed package, and it finds a driver that breaks its word."""
    (package / "test_shed.py").write_text(SUITE)
    kept = run_suite(package)
    (package / "shed.py").write_text(DRIVER.replace("def create(self): pass", "def create(self): raise OSError(1)"))
    broken = run_suite(package)

    assert (kept.returncode, "failed" in kept.stdout) == (0, False), kept.stdout
    assert (broken.returncode, "failed" in broken.stdout) == (1, True), broken.stdout


def run_suite(package: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shed.py"]
    return subprocess.run(argv, cwd=package, env={"PYTHONPATH": str(package)}, capture_output=True, text=True)
