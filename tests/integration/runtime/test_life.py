"""A container's life: start, streams, signals, end; and that nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pymachine.engine.runtime import cgroups, launch
from pymachine.engine.runtime.base import ContainerHandle, ExitStatus, ProcessStream, StartFailed
from pymachine.engine.runtime.spec import LogSpec, Namespaces, Resources
from support.runtimes import Box, eventually, plain, read_all

pytestmark = pytest.mark.root
needs_v1 = pytest.mark.skipif(not cgroups.hierarchies().legacy, reason="no memory and pids controllers to be sure of")


def mounts_of_host() -> str:
    return Path("/proc/self/mountinfo").read_text()


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


def cgroup_folders(path: str) -> list[str]:
    return [f"{point}/{path}" for point in cgroups.hierarchies().legacy.values() if os.path.exists(f"{point}/{path}")]


def test_output_and_exit_code_come_back(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "echo out; echo err >&2; exit 7")
        streams: list[ProcessStream] = []

        async def attach(handle: ContainerHandle) -> None:
            streams.append(await handle.attach(stdin=False, stdout=True, stderr=True))

        handle = await box.start(spec, attach)
        data = await read_all(streams[0])
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
    mounts = mounts_of_host()

    async def test() -> None:
        specs = [box.spec("true"), box.spec("sh", "-c", "sleep 100 & exit 3")]
        for spec in specs:
            handle = await box.start(spec)
            assert cgroup_folders(spec.cgroup) or not cgroups.hierarchies().legacy
            await handle.wait()
            assert mounts_of_host() == mounts
            assert cgroup_folders(spec.cgroup) == []
            assert sorted(os.listdir(spec.bundle)) == ["exit.json", "spec.json"]
        with pytest.raises(StartFailed):
            await box.start(box.spec("nosuch"))
        assert mounts_of_host() == mounts

    box.run(test)
    assert zombies() == []


@pytest.mark.parametrize(
    ("args", "changes", "message", "code"),
    [
        (("nosuch",), {}, 'exec: "nosuch": executable file not found in $PATH: unknown', 127),
        (("/nosuch",), {}, 'exec: "/nosuch": stat /nosuch: no such file or directory: unknown', 127),
        (("/etc",), {}, 'exec: "/etc": is a directory: permission denied: unknown', 126),
        (("/etc/passwd",), {}, 'exec: "/etc/passwd": permission denied: unknown', 126),
        ((), {}, "no command specified", 128),
        (("a\0b",), {}, "embedded null byte", 128),
        (("true",), {"user": "x"}, "^unable to find user x: no matching entries in passwd file$", 128),
        (("true",), {"user": "0:x"}, "^unable to find group x: no matching entries in group file$", 128),
        (("true",), {"cwd": "/etc/passwd/x"}, "not a directory", 126),
        (("true",), {"capabilities": ("CAP_NONE",)}, "unknown capability CAP_NONE", 128),
    ],
)
def test_a_start_that_fails_says_why_and_leaves_nothing(
    box: Box, args: tuple[str, ...], changes: dict[str, object], message: str, code: int
) -> None:
    async def test() -> None:
        spec = box.spec(*args, process=changes)
        with pytest.raises(StartFailed, match=message.replace("$P", r"\$P")) as caught:
            await box.start(spec)
        assert caught.value.exit_code == code
        assert os.listdir(spec.bundle) == []
        assert cgroup_folders(spec.cgroup) == []

    box.run(test)


def test_a_network_that_cannot_be_attached_ends_the_start(box: Box) -> None:
    async def test() -> None:
        pids: list[int] = []

        async def refuse(pid: int) -> None:
            pids.append(pid)
            raise OSError("no address left")

        spec = box.spec("sleep", "100")
        with pytest.raises(OSError, match="no address left"):
            await box.runtime.start(spec, refuse)
        assert not os.path.exists(f"/proc/{pids[0]}")
        assert os.listdir(spec.bundle) == []
        assert cgroup_folders(spec.cgroup) == []

    box.run(test)


def test_a_start_that_is_cancelled_is_undone(box: Box) -> None:
    async def test() -> None:
        waiting = asyncio.Event()
        pids: list[int] = []

        async def dawdle(pid: int) -> None:
            pids.append(pid)
            waiting.set()
            await asyncio.sleep(0.1)

        starting = asyncio.ensure_future(box.runtime.start(box.spec("sleep", "100"), dawdle))
        await waiting.wait()
        starting.cancel()
        await eventually(lambda: not os.path.exists(f"/proc/{pids[0]}"))

    box.run(test)


def test_standard_input_reaches_the_program_and_closes(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("cat", open_stdin=True, stdin_once=True))
        stream = await handle.attach(stdin=True, stdout=True, stderr=True)
        sent = bytes(range(256)) * 4000
        reading = asyncio.ensure_future(read_all(stream))
        await stream.write(sent)
        await stream.write_eof()
        assert plain(await reading) == sent
        assert (await handle.wait()).code == 0

    box.run(test)


def test_standard_input_stays_open_for_the_next_client(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("cat", open_stdin=True))
        for text in (b"one\n", b"two\n"):
            stream = await handle.attach(stdin=True, stdout=True, stderr=True, close_stdin=False)
            await stream.write(text)
            assert plain(await stream.read()) == text
            await stream.write_eof()
            await stream.close()
        await handle.signal(signal.SIGKILL)
        assert (await handle.wait()).code == 137

    box.run(test)


def test_a_program_may_close_its_output_and_read_on(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "exec >&- 2>&-; read one; read two; exit $((one + two))", open_stdin=True)
        handle = await box.start(spec)
        await asyncio.sleep(0.2)
        watching = await handle.attach(stdin=False, stdout=True, stderr=True)
        assert await watching.read() == b""
        await watching.close()
        stream = await handle.attach(stdin=True, stdout=True, stderr=True)
        await stream.write(b"3\n")
        await asyncio.sleep(0.1)
        await stream.write(b"4\n")
        assert (await handle.wait()).code == 7
        assert await stream.read() == b""

    box.run(test)


def test_the_first_client_that_goes_closes_input_that_is_opened_once(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("cat", open_stdin=True, stdin_once=True))
        stream = await handle.attach(stdin=True, stdout=True, stderr=True, close_stdin=False)
        await stream.close()
        assert (await handle.wait()).code == 0

    box.run(test)


def test_a_terminal_has_a_size_and_echoes(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", process={"tty": True, "console_size": (33, 99)}, open_stdin=True)
        streams: list[ProcessStream] = []

        async def attach(handle: ContainerHandle) -> None:
            streams.append(await handle.attach(stdin=True, stdout=True, stderr=True))
            await streams[0].write(b"stty size; tty; ls -l /dev/console\n")

        handle = await box.start(spec, attach)
        await handle.resize(44, 111)
        await streams[0].write(b"stty size; exit 5\n")
        shown = await read_all(streams[0])
        assert (await handle.wait()).code == 5
        assert b"44 111\r\n" in shown
        assert b"/dev/pts/0\r\n" in shown
        assert b"/dev/console" in shown

    box.run(test)


def test_a_client_that_does_not_read_holds_back_the_container_not_the_shim(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf '%01000d\\n' $i; done; echo end")
        streams: list[ProcessStream] = []

        async def attach(handle: ContainerHandle) -> None:
            streams.append(await handle.attach(stdin=False, stdout=True, stderr=True))

        handle = await box.start(spec, attach)
        await asyncio.sleep(0.3)
        assert len(box.logged(spec)) < 2_000_000
        await handle.resize(1, 1)  # the shim answers all the same
        data = plain(await read_all(streams[0]))
        await handle.wait()
        assert data.endswith(b"end\n")
        assert data == box.logged(spec)

    box.run(test)


def test_a_client_that_leaves_does_not_stop_the_container(box: Box) -> None:
    async def test() -> None:
        spec = box.spec("sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); printf '%01000d\\n' $i; done; exit 9")
        handle = await box.start(spec)
        stream = await handle.attach(stdin=False, stdout=True, stderr=True)
        await stream.read(10)
        await stream.close()
        assert (await handle.wait()).code == 9
        assert box.logged(spec).count(b"\n") == 2000

    box.run(test)


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_logs_are_rotated(box: Box, driver: str) -> None:
    async def test() -> None:
        path = box.folder / "logs" / "log"
        path.parent.mkdir()
        log = LogSpec(driver, str(path), 100_000, 3)  # type: ignore[arg-type]
        spec = box.spec("sh", "-c", "for i in $(seq 1 20000); do echo line $i of text; done", log=log)
        await (await box.start(spec)).wait()
        assert sorted(os.listdir(path.parent)) == ["log", "log.1", "log.2"]
        assert box.logged(spec).endswith(b"line 20000 of text\n")

    box.run(test)


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_a_full_disk_costs_log_lines_not_the_container(box: Box, tmp_path: Path, driver: str) -> None:
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "full", full], check=True)
    try:

        async def test() -> None:
            log = LogSpec(driver, str(full / "log"), 0, 1)  # type: ignore[arg-type]
            script = "for i in $(seq 1 60000); do echo line $i of text; done; read x; echo over; exit 8"
            spec = box.spec("sh", "-c", script, log=log, open_stdin=True)
            handle = await box.start(spec)
            stream = await handle.attach(stdin=True, stdout=True, stderr=True)
            await stream.write(b"\n")
            assert plain(await read_all(stream)).endswith(b"over\n")
            assert (await handle.wait()).code == 8
            kept = box.logged(spec)
            assert kept.startswith(b"line 1 of text\nline 2 of text\n")
            assert all(line.startswith((b"line ", b"over")) for line in kept.splitlines()[:-1])

        box.run(test)
    finally:
        subprocess.run(["umount", full], check=True)


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


@needs_v1
def test_a_program_that_takes_too_much_memory_is_killed_and_that_is_told(box: Box) -> None:
    async def test() -> None:
        script = "x=$(dd if=/dev/zero bs=1M count=200 | tr '\\0' a); echo ${#x}"
        limits = Resources(memory=32 * 2**20, memory_swap=32 * 2**20)
        status = await (await box.start(box.spec("sh", "-c", script + "; exit 0", resources=limits))).wait()
        assert status == ExitStatus(status.code, status.finished_at, oom_killed=True)

    box.run(test)


@needs_v1
def test_the_number_of_processes_is_limited(box: Box) -> None:
    async def test() -> None:
        shown = await box.output(
            "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo done", resources=Resources(pids_limit=4)
        )
        assert "can't fork" in shown

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
