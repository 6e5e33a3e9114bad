"""Room for all machines' inotify instances.

They are counted by user, and all machines' systemd run as this computer's root: the kernel's default of 128 is enough
for about a dozen of them. The thirteenth would stop in the middle of its boot. Source: inotify(7).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
A_MACHINE, OTHERS = 16, 64
"""Instances for one machine (its systemd and daemons have about eight), and for all else of root's."""


def make_room(machines: int, *, limit: Path = LIMIT) -> None:
    """Raise the limit, until the next boot of this computer, if it is too low for so many machines.

    Where that is not allowed nothing happens: the machines may do with what there is.
    """
    wanted = OTHERS + machines * A_MACHINE
    with contextlib.suppress(OSError, ValueError):
        if int(limit.read_text()) < wanted:
            limit.write_text(f"{1 << (wanted - 1).bit_length()}\n")
