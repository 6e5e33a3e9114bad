"""Signal names and numbers as clients give them."""

from __future__ import annotations

import signal

from pymachine.dockerapi.errors import InvalidArgument


def parse(text: str) -> int:
    """The number of ``SIGKILL``, ``kill`` or ``9``; raises `InvalidArgument`."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if 0 < number < 65:
            return number
    else:
        name = text.upper().removeprefix("SIG")
        if name == "IOT":
            return int(signal.SIGABRT)
        if name.startswith(("RTMIN", "RTMAX")):
            return _real_time(name, text)
        try:
            return int(signal.Signals[f"SIG{name}"])
        except KeyError:
            pass
    raise InvalidArgument(f"invalid signal: {text}")


def _real_time(name: str, text: str) -> int:
    base = int(signal.SIGRTMIN if name.startswith("RTMIN") else signal.SIGRTMAX)
    try:
        number = base + int(name[5:] or 0)
    except ValueError:
        number = 0
    if not signal.SIGRTMIN <= number <= signal.SIGRTMAX:
        raise InvalidArgument(f"invalid signal: {text}")
    return number
