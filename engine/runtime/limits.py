"""Resource limits and the OOM score of the calling process: getrlimit(2), proc_pid_oom_score_adj(5)."""

from __future__ import annotations

from pymachine.engine.runtime import cgroups
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pymachine.engine.runtime.spec import Rlimit

NAMES = (
    "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending",
    "msgqueue", "nice", "rtprio", "rttime",
)  # fmt: skip
"""Each at the place of its RLIMIT_ number."""


def apply_rlimits(rlimits: tuple[Rlimit, ...]) -> list[str]:
    """Set *rlimits*; where raising a hard limit is not allowed take what there is, with a warning."""
    warnings = []
    for limit in rlimits:
        if limit.name not in NAMES:
            raise ValueError(f"invalid ulimit type: {limit.name}")
        resource = NAMES.index(limit.name)
        soft, hard = limit.soft & 2**64 - 1, limit.hard & 2**64 - 1  # -1 is unlimited
        try:
            sys_.prlimit(resource, soft, hard)
        except PermissionError:
            _, most = sys_.getrlimit(resource)
            sys_.prlimit(resource, min(soft, most), min(hard, most))
            warnings.append(f"ulimit {limit.name}={limit.soft}:{limit.hard}: not permitted, the limit is {most}")
    return warnings


def set_oom_score_adj(value: int) -> list[str]:
    """Set how eagerly the kernel kills this process for memory; lowering it may not be permitted: a warning."""
    try:
        cgroups.write("/proc/self/oom_score_adj", str(value))
    except PermissionError:
        return [f"oom_score_adj {value}: not permitted"]
    return []
