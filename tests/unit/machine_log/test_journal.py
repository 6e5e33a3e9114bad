"""The engine's log on hosts without journald, read by the script that is sent there, in a real shell."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError
from pymachine.machine.operations import logs
from pymachine.machine.ssh.base import Result

Ask = Callable[[int, str], list[str]]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "pyengine.log"
    monkeypatch.setattr(logs, "ENGINE_LOG", str(path))
    return path


@pytest.fixture
def ask(log: Path, tmp_path: Path) -> Ask:
    """A shell that finds everything but journalctl."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("head", "tail", "wc"):
        os.symlink(shutil.which(name) or f"/usr/bin/{name}", programs / name)

    def run(lines: int, cursor: str) -> list[str]:
        words = ["/bin/sh", "-c", logs.script(lines, cursor)]
        done = subprocess.run(words, env={"PATH": str(programs)}, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def test_the_last_lines_and_where_they_end(ask: Ask, log: Path) -> None:
    log.write_text("one\ntwo\nthree\n")

    assert ask(2, "") == ["two", "three", "-- cursor: 14"]
    assert ask(0, "") == ["-- cursor: 14"]
    assert ask(-1, "") == ["one", "two", "three", "-- cursor: 14"]


def test_what_came_since(ask: Ask, log: Path) -> None:
    log.write_text("one\ntwo\nthree\n")

    assert ask(0, "8") == ["three", "-- cursor: 14"]
    assert ask(0, "14") == ["-- cursor: 14"]


def test_a_log_that_began_anew_is_read_from_its_start(ask: Ask, log: Path) -> None:
    log.write_text("new\n")

    assert ask(0, "1000") == ["new", "-- cursor: 4"]


def test_an_engine_that_never_ran_has_no_log(ask: Ask) -> None:
    assert ask(10, "") == []


def test_a_foreign_cursor_runs_nothing(tmp_path: Path) -> None:
    """The cursor comes from the host."""
    text = logs.script(0, f"s=1; touch {tmp_path}/run")

    assert f"--after-cursor='s=1; touch {tmp_path}/run'" in text
    assert "touch" not in text.replace(f"--after-cursor='s=1; touch {tmp_path}/run'", "")


def test_a_journal_that_cannot_be_read_says_why() -> None:
    class Session:
        def run(self, *args: object, **kwargs: object) -> Result:
            return Result(1, "", "Hint: ...\nNo journal files were opened due to insufficient permissions.\n")

    with pytest.raises(MachineError, match="insufficient permissions"):
        logs._look(Session(), 10, "")  # type: ignore[arg-type]
