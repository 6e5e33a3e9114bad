"""The terminal as something to be shared: whoever asks a question holds it, and progress displays keep still."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

TERMINAL = threading.Lock()
"""Held while a question waits for its answer."""


def ask_secret(question: str) -> str | None:
    """Ask on the terminal, without showing what is typed; ``None`` when there is no terminal or no answer."""
    if not has_terminal():
        return None
    from getpass import getpass

    with TERMINAL:
        try:
            sys.stdout.flush()
            return getpass(f"\r\x1b[K{question}" if sys.stdout.isatty() else question)
        except EOFError:
            return None


@contextlib.contextmanager
def borrowed() -> Iterator[None]:
    """Hold the terminal while another program asks on it."""
    with TERMINAL:
        sys.stdout.flush()
        if sys.stdout.isatty():
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
        yield


def has_terminal() -> bool:
    """Whether somebody can be asked even when the standard streams lead elsewhere (tty(4))."""
    if sys.platform == "win32":
        return sys.stdin is not None and sys.stdin.isatty()
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
