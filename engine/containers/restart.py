"""Restart policies: whether an ended container comes back, and how long that takes.

Back-off as documented for Docker: 100 ms, doubling up to one minute; a run of ten seconds starts it afresh.
"""

from __future__ import annotations

from pymachine.engine.containers.model import Container

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 60.0
GOOD_RUN = 10.0
"""Seconds after which a run counts as a success."""


def wanted(container: Container, exit_code: int) -> bool:
    """Whether the policy restarts a container that ended just now."""
    name, tries = container.restart_policy
    if container.stopped_by_user:
        return False
    if name == "on-failure":
        return exit_code != 0 and (tries == 0 or container.restart_count < tries)
    return name in ("always", "unless-stopped")


def wanted_at_boot(container: Container) -> bool:
    """Whether the policy starts a container that a starting daemon finds ended."""
    name, _ = container.restart_policy
    if container.state.started_at == 0:
        return False
    return name == "always" or (name == "unless-stopped" and not container.stopped_by_user)


def delay(failures: int) -> float:
    """Seconds to wait before the restart that follows *failures* quick ends in a row."""
    return min(_FIRST_DELAY * 2.0 ** min(failures, 16), _LONGEST_DELAY)
