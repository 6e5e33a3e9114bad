"""Work inside another process's network namespace, without taking the daemon there.

setns(2) moves one thread. So each visit has a thread of its own that ends afterwards: no thread of the
daemon (or of its pools) is ever left in a container's namespace, whatever fails. A socket opened during
the visit belongs to that namespace for good and may be used from anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(path: str) -> None:
    """Move the calling thread into the network namespace at *path* (``/proc/PID/ns/net``). Only for a thread
    that ends after it: see `in_thread`. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot enter the network namespace {path}: {os.strerror(code)}")
    finally:
        os.close(descriptor)


def in_thread(function: Callable[[], T]) -> T:
    """Run *function* in a new thread that ends with it; its result or exception is ours."""
    done: list[T] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            done.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body, name="netns", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def visit(path: str, function: Callable[[], T]) -> T:
    """Run *function* inside the network namespace at *path*, blocking."""

    def inside() -> T:
        enter(path)
        return function()

    return in_thread(inside)


async def run_in_thread(function: Callable[[], T]) -> T:
    """As `in_thread`, for the event loop. A cancelled caller does not stop the thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = function()
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=body, name="netns", daemon=True).start()
    return await future
