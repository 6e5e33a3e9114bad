"""A store of many machines of driver ``none``: their engines are gone, answer over TLS, or are black holes."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from pymachine.machine.certs.authority import copy_client
from pymachine.machine.certs.server import issue_server
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from pymachine.store.schema import dump_record
from support.tls_engine import tls_engine

REFUSED = "tcp://127.0.0.1:1"
"""Nobody listens on port 1."""


def make_fleet(root: Path, urls: Sequence[str]) -> FileStore:
    """A store in *root* with machines m0, m1, … at *urls*, each with the store's client certificate.

    Only the first is made as the store makes them: each waits for the disk, and a thousand take their time.
    """
    store = FileStore(root)
    issue_server(store, "m0", ["127.0.0.1"], [])
    first = store.machine_dir("m0")
    for number, url in enumerate(urls):
        record = Record(f"m{number}", str(uuid.uuid4()), "none", "2026-01-02T03:04:05Z", phase="ready")
        record.options["url"] = url
        if number == 0:
            store.create(record)
            copy_client(store, first)
            continue
        directory = store.machine_dir(record.name)
        (directory / "record.json").write_bytes(dump_record(record))
        for name in ("ca.pem", "cert.pem", "key.pem"):
            os.link(first / name, directory / name)
    return store


def set_urls(store: FileStore, urls: Sequence[str]) -> None:
    """Give the first machines other URLs."""
    for number, url in enumerate(urls):
        record = store.load(f"m{number}")
        record.options["url"] = url
        store.save(record)


@contextlib.contextmanager
def engines(store: FileStore, number: int) -> Iterator[list[str]]:
    """URLs of engines that answer the machines of *store*."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(tls_engine(store.machine_dir("m0"))) for _ in range(number)]


@contextlib.contextmanager
def black_holes(number: int) -> Iterator[list[str]]:
    """URLs at which half of the connections are never made (the listener's queue is full) and half never answered."""
    with contextlib.ExitStack() as stack:
        urls = []
        for index in range(number):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0 if index % 2 else 128))
            urls.append(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
            if index % 2:
                _fill(listener, stack)
        yield urls


def _fill(listener: socket.socket, stack: contextlib.ExitStack) -> None:
    """Linux queues one connection more than the backlog; what comes after is dropped, not refused (listen(2))."""
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
