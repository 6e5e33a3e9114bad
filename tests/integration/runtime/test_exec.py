"""exec: more processes in a running container."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from pymachine.engine.runtime.base import ContainerHandle, StartFailed
from support.runtimes import Box, plain, read_all

pytestmark = pytest.mark.root


async def output_of(box: Box, handle: ContainerHandle, *args: str, **changes: object) -> tuple[bytes, int]:
    added, stream = await handle.exec(box.process(*args, **changes), stdin=False, stdout=True, stderr=True)
    assert stream is not None
    data = await read_all(stream)
    return (data if changes.get("tty") else plain(data)), (await added.wait()).code


def test_exec_runs_in_all_namespaces_and_the_cgroup(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        added, _ = await handle.exec(box.process("sleep", "50"), stdin=False, stdout=False, stderr=False)
        for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
            assert os.readlink(f"/proc/{added.pid}/ns/{kind}") == os.readlink(f"/proc/{handle.pid}/ns/{kind}")
        with open(f"/proc/{added.pid}/cgroup") as one, open(f"/proc/{handle.pid}/cgroup") as other:
            assert one.read() == other.read()
        os.kill(added.pid, signal.SIGTERM)
        assert (await added.wait()).code == 143

    box.run(test)


def test_several_at_once_have_their_own_output_and_code(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        results = await asyncio.gather(
            *(output_of(box, handle, "sh", "-c", f"echo {number}; exit {number}") for number in range(10))
        )
        assert results == [(b"%d\n" % number, number) for number in range(10)]

    box.run(test)


def test_user_directory_and_environment_are_its_own(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        shown, code = await output_of(
            box,
            handle,
            "sh",
            "-c",
            "id -u; pwd; echo $A $HOME",
            user="nobody",
            cwd="/tmp",
            env=("A=1", "A=2", "PATH=/bin"),
        )
        assert (shown, code) == (b"65534\n/tmp\n1 /\n", 0)

    box.run(test)


def test_a_terminal_of_its_own(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        shown, code = await output_of(box, handle, "sh", "-c", "tty; stty size", tty=True, console_size=(20, 70))
        assert (shown, code) == (b"/dev/pts/0\r\n20 70\r\n", 0)

    box.run(test)


def test_standard_input_is_passed_and_closed(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        added, stream = await handle.exec(box.process("wc", "-c"), stdin=True, stdout=True, stderr=True)
        assert stream is not None
        await stream.write(b"x" * 300_000)
        await stream.write_eof()
        assert plain(await read_all(stream)).strip() == b"300000"
        assert (await added.wait()).code == 0

    box.run(test)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [(("nosuch",), 127, "executable file not found"), (("/etc",), 126, "is a directory")],
)
def test_an_exec_that_fails_says_why(box: Box, args: tuple[str, ...], code: int, message: str) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        with pytest.raises(StartFailed, match=message) as caught:
            await output_of(box, handle, *args)
        assert caught.value.exit_code == code
        assert str(caught.value).startswith("OCI runtime exec failed")
        assert (await output_of(box, handle, "true"))[1] == 0

    box.run(test)


def test_what_it_leaves_in_the_background_does_not_hold_its_client(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        shown, code = await asyncio.wait_for(output_of(box, handle, "sh", "-c", "sleep 60 & echo left"), 10)
        assert (shown, code) == (b"left\n", 0)

    box.run(test)


def test_execs_end_with_their_container(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        added, _ = await handle.exec(box.process("sleep", "50"), stdin=False, stdout=False, stderr=False)
        await handle.signal(signal.SIGKILL)
        await handle.wait()
        assert (await added.wait()).code == 137
        with pytest.raises(StartFailed, match="not running"):
            await handle.exec(box.process("true"), stdin=False, stdout=True, stderr=True)

    box.run(test)
