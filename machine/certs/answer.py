"""An HTTP/1 answer that was read to its end, taken apart (RFC 9112).

By hand: http.client brings all of email with it, which takes 9 ms of the 100 that `env` takes.
"""

from __future__ import annotations


def split(answer: bytes) -> tuple[int, bytes]:
    """Status and body of a whole HTTP/1 answer (RFC 9112); raises `ValueError`."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    version, code, *_ = status.split(b" ", 2)
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise ValueError(version)
    headers = [(name.lower(), value.strip().lower()) for name, _, value in (line.partition(b":") for line in lines)]
    if (b"transfer-encoding", b"chunked") in headers:
        body = _join_chunks(body)
    lengths = [int(value) for name, value in headers if name == b"content-length"]
    if lengths and len(body) < lengths[0]:
        raise ValueError("cut short")
    return int(code), body


def _join_chunks(body: bytes) -> bytes:
    """A chunked body as one (RFC 9112, 7.1)."""
    whole = bytearray()
    while True:
        line, separator, body = body.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not separator or size < 0 or len(body) < size + 2:
            raise ValueError("cut short")
        if not size:
            return bytes(whole)
        whole += body[:size]
        body = body[size + 2 :]
