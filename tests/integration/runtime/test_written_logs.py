"""The log that a container's shim writes: rotated, and given up line by line where the disk is full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest

from pymachine.engine.runtime.spec import LogSpec
from support.runtimes import Box, plain, read_all
from support.smalldisk import small_disk

pytestmark = pytest.mark.root
Driver = Literal["local", "json-file"]


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_logs_are_rotated(box: Box, driver: Driver) -> None:
    async def test() -> None:
        path = box.folder / "logs" / "log"
        path.parent.mkdir()
        log = LogSpec(driver, str(path), 100_000, 3)
        spec = box.spec("sh", "-c", "for i in $(seq 1 20000); do echo line $i of text; done", log=log)
        await (await box.start(spec)).wait()
        assert sorted(os.listdir(path.parent)) == ["log", "log.1", "log.2"]
        assert box.logged(spec).endswith(b"line 20000 of text\n")

    box.run(test)


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_a_full_disk_costs_log_lines_not_the_container(box: Box, tmp_path: Path, driver: Driver) -> None:
    async def test() -> None:
        script = "for i in $(seq 1 60000); do echo line $i of text; done; read x; echo over; exit 8"
        spec = box.spec("sh", "-c", script, log=LogSpec(driver, str(full / "log"), 0, 1), open_stdin=True)
        handle = await box.start(spec)
        stream = await handle.attach(stdin=True, stdout=True, stderr=True)
        await stream.write(b"\n")
        assert plain(await read_all(stream)).endswith(b"over\n")
        assert (await handle.wait()).code == 8
        kept = box.logged(spec)
        assert kept.startswith(b"line 1 of text\nline 2 of text\n")
        assert all(line.startswith((b"line ", b"over")) for line in kept.splitlines()[:-1])

    with small_disk(tmp_path / "full", "1m") as full:
        box.run(test)
