"""Facts: one script asks the host everything in one round trip, and this parses what it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.osrelease import OSRelease, parse_os_release
from pymachine.provisioners.paths import MANAGED_FILES, ROOT
from pymachine.provisioners.templating import render

MINIMUM_PYTHON = (3, 11)
_SECTION = re.compile(r"^==([a-z0-9-]+)==$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is so on a host, before anything is changed."""

    os: OSRelease
    hostname: str = ""
    etc_hostname: str = ""
    hosts: str = ""
    """The content of /etc/hosts."""
    arch: str = ""
    kernel: str = ""
    pid1: str = ""
    python: str = ""
    """Path of a Python of version 3.11 or newer; empty when there is none."""
    python_versions: tuple[str, ...] = ()
    programs: dict[str, str] = field(default_factory=dict)
    """Name to path, of those asked for that exist."""
    has_seccomp: bool = False
    current_release: str = ""
    releases: tuple[str, ...] = ()
    """Digests present, newest first."""
    files: dict[str, str] = field(default_factory=dict)
    """Path to SHA-256 of the files that we manage."""
    modes: dict[str, int] = field(default_factory=dict)
    service_enabled: bool = False
    service_active: bool = False
    cloud_init: str = ""
    """``running``, ``done``, ``error``…; empty when there is none."""


def facts_script() -> str:
    """The script to run on the host, as root."""
    return render("provision/facts.sh.j2", root=ROOT, files=MANAGED_FILES)


def parse_facts(output: str) -> Facts:
    """The facts in the script's *output*; raises `ProvisionError` when it is cut short."""
    pieces = _SECTION.split(output)
    sections = {name: text.strip("\n") for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
    if "end" not in sections:
        raise ProvisionError("the host's answer to the first question was cut short")

    def lines(name: str) -> list[str]:
        return [line.strip() for line in sections.get(name, "").splitlines() if line.strip()]

    def first(name: str) -> str:
        return next(iter(lines(name)), "")

    versions = [line.split(None, 1) for line in lines("python") if " " in line]
    good = [path for version, path in versions if _version(version) >= MINIMUM_PYTHON]
    service = lines("service")
    return Facts(
        os=parse_os_release(sections.get("os-release", "")),
        hostname=first("hostname"),
        etc_hostname=first("etc-hostname"),
        hosts=sections.get("hosts", ""),
        arch=first("arch"),
        kernel=first("kernel"),
        pid1=first("pid1"),
        python=good[0] if good else "",
        python_versions=tuple(version for version, _ in versions),
        programs={path.rsplit("/", 1)[-1]: path for path in lines("programs")},
        has_seccomp=bool(lines("seccomp")),
        current_release=first("current").rsplit("/", 1)[-1],
        releases=tuple(lines("releases")),
        files={path: value for value, path in (line.split(None, 1) for line in lines("files"))},
        modes={path: int(mode, 8) for mode, path in (line.split(None, 1) for line in lines("modes"))},
        service_enabled="enabled" in service,
        service_active="active" in service,
        cloud_init=first("cloud-init").removeprefix("status:").strip(),
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
