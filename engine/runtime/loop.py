"""The shim's event loop: epoll and nothing else."""

from __future__ import annotations

import select
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]

READ, WRITE, HANG_UP = EPOLLIN, EPOLLOUT, EPOLLHUP | EPOLLERR


class Loop:
    """Calls a handler with the events of each descriptor that is ready."""

    __slots__ = ("_epoll", "_handlers")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Watch *fd* for *events*, from now on just these; hang-ups are always told. 0 stops watching."""
        if not events:
            self.forget(fd)
        elif fd in self._handlers:
            self._handlers[fd] = handler
            self._epoll.modify(fd, events)
        else:
            self._handlers[fd] = handler
            self._epoll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching *fd*; must be called before it is closed. Fine for one that isn't watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def step(self, timeout: float | None = None) -> None:
        """Wait for something, for *timeout* seconds at most, and handle it."""
        for fd, events in self._epoll.poll(timeout):
            handler = self._handlers.get(fd)
            if handler is not None:  # an earlier handler of this round may have closed it
                handler(events)
