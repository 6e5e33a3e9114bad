"""A container's life: start, namespaces, signals, pause, end; and that nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from pymachine.engine.runtime import cgroups, launch
from pymachine.engine.runtime.base import StartFailed
from pymachine.engine.runtime.spec import Namespaces
from support.runtimes import Box, cgroup_folders, eventually, plain, read_all

pytestmark = pytest.mark.root


def mounts_of(box: Box) -> list[str]:
    """On this side; tests of other files mount things too."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(box.folder) in line]


def zombies() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == os.getpid():
            found.append(str(path))
    return found


def test_output_and_exit_code_come_back(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "echo out; echo err >&2; exit 7")
        handle, stream = await box.start_watched(spec)
        data = await read_all(stream)
        status = await handle.wait()
        assert status.code == 7
        assert not status.oom_killed
        assert time.time() - 60 < status.finished_at < time.time() + 1
        assert b"\x01\0\0\0\0\0\0\x04out\n" in data
        assert b"\x02\0\0\0\0\0\0\x04err\n" in data
        assert sorted(box.logged(spec).split()) == [b"err", b"out"]

    box.run(test)


def test_every_namespace_is_its_own(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
            assert os.readlink(f"/proc/{handle.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")

    box.run(test)


def test_host_namespaces_are_the_hosts(box: Box) -> None:
    async def test() -> None:
        spaces = Namespaces("host", "host", "host", "host", "host")
        handle = await box.start(box.spec("sleep", "100", namespaces=spaces))
        for kind in ("pid", "net", "ipc", "uts", "cgroup"):
            assert os.readlink(f"/proc/{handle.pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")
        assert "sleep" in Path(f"/proc/{handle.pid}/cmdline").read_text()

    box.run(test)


def test_another_containers_namespaces_are_joined(box: Box) -> None:
    async def test() -> None:
        first = await box.start(box.spec("sleep", "100"))
        paths = {kind: f"/proc/{first.pid}/ns/{kind}" for kind in ("pid", "net", "ipc", "uts")}
        second = await box.start(box.spec("sleep", "200", namespaces=Namespaces(**paths)))
        for kind in paths:
            assert os.readlink(f"/proc/{second.pid}/ns/{kind}") == os.readlink(f"/proc/{first.pid}/ns/{kind}")
        added, stream = await second.exec(box.process("ps"), stdin=False, stdout=True, stderr=True)
        assert stream is not None
        shown = plain(await read_all(stream))
        assert b"sleep 100" in shown
        assert b"sleep 200" in shown
        assert (await added.wait()).code == 0

    box.run(test)


def test_nothing_is_left_on_the_host(box: Box) -> None:
    """No mount, zombie, control group, socket; and only the record of the end in the bundle."""
    mounts = mounts_of(box)

    async def test() -> None:
        specs = [box.spec("true"), box.spec("sh", "-c", "sleep 100 & exit 3")]
        for spec in specs:
            handle = await box.start(spec)
            assert cgroup_folders(spec.cgroup) or not cgroups.hierarchies().legacy
            await handle.wait()
            assert mounts_of(box) == mounts
            assert cgroup_folders(spec.cgroup) == []
            assert sorted(os.listdir(spec.bundle)) == ["exit.json", "spec.json"]
        with pytest.raises(StartFailed):
            await box.start(box.spec("nosuch"))
        assert mounts_of(box) == mounts

    box.run(test)
    assert zombies() == []


def test_signals_reach_the_program(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sh", "-c", "trap 'exit 12' TERM; echo ready; while :; do sleep 0.05; done"))
        await asyncio.sleep(0.2)
        await handle.signal(signal.SIGTERM)
        assert (await handle.wait()).code == 12
        with pytest.raises(ProcessLookupError):
            await handle.signal(signal.SIGTERM)

    box.run(test)


def test_init_forwards_signals_reaps_and_passes_the_code_on(box: Box) -> None:
    async def test() -> None:
        script = "trap 'exit 21' USR1; (sleep 0.01 & ) ; sleep 0.3; echo ready; while :; do sleep 0.05; done"
        handle = await box.start(box.spec("sh", "-c", script, init=True))
        added, stream = await handle.exec(box.process("ps"), stdin=False, stdout=True, stderr=False)
        assert stream is not None
        assert b"    1 root" in plain(await read_all(stream))
        await asyncio.sleep(0.5)
        children = Path(f"/proc/{handle.pid}/task/{handle.pid}/children").read_text().split()
        assert len(children) == 1  # the orphan has been reaped
        await handle.signal(signal.SIGUSR1)
        assert (await handle.wait()).code == 21
        assert (await added.wait()).code == 0

    box.run(test)


def test_pause_stops_all_and_resume_lets_them_go_on(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "while :; do echo x; sleep 0.01; done")
        handle = await box.start(spec)
        await handle.pause()
        await asyncio.sleep(0.1)
        size = len(box.logged(spec))
        await asyncio.sleep(0.2)
        assert len(box.logged(spec)) == size
        with pytest.raises(StartFailed, match="unpause"):
            await handle.exec(box.process("true"), stdin=False, stdout=True, stderr=True)
        await handle.resume()
        await eventually(lambda: len(box.logged(spec)) > size)
        await handle.pause()
        await handle.signal(signal.SIGKILL)
        assert (await handle.wait()).code == 137

    box.run(test)


def test_a_bundle_path_longer_than_a_socket_name_works(box: Box) -> None:
    async def test() -> None:
        bundle = box.folder / ("long" * 30) / ("path" * 30)
        handle = await box.start(box.spec("sleep", "100", bundle=str(bundle)))
        stream = await handle.attach(stdin=False, stdout=True, stderr=True)
        await stream.close()
        assert (bundle / "shim.sock").stat().st_mode & 0o777 == 0o600

    box.run(test)


def test_many_containers_start_at_once(box: Box) -> None:
    async def test() -> None:
        handles = await asyncio.gather(*(box.start(box.spec("sh", "-c", f"exit {number}")) for number in range(20)))
        assert [(await handle.wait()).code for handle in handles] == list(range(20))

    box.run(test)


def test_the_defaults_of_devices_are_in_one_place() -> None:
    from pymachine.engine.runtime import defaults

    assert defaults.DEVICE_CGROUP_RULES == launch.DEFAULT_DEVICE_RULES
