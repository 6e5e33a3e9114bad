"""What goes into an image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from pymachine.machine.errors import InvalidOption

DEFAULT_IMAGE = "debian-12"

PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iptables",
    "libseccomp2",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd-sysv",
)
"""A host that can be managed over SSH, and what the engine needs."""

MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "modprobe@.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-journald-audit.socket",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
)
"""Units that look after hardware, disks or a console, none of which such a host has, or that slow its boot."""

FILES = {
    "etc/systemd/system.conf.d/10-pymachine.conf": (
        "# Many programs that run as process 1 of a container ignore SIGTERM; do not wait for them for 90 s.\n"
        "[Manager]\nDefaultTimeoutStopSec=15s\n"
    ),
    "etc/systemd/journald.conf.d/10-pymachine.conf": (
        "# Many hosts share one disk, and the audit of the kernel is this computer's own.\n"
        "[Journal]\nSystemMaxUse=64M\nAudit=no\n"
    ),
    "etc/ssh/sshd_config.d/10-pymachine.conf": (
        "# One key type: it is made for each machine before its first boot.\n"
        "HostKey /etc/ssh/ssh_host_ed25519_key\n"
        "PasswordAuthentication no\n"
        "UseDNS no\n"
        "MaxStartups 100:30:300\n"
        "MaxSessions 100\n"
    ),
}
"""systemd-system.conf(5), journald.conf(5), sshd_config(5)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what an image is, the packages' versions aside."""

    suite: str
    packages: tuple[str, ...] = PACKAGES
    masked: tuple[str, ...] = MASKED_UNITS
    files: tuple[tuple[str, str], ...] = tuple(FILES.items())
    layout: int = 1
    """Raised when the builder itself changes what it leaves."""

    def digest(self) -> str:
        """A recipe that is the same has the same digest."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


HOST_PACKAGES = tuple(sorted((*PACKAGES, "rsync")))
"""With what `scp --delta` needs on the other side."""

RECIPES = {
    "debian-12": Recipe("bookworm", packages=HOST_PACKAGES),
    "debian-13": Recipe("trixie", packages=HOST_PACKAGES),
    "debian-11": Recipe("bullseye"),
}
"""The engine needs a newer Python than Debian 11 has: that image is for trying how such a host is refused."""


def how_to_get(name: str, *, anew: bool = False) -> str:
    """The command that builds an image of that name, also over one that is there; or which there are."""
    if name not in RECIPES:
        return f"see: pymachine image ls; images that can be built: {', '.join(sorted(RECIPES))}"
    return f"run: pymachine image build{' --force' * anew}{f' {name}' * (name != DEFAULT_IMAGE)}"


def find(name: str) -> Recipe:
    """The recipe of that name; raises `InvalidOption` naming all."""
    try:
        return RECIPES[name]
    except KeyError:
        raise InvalidOption(f'there is no recipe for an image "{name}"; known: {", ".join(sorted(RECIPES))}') from None
