"""Docker's stdio frames."""

import random

import pytest

from pymachine.dockerapi.stdio import STDERR, STDOUT, Decoder, FramingError, encode, header


def test_a_frame_is_stream_zeros_length_payload() -> None:
    assert encode(STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"
    assert header(STDOUT, 0x01020304) == b"\x01\0\0\0\x01\x02\x03\x04"


def test_frames_cut_anywhere_decode_to_the_same_bytes() -> None:
    sent = [(STDOUT, b"hello"), (STDERR, b""), (STDERR, b"oops\n"), (STDOUT, bytes(70_000))]
    data = b"".join(encode(*frame) for frame in sent)
    chance = random.Random(1)
    for _ in range(50):
        decoder, position, got = Decoder(), 0, {STDOUT: b"", STDERR: b""}
        while position < len(data):
            size = chance.choice([1, 3, 8, 9, 100, 40_000])
            for stream, piece in decoder.feed(data[position : position + size]):
                got[stream] += piece
            position += size
        assert decoder.at_boundary
        assert got == {STDOUT: b"hello" + bytes(70_000), STDERR: b"oops\n"}


def test_half_a_frame_is_no_boundary() -> None:
    decoder = Decoder()
    decoder.feed(encode(STDOUT, b"abc")[:-1])
    assert not decoder.at_boundary
    decoder.feed(b"c\x01")
    assert not decoder.at_boundary


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 200", b"\x03\0\0\0\0\0\0\x01a", b"\x01\0\x01\0\0\0\0\x01a", b"\x01\0\0\0\xff\0\0\0"]
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(FramingError):
        Decoder().feed(data)
