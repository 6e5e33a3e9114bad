"""Addresses for networks that a test makes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

from pymachine.engine.network import wiring

ALL = IPv4Network("10.64.0.0/12")


@contextmanager
def address_range() -> Iterator[IPv4Network]:
    """A /19 that is this test's alone for the block, also while it has no link there: what has no link looks free to
    all others, to those that look for a network at the same moment and to those that come while a bridge is made anew.

    An abstract socket (unix(7)) is the lock: it is the network namespace's, as addresses are, and ends with the
    process.
    """
    for part in ALL.subnets(new_prefix=19):
        with socket.socket(socket.AF_UNIX) as lock:
            try:
                lock.bind(f"\0pymachine-test-{part}")
            except OSError:
                continue
            if not any(part.overlaps(other) for other in wiring.look().networks if other.prefixlen):
                yield part
                return
    raise AssertionError(f"all of {ALL} is in use")
