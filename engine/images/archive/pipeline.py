"""Decompressing, hashing and unpacking at the same time, in threads.

zlib and hashlib release the interpreter's lock for large pieces, so that one thread decompresses and hashes
while another makes files.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO

from pymachine.engine.images.archive.decompress import decompressed

_AHEAD = 8
"""Pieces of about 1 MiB that may wait for the slower side."""


class Feed:
    """The uncompressed bytes of *file*, produced by a thread of its own; use as a context manager.

    Iterate in one thread. What goes wrong in the producer is raised there. After the end ``digest`` is that of
    all uncompressed bytes.
    """

    def __init__(self, file: BinaryIO, size: int | None = None) -> None:
        self._file = file
        self._size = size
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._hash = hashlib.sha256()
        self._thread = threading.Thread(target=self._produce, name="decompress", daemon=True)
        self.digest = ""

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)  # a producer that waits for room must see that it is over
            except queue.Empty:
                pass
        self._thread.join()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self._queue.get()
            if piece is None:
                self.digest = "sha256:" + self._hash.hexdigest()
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _produce(self) -> None:
        try:
            for piece in decompressed(self._file, self._size):
                if self._stopped.is_set():
                    return
                self._hash.update(piece)
                self._queue.put(piece)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
