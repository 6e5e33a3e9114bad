"""HTTP answers, whole and cut short."""

import pytest

from pymachine.machine.certs.answer import split


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}")),
        (b"HTTP/1.0 404 Not Found\r\n\r\ngone", (404, b"gone")),
        (b"HTTP/1.1 400\r\n\r\n", (400, b"")),
        (b"HTTP/1.1 200 OK\r\ntransfer-ENCODING:chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
         (200, b"abc0123456789")),
    ],
)  # fmt: skip
def test_status_and_body(answer: bytes, parts: tuple[int, bytes]) -> None:
    assert split(answer) == parts


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer(answer: bytes) -> None:
    with pytest.raises(ValueError):
        split(answer)
