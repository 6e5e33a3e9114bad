"""Attach to a domain's serial console, by libvirt's own stream, so that it works on other hosts too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pymachine.drivers.libvirt.connection import libvirt, told

BLOCK = 4096


def attach(connection: Any, domain: Any, read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
    """Pass bytes both ways until *read* returns nothing, the machine ends, or another takes the console over.

    *read* blocks; it is called in a thread of its own, which may outlive this call by one read.
    """
    module = libvirt()
    with told("opening the console"):
        stream = connection.newStream(0)
        domain.openConsole(None, stream, module.VIR_DOMAIN_CONSOLE_SAFE | module.VIR_DOMAIN_CONSOLE_FORCE)
    ended = threading.Event()

    def send() -> None:
        try:
            while not ended.is_set() and (data := read()):
                while data:
                    data = data[stream.send(data) :]
        except module.libvirtError:
            pass
        finally:
            if not ended.is_set():
                ended.set()
                _close(stream)

    threading.Thread(target=send, daemon=True, name="console input").start()
    try:
        while data := stream.recv(BLOCK):
            write(data)
    except module.libvirtError:
        pass  # the other thread closed it, or the machine has ended
    finally:
        if not ended.is_set():
            ended.set()
            _close(stream)


def _close(stream: Any) -> None:
    try:
        stream.abort()
    except libvirt().libvirtError:
        pass
