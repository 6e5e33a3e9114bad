"""Collects what is wrong with a request, so that its sender learns everything at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymachine.dockerapi.errors import InvalidArgument


class Problems:
    """A list of problems that becomes one `InvalidArgument`."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, text: str) -> None:
        self._found.append(text)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Note an `InvalidArgument` raised in the block and go on."""
        try:
            yield
        except InvalidArgument as error:
            self._found.append(str(error))

    def check(self) -> None:
        """Raise if anything was noted."""
        if self._found:
            raise InvalidArgument("; ".join(dict.fromkeys(self._found)))
