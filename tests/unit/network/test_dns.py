"""DNS messages and names."""

from __future__ import annotations

import struct

import pytest

from pymachine.engine.network import dnswire
from pymachine.engine.network.base import Endpoint
from pymachine.engine.network.names import NameTable


def query(name: str, kind: int = dnswire.TYPE_A) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def test_a_question_is_read_whatever_its_case() -> None:
    asked = dnswire.question(query("Web.One"))
    assert (asked.id, asked.name, asked.kind) == (7, "web.one", dnswire.TYPE_A)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 11,
        query("a")[:-3],
        struct.pack("!6H", 7, 0x8100, 1, 0, 0, 0) + b"\0\0\1\0\1",
        struct.pack("!6H", 7, 0, 2, 0, 0, 0) + b"\0\0\1\0\1",
        struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
        struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\x3fab",
        struct.pack("!6H", 7, 0, 1, 0, 0, 0) + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1",
    ],
)
def test_hostile_queries_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        dnswire.question(data)


def test_every_cut_of_a_query_is_refused() -> None:
    whole = query("some.name")
    for length in range(len(whole)):
        with pytest.raises(ValueError):
            dnswire.question(whole[:length])


def test_an_answer_repeats_the_question_and_names_addresses() -> None:
    asked = dnswire.question(query("web"))
    message = dnswire.response(asked, answers=[dnswire.address("10.0.0.2")])
    identity, flags, questions, answers, _, _ = struct.unpack_from("!6H", message)
    assert (identity, flags & 0x8000, flags & 15, questions, answers) == (7, 0x8000, 0, 1, 1)
    assert message.endswith(bytes([10, 0, 0, 2]))


@pytest.mark.parametrize(
    ("name", "address"),
    [("2.0.0.10.in-addr.arpa", "10.0.0.2"), ("web", None), ("0.10.in-addr.arpa", None), ("x.in-addr.arpa", None)],
)
def test_reversed_addresses(name: str, address: str | None) -> None:
    assert dnswire.reversed_address(name) == address


def endpoint(network: str, address: str, *names: str) -> Endpoint:
    return Endpoint(network, f"id-{network}", f"ep-{address}", ip_address=address, dns_names=names)


def test_names_are_known_in_their_own_network_only() -> None:
    table = NameTable()
    web, stranger = endpoint("one", "10.0.0.2", "web"), endpoint("two", "10.0.1.2", "other")
    table.add(web)
    table.add(stranger)
    assert table.lookup([web], "web") == table.lookup([web], "web.one") == ["10.0.0.2"]
    assert table.lookup([web], "other") == []
    assert table.lookup([web, stranger], "other") == ["10.0.1.2"]


def test_a_shared_name_has_all_addresses_until_they_leave() -> None:
    table = NameTable()
    first, second = endpoint("one", "10.0.0.2", "web"), endpoint("one", "10.0.0.3", "web")
    table.add(first)
    table.add(second)
    assert sorted(table.lookup([first], "web")) == ["10.0.0.2", "10.0.0.3"]
    table.remove(first)
    table.remove(first)
    assert table.lookup([second], "web") == ["10.0.0.3"]
    assert table.reverse([second], "10.0.0.2") is None
    assert table.reverse([second], "10.0.0.3") == "web.one"
