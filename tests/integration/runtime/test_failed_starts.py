"""Starts that fail, or are broken off, say why and leave nothing."""

from __future__ import annotations

import asyncio
import os

import pytest

from pymachine.engine.runtime.base import StartFailed
from support.runtimes import Box, cgroup_folders, eventually

pytestmark = pytest.mark.root


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
