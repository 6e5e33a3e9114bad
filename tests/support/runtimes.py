"""Real containers for tests of the runtime: a busybox root, specs, and an end to all that a test started."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import signal
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pymachine.engine.runtime import cgroups, defaults
from pymachine.engine.runtime.base import BeforeRun, ContainerHandle, ProcessStream
from pymachine.engine.runtime.client import ShimRuntime
from pymachine.engine.runtime.logreader import open_reader
from pymachine.engine.runtime.spec import ContainerSpec, LogSpec, Mount, Process, Rootfs
from support.busybox import rootfs_tar

PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
_numbers = itertools.count(1)


def unpack_busybox(folder: Path) -> Path:
    """A busybox root file system in *folder*."""
    with tarfile.open(fileobj=io.BytesIO(rootfs_tar())) as tar:
        tar.extractall(folder)
    return folder


class Box:
    """A place for containers over one busybox layer."""

    def __init__(self, folder: Path, lower: Path) -> None:
        self.folder, self.lower = folder, lower
        self.parent = f"pymachine-test-{os.getpid()}-{next(_numbers)}"
        self.runtime = ShimRuntime.launch(exec_root=folder / "exec")
        self.handles: list[ContainerHandle] = []

    def process(self, *args: str, **changes: Any) -> Process:
        """A process with Docker's default capabilities."""
        return Process(args, **{"env": (PATH,), "capabilities": defaults.CAPABILITIES, **changes})

    def spec(self, *args: str, process: dict[str, Any] | None = None, **changes: Any) -> ContainerSpec:
        """A container as Docker would make one by default."""
        number = next(_numbers)
        folder = self.folder / f"c{number}"
        (folder / "upper").mkdir(parents=True)
        (folder / "work").mkdir()
        name = f"{number:064x}"
        values: dict[str, Any] = {
            "id": name,
            "bundle": str(folder / "bundle"),
            "rootfs": Rootfs("overlay", (str(self.lower),), str(folder / "upper"), str(folder / "work")),
            "process": self.process(*args, **(process or {})),
            "hostname": "box",
            "mounts": defaults.mounts(),
            "masked_paths": defaults.MASKED_PATHS,
            "readonly_paths": defaults.READONLY_PATHS,
            "cgroup": f"{self.parent}/{name}",
            "log": LogSpec("local", str(folder / "log")),
        }
        return ContainerSpec(**{**values, **changes})

    def with_mounts(self, *mounts: Mount) -> tuple[Mount, ...]:
        """The default mounts and these."""
        return (*defaults.mounts(), *mounts)

    async def start(self, spec: ContainerSpec, before_run: BeforeRun | None = None) -> ContainerHandle:
        """Start a container that ends with the test at the latest."""

        async def no_network(pid: int) -> None:
            assert os.path.exists(f"/proc/{pid}")

        handle = await self.runtime.start(spec, no_network, before_run)
        self.handles.append(handle)
        return handle

    async def start_watched(self, spec: ContainerSpec) -> tuple[ContainerHandle, ProcessStream]:
        """Start a container, and see all that it says from its first byte on."""
        streams: list[ProcessStream] = []

        async def attach(handle: ContainerHandle) -> None:
            streams.append(await handle.attach(stdin=False, stdout=True, stderr=True))

        handle = await self.start(spec, attach)
        return handle, streams[0]

    async def output(self, *args: str, **changes: Any) -> str:
        """What a container says, from its first to its last byte."""
        spec = self.spec(*args, **changes)
        handle, stream = await self.start_watched(spec)
        data = await read_all(stream)
        await handle.wait()
        return plain(data).decode(errors="replace")

    def logged(self, spec: ContainerSpec) -> bytes:
        """What the log of *spec* has."""
        reader = open_reader(spec.log)
        found = b""
        while entries := reader.read():
            found += b"".join(entry.data for entry in entries)
        found += b"".join(entry.data for entry in reader.finish())
        reader.close()
        return found

    async def end(self) -> None:
        """End what runs, and remove what is left."""
        for handle in self.handles:
            try:
                await handle.signal(signal.SIGKILL)
            except (OSError, RuntimeError):
                continue
            await handle.wait()
        await self.runtime.close()

    def remove_cgroups(self) -> None:
        """Remove the groups above the containers' own."""
        cgroups.of(self.parent).remove()

    def run(self, test: Callable[[], Awaitable[None]], timeout: float = 60) -> None:
        """Run *test* in an event loop, and end everything after it."""

        async def whole() -> None:
            try:
                await asyncio.wait_for(test(), timeout)
            finally:
                await self.end()

        asyncio.run(whole())


def cgroup_folders(path: str) -> list[str]:
    """Where there is a control group of this name."""
    return [f"{point}/{path}" for point in cgroups.hierarchies().legacy.values() if os.path.exists(f"{point}/{path}")]


def plain(data: bytes) -> bytes:
    """The payload of Docker's stdio frames."""
    found = []
    while data:
        size = int.from_bytes(data[4:8], "big")
        found.append(data[8 : 8 + size])
        data = data[8 + size :]
    return b"".join(found)


async def read_all(stream: ProcessStream) -> bytes:
    """All bytes to the end; closes the stream."""
    found = b""
    while data := await stream.read():
        found += data
    await stream.close()
    return found


async def eventually(condition: Callable[[], bool], timeout: float = 60) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)
