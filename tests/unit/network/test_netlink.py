"""Netlink messages, and dumps that need no rights."""

from __future__ import annotations

import errno
import struct

import pytest

from pymachine.engine.network import links
from pymachine.engine.network.netlink import Message, Netlink, attribute, attributes, text


def test_attributes_are_padded_and_read_back() -> None:
    data = text(3, "eth0") + attribute(0x8000 | 5, b"\1\2\3\4")
    assert len(data) % 4 == 0
    assert attributes(data) == {3: b"eth0\0", 5: b"\1\2\3\4"}


@pytest.mark.parametrize("data", [b"\0\0\0\0", b"\3\0", struct.pack("=HH", 2, 1) + b"xx"])
def test_malformed_attributes_end_the_reading(data: bytes) -> None:
    assert attributes(data) == {}


def test_loopback_is_listed() -> None:
    with Netlink() as netlink:
        assert any(link.name == "lo" and link.index == 1 for link in links.list_links(netlink))
        assert any(str(address) == "127.0.0.1/8" for _, address in links.list_addresses(netlink))


def test_a_refusal_says_what_was_tried() -> None:
    with Netlink() as netlink, pytest.raises(OSError, match="cannot do the impossible") as caught:
        netlink.send(Message(9999, 0, b"", "do the impossible"))
    assert caught.value.errno in (errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL)


def test_a_refusal_may_mean_already_so() -> None:
    with Netlink() as netlink:
        netlink.send(Message(9999, 0, b"", "x", (errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL)))


@pytest.mark.parametrize("mac", ["", "02:42", "zz:00:00:00:00:00", "02:42:00:00:00:00:00"])
def test_bad_macs_are_refused(mac: str) -> None:
    with pytest.raises(ValueError):
        links.mac_bytes(mac)
