"""The engine of a machine whose SSH connection is open, asked that way: a glance, as `ls` asks it of every machine."""

from __future__ import annotations

import os
from pathlib import Path

SOCKET = "docker.sock"
"""In the machine's directory, while the connection is open."""


def version_if_open(directory: Path) -> str:
    """The version of the engine; empty when no connection is open, or nobody answers through it."""
    if not os.path.exists(f"{directory}/{SOCKET}"):
        return ""
    from pymachine.machine.context.tunnel import Tunnel

    return Tunnel(directory).version()
