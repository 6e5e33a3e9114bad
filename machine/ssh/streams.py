"""The three streams of a remote command, all at once: each side may wait for the other to read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import paramiko

from pymachine.machine.ssh.upload import Source

READ = 1 << 18
"""Bytes taken at once from what has arrived."""


def converse(channel: paramiko.Channel, source: Source, end: float) -> tuple[bytes, bytes]:
    """Send *source* and gather standard output and error of the command running in *channel*, until it ends.

    Raises `TimeoutError` with the last line that the command wrote when the monotonic clock reaches *end*; the caller
    then closes the channel, which also ends the threads. One whose connection is lost ends without an exit status
    (`channel.exit_status` is -1).
    """
    errors = bytearray()
    reader = threading.Thread(target=_gather, args=(channel.recv_stderr, errors), daemon=True)
    reader.start()
    feeder = threading.Thread(target=_feed, args=(channel, source), daemon=True)
    if source:
        feeder.start()
    else:
        channel.shutdown_write()
    output = bytearray()
    try:
        while True:
            channel.settimeout(_left(end))
            chunk = channel.recv(READ)
            if not chunk:
                break
            output += chunk
        if not channel.status_event.wait(_left(end)):
            raise TimeoutError
        reader.join(_left(end))
    except TimeoutError:
        raise TimeoutError(_last_line(errors) or _last_line(output)) from None
    return bytes(output), bytes(errors)


def _last_line(data: bytearray) -> str:
    """What a command that did not end said last, for the error about it."""
    lines = data[-4096:].decode("utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return "".join(letter for letter in said[-1] if letter.isprintable()) if said else ""


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _gather(receive: Callable[[int], bytes], into: bytearray) -> None:
    with contextlib.suppress(OSError):  # a timeout: the main thread sees the same one
        while chunk := receive(READ):
            into += chunk


def _feed(channel: paramiko.Channel, source: Source) -> None:
    """Send all; a command that ends without reading it is no error of ours."""
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        for chunk in source.chunks():
            channel.sendall(chunk)  # type: ignore[arg-type]
        channel.shutdown_write()
