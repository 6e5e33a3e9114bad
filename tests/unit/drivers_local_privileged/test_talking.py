"""Client and helper talk over pipes: each runs for real, with other work than root's."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.local.privileged import wire, work
from pymachine.drivers.local.privileged.client import Connection
from pymachine.drivers.local.privileged.helper import Helper
from pymachine.drivers.local.privileged.requests import ImageRequest
from pymachine.machine.errors import DeadlineExceeded, DriverError, MachineError, PreCreateCheckFailed
from support.program import environment

REQUEST = {"operation": "image.build", "roots": ["", ""], "name": "x", "force": False}


class Pipes:
    """A helper in a thread of ours, as the process that `Connection` expects."""

    def __init__(self) -> None:
        read, write = os.pipe()
        back, forth = os.pipe()
        self.stdin, self.stdout = os.fdopen(write, "wb"), os.fdopen(back, "rb")
        requests, answers = os.fdopen(read, "rb"), os.fdopen(forth, "wb", buffering=0)
        environ = {"SUDO_UID": str(os.getuid())}

        def serve() -> None:
            with requests, answers:
                Helper(answers, environ).serve(requests)

        threading.Thread(target=serve, daemon=True).start()
        assert json.loads(self.stdout.readline()) == {"hello": wire.PROTOCOL}

    def wait(self) -> int:
        return 0


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection(Pipes())  # type: ignore[arg-type]
    yield made
    made.close()


def working(monkeypatch: pytest.MonkeyPatch, perform: Any) -> None:
    monkeypatch.setattr(work, "perform", perform)


def test_progress_questions_and_the_result(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper goes on only when its question was answered."""
    order: list[str] = []

    def perform(request: ImageRequest, line: work.Line, caller: object) -> str:
        line.tell("begun")
        line.ask("save", resources={"address": "10.0.0.1"})
        order.append("after the question")
        return f"built {request.name}"

    def serve(message: dict[str, Any]) -> None:
        order.append(message.get("tell") or str(message["resources"]))

    working(monkeypatch, perform)
    assert connection.call(REQUEST, serve) == "built x"
    assert order == ["begun", "{'address': '10.0.0.1'}", "after the question"]


def test_what_cannot_be_noted_ends_the_work(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper stops at once, and the caller gets the very error that the client had."""
    went_on: list[bool] = []

    def perform(request: object, line: work.Line, caller: object) -> str:
        line.ask("save", resources={})
        went_on.append(True)
        return ""

    def serve(message: dict[str, Any]) -> None:
        raise MachineError("the disk is full", hint="free some space")

    working(monkeypatch, perform)
    with pytest.raises(MachineError, match="the disk is full") as caught:
        connection.call(REQUEST, serve)
    assert caught.value.hint == "free some space"
    assert not went_on


def test_many_calls_at_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets what is its own."""
    together = threading.Barrier(8, timeout=20)

    def perform(request: ImageRequest, line: work.Line, caller: object) -> str:
        together.wait()
        line.ask("begin", step=request.name, facts={})
        return request.name

    working(monkeypatch, perform)
    results: dict[str, tuple[str, list[str]]] = {}

    def one(name: str) -> None:
        seen: list[str] = []
        results[name] = connection.call({**REQUEST, "name": name}, lambda message: seen.append(message["step"])), seen

    threads = [threading.Thread(target=one, args=(f"n{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {f"n{index}": (f"n{index}", [f"n{index}"]) for index in range(8)}


def test_a_helper_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pipes = Pipes()
    connection = Connection(pipes)  # type: ignore[arg-type]
    working(monkeypatch, lambda request, line, caller: line.ask("never"))

    def serve(message: dict[str, Any]) -> None:
        pipes.stdin.close()

    with pytest.raises(DriverError, match="the privileged helper has ended"):
        connection.call(REQUEST, serve)
    assert connection.ended


def test_an_interrupt_ends_the_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would have ended the operation, had it been ours."""
    connection = Connection(Pipes())  # type: ignore[arg-type]
    working(monkeypatch, lambda request, line, caller: line.ask("never"))

    def serve(message: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connection.call(REQUEST, serve)
    assert connection.ended


@pytest.mark.parametrize(
    "error",
    [
        PreCreateCheckFailed("no overlay", hint="use ext4"),
        DeadlineExceeded("waiting for SSH", 30, last_error="refused", look_at="console.log"),
        DriverError("it burns"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_as_what_they_are(error: MachineError) -> None:
    error.add_note("and more")
    again = wire.error_from_json(json.loads(json.dumps(wire.error_to_json(error))))
    assert (type(again), str(again), again.hint, again.exit_code) == (
        type(error),
        str(error),
        error.hint,
        error.exit_code,
    )
    assert again.__notes__ == ["and more"]
    assert getattr(again, "stage", "") == getattr(error, "stage", "")


def test_a_defect_is_told_in_one_line() -> None:
    again = wire.error_from_json(wire.error_to_json(ZeroDivisionError("by zero")))
    assert str(again) == "the privileged helper failed: ZeroDivisionError: by zero"
    assert type(wire.error_from_json({"kind": "os"})) is DriverError


@pytest.mark.parametrize("line", [b"[]", b"{", b"\xff", b"[" * 100000, b'"' + b"a" * wire.LONGEST_LINE + b'"'])
def test_nonsense_ends_the_helper(line: bytes) -> None:
    output = io.BytesIO()
    Helper(output, {}).serve(io.BytesIO(line + b"\n"))
    assert output.getvalue() == b'{"hello": 1}\n'


def test_the_environment_has_no_effect(tmp_path: Path) -> None:
    """Neither paths nor modules of the caller's come in; without sudo's word on who calls, nothing is done."""
    (tmp_path / "json.py").write_text("raise SystemExit('mine')")
    env = environment({"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path), "PYMACHINE_LOCAL_ROOT": str(tmp_path)})
    env.pop("SUDO_UID", None)
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "pymachine.drivers.local.privileged.helper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == '{"hello": 1}\n'
    process.stdin.write(json.dumps({"call": 1, **REQUEST}) + "\n")
    process.stdin.flush()
    assert "to be run by sudo" in json.loads(process.stdout.readline())["error"]["text"]
    process.communicate(timeout=20)
    assert process.returncode == 0
