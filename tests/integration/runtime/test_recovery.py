"""Whoever dies - daemon, spawner, shim - containers and what is known of them live on, or nothing is left."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pymachine.engine.runtime import cgroups
from pymachine.engine.runtime.base import ContainerHandle, ExitStatus
from pymachine.engine.runtime.handle import ShimHandle
from pymachine.engine.runtime.spec import ContainerSpec, to_json
from support.runtimes import Box, eventually, plain, read_all

pytestmark = pytest.mark.root


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def daemon(tmp_path: Path) -> Path:
    """A program that starts the container of a spec, says its pid and is killed with SIGKILL by itself."""
    program = tmp_path / "daemon.py"
    program.write_text(
        textwrap.dedent(
            """
            import asyncio, os, signal, sys
            from pathlib import Path
            from pymachine.engine.runtime.client import ShimRuntime
            from pymachine.engine.runtime.spec import container_from_json

            runtime = ShimRuntime.launch(exec_root=Path(sys.argv[2]))

            async def main():
                handle = await runtime.start(container_from_json(Path(sys.argv[1]).read_text()))
                print(handle.pid, runtime.spawner_pid, flush=True)
                os.kill(runtime.spawner_pid, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

            asyncio.run(main())
            """
        )
    )
    return program


def start_and_die(daemon: Path, spec: ContainerSpec) -> int:
    """Run *daemon*; the container's pid."""
    document = daemon.with_suffix(".json")
    document.write_text(to_json(spec))
    command = [sys.executable, str(daemon), str(document), str(daemon.with_suffix(".exec"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stdout.split()[0])


def test_a_container_is_found_again_with_everything_working(box: Box, daemon: Path) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "read line; echo got $line; exit 6", open_stdin=True)
        pid = await asyncio.to_thread(start_and_die, daemon, spec)
        handle = await box.runtime.reconnect(spec.id, spec.bundle)
        assert isinstance(handle, ShimHandle)
        box.handles.append(handle)
        assert handle.pid == pid
        assert handle.started_at > 0
        added, output = await handle.exec(box.process("echo", "here"), stdin=False, stdout=True, stderr=True)
        assert output is not None
        assert plain(await read_all(output)) == b"here\n"
        assert (await added.wait()).code == 0
        stream = await handle.attach(stdin=True, stdout=True, stderr=True)
        await stream.write(b"hello\n")
        assert plain(await read_all(stream)) == b"got hello\n"
        assert (await handle.wait()).code == 6
        assert box.logged(spec) == b"got hello\n"

    box.run(test)


def test_an_end_that_nobody_saw_is_on_record(box: Box, daemon: Path) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "sleep 0.2; echo bye; exit 17")
        pid = await asyncio.to_thread(start_and_die, daemon, spec)
        await eventually(lambda: gone(pid))
        await eventually(lambda: os.path.exists(f"{spec.bundle}/exit.json"))
        found = await box.runtime.reconnect(spec.id, spec.bundle)
        assert isinstance(found, ExitStatus)
        assert found.code == 17
        assert found.finished_at > 0
        assert box.logged(spec) == b"bye\n"

    box.run(test)


def test_nothing_to_be_found_is_code_255(box: Box, tmp_path: Path) -> None:
    async def test() -> None:
        found = await box.runtime.reconnect("0" * 64, str(tmp_path / "none"))
        assert isinstance(found, ExitStatus)
        assert found.code == 255
        spec = box.spec("true")
        os.makedirs(spec.bundle)
        (Path(spec.bundle) / "exit.json").write_text('{"code":')
        (Path(spec.bundle) / "spec.json").write_text(json.dumps({"cgroup": spec.cgroup}))
        found = await box.runtime.reconnect(spec.id, spec.bundle)
        assert isinstance(found, ExitStatus)
        assert found.code == 255

    box.run(test)


@pytest.mark.parametrize("init", [False, True])
def test_a_shim_that_is_killed_takes_its_container_along(box: Box, *, init: bool) -> None:
    async def test() -> None:
        spec = box.spec("sleep", "100", init=init)
        handle = await box.start(spec)
        os.kill(parent_of(handle.pid), signal.SIGKILL)
        status = await asyncio.wait_for(handle.wait(), 20)
        assert status.code == 137
        await eventually(lambda: gone(handle.pid))
        for point in cgroups.hierarchies().legacy.values():
            assert not os.path.exists(f"{point}/{spec.cgroup}")
        assert os.listdir(spec.bundle) == ["spec.json"] or sorted(os.listdir(spec.bundle)) == ["root", "spec.json"]

    box.run(test)


def test_a_spawner_that_died_is_started_again_and_that_is_logged(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        first: ContainerHandle = await box.start(box.spec("sleep", "100"))
        spawner = box.runtime.spawner_pid
        os.kill(spawner, signal.SIGKILL)
        await eventually(lambda: gone(spawner))
        with caplog.at_level(logging.WARNING):
            second = await box.start(box.spec("sh", "-c", "exit 4"))
        assert "the spawner" in caplog.text
        assert (await second.wait()).code == 4
        assert not gone(first.pid)

    box.run(test)


def test_a_waiting_shim_that_was_killed_is_replaced_and_the_last_one_goes_with_the_spawner(box: Box) -> None:
    def children() -> list[int]:
        spawner = box.runtime.spawner_pid
        return [int(pid) for pid in Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split()]

    async def test() -> None:
        await eventually(lambda: len(children()) == 1)
        waiting = children()[0]
        os.kill(waiting, signal.SIGKILL)
        await eventually(lambda: gone(waiting))
        handle = await box.start(box.spec("sh", "-c", "exit 5"))
        assert (await handle.wait()).code == 5
        await eventually(lambda: len(children()) == 1)
        last = children()[0]
        await box.runtime.close()
        assert gone(last)

    box.run(test)


def test_containers_go_on_when_the_runtime_is_closed(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        await box.runtime.close()
        await asyncio.sleep(0.1)
        assert not gone(handle.pid)
        added, _ = await handle.exec(box.process("true"), stdin=False, stdout=False, stderr=False)
        assert (await added.wait()).code == 0

    box.run(test)
