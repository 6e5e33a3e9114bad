"""A container's streams: standard input and output, terminals, and clients that come, go and do not read."""

from __future__ import annotations

import asyncio
import signal

import pytest

from pymachine.engine.runtime.base import ContainerHandle, ProcessStream
from support.runtimes import Box, plain, read_all

pytestmark = pytest.mark.root


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
        handle, stream = await box.start_watched(spec)
        await asyncio.sleep(0.3)
        assert len(box.logged(spec)) < 2_000_000
        await handle.resize(1, 1)  # the shim answers all the same
        data = plain(await read_all(stream))
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
