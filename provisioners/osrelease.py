"""``/etc/os-release`` and which family of distributions a host belongs to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OSRelease:
    """The fields used of os-release(5)."""

    id: str = "linux"
    version_id: str = ""
    id_like: tuple[str, ...] = ()
    pretty_name: str = "Linux"
    codename: str = ""
    """Ubuntu's or Debian's for what is built on one of them and says so (Mint, LMDE), else the distribution's own."""


def parse_os_release(text: str) -> OSRelease:
    """Parses as the shell would, which is what os-release(5) promises; lines that are no assignment are passed over."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if not separator or name.startswith("#"):
            continue
        try:
            words = shlex.split(value, comments=False)
        except ValueError:
            continue
        values[name] = words[0] if words else ""
    return OSRelease(
        id=values.get("ID", "linux").lower() or "linux",
        version_id=values.get("VERSION_ID", ""),
        id_like=tuple(values.get("ID_LIKE", "").lower().split()),
        pretty_name=values.get("PRETTY_NAME", "") or values.get("NAME", "") or "Linux",
        codename=next(filter(None, (values.get(f"{of}_CODENAME", "") for of in ("UBUNTU", "DEBIAN", "VERSION"))), ""),
    )
