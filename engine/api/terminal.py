"""Terminal sizes in requests."""

from __future__ import annotations

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.dockerapi.messages import Request


def terminal_size(request: Request) -> tuple[int, int]:
    """The rows and columns of a resize request; raises `InvalidArgument`."""
    rows, columns = request.query.integer("h"), request.query.integer("w")
    if rows is None or columns is None or not (0 <= rows < 65536 and 0 <= columns < 65536):
        raise InvalidArgument("h and w must be numbers from 0 to 65535")
    return rows, columns
