"""Telling systemd how we are, by its own small protocol (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time


def notify(*lines: str) -> None:
    """Send states such as ``READY=1``; nothing happens when systemd did not ask (no ``NOTIFY_SOCKET``)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.connect(address)
            out.sendall("\n".join(lines).encode())
    except OSError:
        pass  # nobody listens: the engine works as well without


def ready() -> None:
    """Started, or done with reloading."""
    notify("READY=1", "STATUS=Serving the Engine API")


def reloading() -> None:
    """A reload begins; `ready` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Reloading")


def stopping() -> None:
    """The end begins."""
    notify("STOPPING=1", "STATUS=Stopping; containers go on")
