"""Capabilities by name: capabilities(7), linux/capability.h."""

from __future__ import annotations

from pymachine.engine.runtime import syscalls as sys_

NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
"""All names, each at the place of its number."""


def mask_of(names: tuple[str, ...]) -> int:
    """One bit for each of *names*; `ValueError` names an unknown one."""
    mask = 0
    for name in names:
        try:
            mask |= 1 << NAMES.index(name)
        except ValueError:
            raise ValueError(f"unknown capability {name}") from None
    return mask


def drop_bounding(keep: int) -> None:
    """Take all but *keep* out of the bounding set: no program run from now on can have them."""
    for number in range(64):
        if not keep >> number & 1:
            try:
                sys_.prctl(sys_.PR_CAPBSET_DROP, number)
            except OSError:
                if number >= len(NAMES):
                    return  # past the kernel's last one
                raise


def restrict(keep: int) -> None:
    """Have exactly *keep*, as far as the caller has them: effective and permitted, none inheritable, none ambient.

    Empty inheritable sets since Docker 20.10.14 (CVE-2022-24769).
    """
    _, permitted = sys_.capget()
    sys_.prctl(sys_.PR_CAP_AMBIENT, sys_.PR_CAP_AMBIENT_CLEAR_ALL)
    sys_.capset(keep & permitted, keep & permitted, 0)
