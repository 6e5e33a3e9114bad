"""Whether the daemon is told to end because the whole computer shuts down.

Containers outlive the daemon, so at a shutdown somebody has to end them in good order: otherwise a program
that ignores SIGTERM as process 1 holds systemd up until its last time-out (systemd-shutdown(8)), and the
others get no chance to finish.
"""

from __future__ import annotations

import asyncio
import os

SYSTEMD = "/run/systemd/system"
"""Exists while systemd is process 1 (sd_booted(3))."""
_PATIENCE = 5.0
"""Seconds that systemd may take to answer."""


async def computer_stops() -> bool:
    """True while systemd says ``stopping`` (systemctl(1), ``is-system-running``)."""
    if not os.path.isdir(SYSTEMD):
        return False
    try:
        asked = await asyncio.create_subprocess_exec(
            "systemctl", "is-system-running", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            answer, _ = await asked.communicate()
    except TimeoutError:
        asked.kill()
        await asked.wait()
        return False
    return answer.strip() == b"stopping"
