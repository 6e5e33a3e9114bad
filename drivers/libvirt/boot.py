"""Start a machine and wait for its address, then for its SSH server; stop it and wait until it is off."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.base import State
from pymachine.drivers.libvirt import addresses, domains
from pymachine.drivers.libvirt.connection import libvirt
from pymachine.machine.errors import DeadlineExceeded, DriverError

PAUSE = 0.5
OFF_PAUSE = 0.2
ASK_AGAIN_SECONDS = 5.0
"""A guest that is just booting does not hear the power button."""
CONNECT_SECONDS = 3.0
BANNER_SECONDS = 10.0
"""QEMU's own network takes a connection for the guest at once, and the guest may be long in answering."""


def power_on(domain: Any, report: Callable[[str], None]) -> None:
    """Start a machine, or let a paused one go on; fine when it runs."""
    if domains.state(domain) is State.PAUSED:
        domain.resume()
    elif not domain.isActive():
        report("Booting")
        try:
            domain.create()
        except libvirt().libvirtError:
            if not domain.isActive():  # else another start was quicker
                raise


def power_off(domain: Any, timeout: float, console: Callable[[], str], remedy: str) -> None:
    """Press the power button until the machine is off. Raises `DeadlineExceeded` with the *remedy*."""
    deadline, asked = time.monotonic() + timeout, 0.0
    while domain.isActive():
        now = time.monotonic()
        if now > deadline:
            stage = "waiting for the machine to power off"
            raise DeadlineExceeded(stage, timeout, last_error=console(), look_at=remedy)
        if domains.state(domain) is State.PAUSED:
            domain.resume()  # a paused guest does not hear the button
        if now - asked > ASK_AGAIN_SECONDS:
            domains.ask_to_stop(domain)
            asked = now
        time.sleep(OFF_PAUSE)


def wait_for_address(domain: Any, macs: Sequence[str], deadline: float, console: Callable[[], str]) -> addresses.Found:
    """The machine's address, and who told it."""
    started = time.monotonic()
    while not (found := addresses.find(domain, macs)).address:
        check_alive(domain, console)
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                "waiting for the machine's address",
                time.monotonic() - started,
                last_error=found.told_by,
                look_at=console(),
            )
        time.sleep(PAUSE)
    return found


def wait_for_ssh(domain: Any, address: str, port: int, deadline: float, console: Callable[[], str]) -> None:
    """Return when the server has sent its version line (RFC 4253, section 4.2: it speaks first)."""
    started, last_error = time.monotonic(), "no answer"
    while True:
        try:
            if speaks_ssh(address, port):
                return
            last_error = f"what answers on {address} port {port} is no SSH server"
        except OSError as error:
            last_error = str(error)
        check_alive(domain, console)
        if time.monotonic() > deadline:
            stage = f"waiting for SSH on {address} port {port}"
            raise DeadlineExceeded(stage, time.monotonic() - started, last_error=last_error, look_at=console())
        time.sleep(PAUSE)


def speaks_ssh(address: str, port: int) -> bool:
    """Whether an SSH server is there; raises `OSError` when nothing is."""
    with socket.create_connection((address, port), timeout=CONNECT_SECONDS) as connection:
        connection.settimeout(BANNER_SECONDS)
        return connection.recv(64).startswith(b"SSH-")


def check_alive(domain: Any, console: Callable[[], str]) -> None:
    """Raise `DriverError` when the machine cannot come up any more."""
    state = domains.state(domain)
    if state in (State.RUNNING, State.STARTING):
        return
    end, by_kvm = console(), ElementTree.fromstring(domain.XMLDesc()).get("type") == "kvm"
    raise DriverError(
        f"the machine is {state.value} while it should be starting; {end or 'its console says nothing'}",
        hint="if the libvirt host is itself a virtual machine: try --libvirt-domain-type qemu" if by_kvm else "",
    )


def last_lines(console: bytes) -> str:
    """What a console log ends with, on one line of characters that can be shown; empty when there is nothing."""
    lines = [line.strip() for line in console.decode("utf-8", "replace").splitlines() if line.strip()]
    shown = " | ".join("".join(char for char in line if char.isprintable()) for line in lines[-4:])
    return f"its console ends: {shown}" if shown else ""
