"""Containers outlive the daemon, however it ends."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.dockercli import beside, inspect
from support.engineprocess import EngineProcess
from support.enginetraces import held
from support.images import layer_tar
from support.registry import Registry
from support.waiting import eventually

pytestmark = pytest.mark.root


def test_a_killed_daemon_loses_nothing(own_engine: EngineProcess) -> None:
    engine = own_engine
    ticker = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    engine.docker("run", "-d", "--name", "ticks", "-p", "127.0.0.1::80", "busybox", "sh", "-c", ticker)
    engine.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 0.6; echo last; exit 42")
    engine.docker("run", "-d", "--rm", "--name", "vanishes", "busybox", "sleep", "0.6")
    engine.docker("run", "-d", "--name", "held", "busybox", "sleep", "1000")
    engine.docker("pause", "held")
    engine.docker("create", "--name", "fresh", "busybox", "echo", "later")
    before = inspect(engine, "ticks")
    engine.stop(signal.SIGKILL)
    time.sleep(1.0)
    os.kill(before["State"]["Pid"], 0)
    engine.start()
    after = inspect(engine, "ticks")
    for key in ("Pid", "StartedAt", "Status"):
        assert after["State"][key] == before["State"][key]
    assert after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    ended = inspect(engine, "ends")["State"]
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 42)
    assert engine.docker("logs", "ends") == "last\n"
    eventually(lambda: engine.run("inspect", "vanishes").returncode == 1)
    assert inspect(engine, "held")["State"]["Paused"] is True
    engine.docker("unpause", "held")
    _check_the_log_has_no_gap(engine)
    assert engine.docker("exec", "ticks", "echo", "in") == "in\n"
    assert engine.docker("start", "-a", "fresh") == "later\n"
    with beside(engine, "wait", "ticks") as waiting:
        engine.docker("kill", "ticks")
        assert waiting.communicate(timeout=10)[0] == "137\n"
    assert engine.docker("rm", "ticks", "ends", "fresh")


def _check_the_log_has_no_gap(engine: EngineProcess) -> None:
    numbers = [int(line) for line in engine.docker("logs", "ticks").split()]
    assert numbers == list(range(1, len(numbers) + 1))
    with beside(engine, "attach", "--no-stdin", "ticks") as attached:
        assert attached.stdout is not None
        assert int(attached.stdout.readline()) >= numbers[-1]


def test_a_stopped_daemon_too(own_engine: EngineProcess) -> None:
    own_engine.docker("run", "-d", "--name", "on", "busybox", "sleep", "1000")
    pid = inspect(own_engine, "on")["State"]["Pid"]
    assert own_engine.stop() == 0
    own_engine.start()
    assert inspect(own_engine, "on")["State"]["Pid"] == pid


def test_restart_policies_hold_over_daemons(own_engine: EngineProcess) -> None:
    engine = own_engine
    for name, policy in (
        ("always", "always"),
        ("unless", "unless-stopped"),
        ("stopped", "unless-stopped"),
        ("no", "no"),
    ):
        engine.docker("run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000")
    engine.docker("stop", "-t", "0", "stopped")
    pids = {name: inspect(engine, name)["State"]["Pid"] for name in ("always", "unless", "no")}
    engine.stop(signal.SIGKILL)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.values()))
    engine.start()
    for name in ("always", "unless"):  # already when the API answers
        assert inspect(engine, name)["State"]["Running"], name
    assert inspect(engine, "stopped")["State"]["Running"] is False
    assert inspect(engine, "no")["State"]["Running"] is False


def test_a_damaged_document_hides_no_other(own_engine: EngineProcess) -> None:
    engine = own_engine
    bad = engine.docker("create", "busybox", "true").strip()
    good = engine.docker("create", "--name", "good", "busybox", "true").strip()
    engine.stop()
    (engine.folder / "data" / "containers" / bad / "config.json").write_text("{")
    engine.start()
    assert engine.docker("ps", "-aq", "--no-trunc").split() == [good]
    assert "is damaged" in engine.log


@pytest.mark.slow
def test_killed_at_any_moment(own_engine: EngineProcess, tmp_path: Path) -> None:
    """Whatever a killed daemon was doing: its successor serves all there is, can remove it, and nothing is left."""
    engine, chance, saved = own_engine, random.Random(7), tmp_path / "saved.tar"
    engine.docker("run", "--rm", "busybox", "true")
    engine.docker("save", "-o", str(saved), "busybox")
    eventually(lambda: not any(held(engine)[kind] for kind in ("links", "groups", "processes", "bundles")))
    before = held(engine)
    with Registry(tmp_path) as registry:
        pulled = f"{registry.address}/team/app:1"
        registry.push("team/app", "1", [layer_tar({f"f{part}": chance.randbytes(2**18)}) for part in range(4)])
        engine.docker("run", "-d", "--name", "steady", "busybox", "sleep", "1000")
        kinds: list[tuple[str, ...]] = [
            ("run", "--rm", "-v", "/anonymous", "busybox", "sleep", "0.05"),
            ("run", "-d", "-v", "/anonymous", "busybox", "sleep", "1000"),
            ("run", "--rm", "busybox", "no-such-program"),
            ("run", "-d", "-p", "127.0.0.1::80", "busybox", "sleep", "1000"),
            ("exec", "steady", "sleep", "0.1"),
            ("commit", "steady", "made"),
            ("load", "-i", str(saved)),
            ("pull", pulled),
            ("rmi", "-f", pulled),
        ]
        for _ in range(6):
            others = [name for name in engine.docker("ps", "-aq").split() if name != _id(engine, "steady")]
            removals = [("rm", "-fv", name) for name in others]
            with ExitStack() as stack:
                for words in [*chance.sample(kinds, 5), *removals[:3]]:
                    stack.enter_context(beside(engine, *words))
                    time.sleep(chance.random() * 0.02)
                time.sleep(chance.random() * 0.15)
                engine.stop(signal.SIGKILL)
            engine.start()
            assert engine.docker("exec", "steady", "echo", "in") == "in\n"
    for name in engine.docker("ps", "--format", "{{.Names}}").split():
        assert engine.docker("exec", name, "echo", "in") == "in\n"
    for image in set(engine.docker("images", "-q").split()):
        engine.docker("save", "-o", str(saved), image)
    eventually(lambda: engine.docker("volume", "ls", "-q", "-f", "dangling=true") == "")
    engine.docker("rm", "-fv", *engine.docker("ps", "-aq").split())
    eventually(lambda: held(engine) == before)
    assert list((engine.folder / "data" / "images" / "tmp").iterdir()) == []
    assert "Traceback" not in engine.log, engine.log


def _id(engine: EngineProcess, name: str) -> str:
    return engine.docker("ps", "-q", "-f", f"name={name}").strip()


def test_what_the_killed_daemon_had_not_written_yet(own_engine: EngineProcess) -> None:
    """A start whose success was not recorded is adopted; a removal that was not finished is finished."""
    engine = own_engine
    started = engine.docker("run", "-d", "--name", "started", "busybox", "sleep", "1000").strip()
    removed = engine.docker("create", "--name", "removed", "-v", "/anonymous", "busybox", "true").strip()
    pid = inspect(engine, "started")["State"]["Pid"]
    frozen, kept = (engine.docker("run", "-d", "--name", n, "busybox", "sleep", "1000").strip() for n in ("frz", "hld"))
    engine.docker("pause", "frz", "hld")
    engine.stop(signal.SIGKILL)
    unstarted = {"pid": 0, "started_at": 0.0}
    _amend(engine, started, {"status": "created", **unstarted})
    _amend(engine, removed, {"status": "removing", **unstarted}, volumes_go=True)  # rm -v
    _amend(engine, frozen, {"status": "running"})
    _amend(engine, kept, {"status": "paused"}, held=True)  # while its changes were committed
    engine.start()
    state = inspect(engine, "started")["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    assert engine.docker("exec", "started", "echo", "in") == "in\n"
    eventually(lambda: not (engine.folder / "data" / "containers" / removed).exists())
    assert [inspect(engine, name)["State"]["Paused"] for name in ("frz", "hld")] == [True, False]
    assert engine.docker("exec", "hld", "echo", "on") == "on\n"
    assert engine.run("inspect", "removed").returncode == 1
    assert engine.docker("volume", "ls", "-q") == ""


def _amend(engine: EngineProcess, container: str, state: dict[str, object], **more: object) -> None:
    document = engine.folder / "data" / "containers" / container / "config.json"
    content = json.loads(document.read_text())
    content["state"].update(state)
    document.write_text(json.dumps({**content, **more}))


def test_a_computer_that_was_switched_off(own_engine: EngineProcess) -> None:
    """No process and no run-time folder is left: containers have ended with 255, policies start them again."""
    engine = own_engine
    for name, policy in (("once", "no"), ("ever", "always")):
        engine.docker("run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--rm", "--name", "fleeting", "busybox", "sleep", "1000")
    pids = [inspect(engine, name)["State"]["Pid"] for name in ("once", "ever", "fleeting")]
    engine.stop(signal.SIGKILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not list((engine.folder / "exec" / "containers").glob("*/shim.sock")))
    shutil.rmtree(engine.folder / "exec")
    engine.start()
    state = inspect(engine, "once")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 255)
    assert inspect(engine, "ever")["State"]["Running"]
    eventually(lambda: engine.run("inspect", "fleeting").returncode == 1)


def test_a_restart_that_was_due_comes_with_its_count(own_engine: EngineProcess) -> None:
    engine = own_engine
    engine.docker("run", "-d", "--name", "loops", "--restart", "on-failure:5", "busybox", "false")
    eventually(lambda: inspect(engine, "loops")["RestartCount"] >= 2)
    engine.stop(signal.SIGKILL)
    engine.start()
    eventually(lambda: inspect(engine, "loops")["State"]["Status"] == "exited")
    assert inspect(engine, "loops")["RestartCount"] == 5
