"""Zstandard by the system's libzstd, if there is one (RFC 8878; the library's streaming interface, zstd.h)."""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache

from pymachine.engine.images.errors import BadArchive

_OUTPUT = 1 << 20
_WINDOW_LOG_MAX = 100  # ZSTD_d_windowLogMax
_WINDOW_LOG = 27
"""At most 128 MiB of window, zstd's own default: a hostile frame may ask for 2 GiB."""


class _Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


def is_zstd(head: bytes) -> bool:
    """Whether *head* starts a zstd frame, or a skippable one."""
    return head[:4] == b"\x28\xb5\x2f\xfd" or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F)


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        return None
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_DCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return library


def available() -> bool:
    """Whether zstd can be read here."""
    return _library() is not None


class ZstdDecompressor:
    """One frame at a time, with the interface of `bz2.BZ2Decompressor`. Raises `BadArchive`."""

    def __init__(self) -> None:
        library = _library()
        if library is None:
            raise BadArchive("the archive is compressed with zstd, and libzstd is not installed on this host")
        self._library = library
        self._stream = library.ZSTD_createDStream()
        library.ZSTD_DCtx_setParameter(self._stream, _WINDOW_LOG_MAX, _WINDOW_LOG)
        self._pending = b""
        self._full = False
        self._output = ctypes.create_string_buffer(_OUTPUT)
        self.eof = False

    def __del__(self) -> None:
        if getattr(self, "_stream", None):
            self._library.ZSTD_freeDStream(self._stream)

    @property
    def needs_input(self) -> bool:
        return not self._pending and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._pending if self.eof else b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Some more output; what was not consumed of *data* is kept for the next call."""
        source = self._pending + data if self._pending else data
        limit = _OUTPUT if max_length < 0 else min(max_length, _OUTPUT)
        reading = _Buffer(ctypes.cast(ctypes.c_char_p(source), ctypes.c_void_p), len(source), 0)
        writing = _Buffer(ctypes.cast(self._output, ctypes.c_void_p), limit, 0)
        left = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(writing), ctypes.byref(reading))
        if self._library.ZSTD_isError(left):
            raise BadArchive(f"the zstd data is damaged: {self._library.ZSTD_getErrorName(left).decode()}")
        self.eof = left == 0
        self._pending = source[reading.position :]
        self._full = writing.position == limit and not self.eof
        return ctypes.string_at(self._output, writing.position)
