"""Facts: one script asks the host everything in one round trip, and this parses what it prints."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.osrelease import OSRelease, parse_os_release
from pymachine.provisioners.paths import ENGINE_CONFIG, MANAGED_FILES, OWNER, ROOT, UNREAD
from pymachine.provisioners.templating import render

_ALIVE = {"active", "activating", "reloading", "deactivating"}
MINIMUM_PYTHON = (3, 11)
PROGRAMS = (
    *("iptables", "iptables-restore", "sudo", "cloud-init", "dockerd", "hostname", "restorecon", "firewall-cmd"),
    *("systemctl", "rc-service", "openrc-run", "apt-get", "dnf", "zypper", "apk", "pacman"),
    *("rpm-ostree", "transactional-update"),
)
"""What the steps want to know of."""
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
    sealed: bool = False
    """/usr cannot be written to: an image-based system (ostree, transactional-update), or one mounted read-only."""
    lacks_addrtype: bool = False
    """The kernel's modules are there, but without netfilter's ``addrtype`` match, which the engine's rules use."""
    current_release: str = ""
    releases: tuple[str, ...] = ()
    """Digests present, newest first."""
    files: dict[str, str] = field(default_factory=dict)
    """Path to SHA-256 of the files that we manage."""
    modes: dict[str, int] = field(default_factory=dict)
    service_enabled: bool = False
    service_active: bool = False
    service_alive: bool = False
    """Active, or on the way there or from there."""
    unread: tuple[str, ...] = ()
    """Steps whose changes the engine has not read, since provisioning was cut off before that."""
    cloud_init: str = ""
    """``running``, ``done``, ``error``…; empty when there is none."""
    selinux: str = ""
    """``Enforcing``, ``Permissive``, ``Disabled``; empty without SELinux."""
    firewall: bool = False
    """firewalld is running."""
    firewall_ports: tuple[str, ...] = ()
    """``2376/tcp``… that are open in its default zone, and ranges of them."""
    firewall_trusted: tuple[str, ...] = ()
    """Interfaces in its zone ``trusted``."""
    login: str = ""
    """Who logged in and became root; empty when root did."""
    login_in_group: bool = False
    """He is in the group ``docker``."""
    engine_config: dict[str, Any] = field(default_factory=dict)
    """What our engine's configuration says now; empty when there is none."""
    owner: dict[str, Any] = field(default_factory=dict)
    """Whose machine the host is (`ownership`)."""
    docker: bool = False
    """A Docker of the distribution or its maker runs, or will at the next boot."""
    docker_socket: bool = False
    """Somebody serves ``/run/docker.sock``."""
    listening: frozenset[int] = frozenset()
    """TCP ports on which somebody listens."""


def facts_script() -> str:
    """The script to run on the host, as root."""
    return render(
        "provision/facts.sh.j2",
        root=ROOT,
        files=MANAGED_FILES,
        programs=PROGRAMS,
        minimum=MINIMUM_PYTHON,
        config=ENGINE_CONFIG,
        owner=OWNER,
        unread=UNREAD,
    )


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

    pythons = [line.split(None, 1) for line in lines("python") if " " in line]
    good = [path for word, path in pythons if word == "whole"]
    service, docker, firewall = lines("service"), lines("docker"), lines("firewall")
    ports, trusted = (sections.get("firewall", "").splitlines()[1:] + ["", ""])[:2]
    return Facts(
        os=parse_os_release(sections.get("os-release", "")),
        hostname=first("hostname"),
        etc_hostname=first("etc-hostname"),
        hosts=sections.get("hosts", ""),
        arch=first("arch"),
        kernel=first("kernel"),
        pid1=first("pid1"),
        python=good[0] if good else "",
        python_versions=tuple(word for word, _ in pythons if word != "whole"),
        programs={path.rsplit("/", 1)[-1]: path for path in lines("programs")},
        has_seccomp=bool(lines("seccomp")),
        sealed=bool(lines("sealed")),
        lacks_addrtype=bool(lines("lacks-addrtype")),
        current_release=first("current").rsplit("/", 1)[-1],
        releases=tuple(lines("releases")),
        files={path: value for value, path in (line.split(None, 1) for line in lines("files"))},
        modes={path: int(mode, 8) for mode, path in (line.split(None, 1) for line in lines("modes"))},
        service_enabled="enabled" in service,
        service_active="active" in service,
        service_alive=bool(_ALIVE & set(service)),
        unread=tuple(lines("unread")),
        cloud_init=first("cloud-init").removeprefix("status:").strip(),
        selinux=first("selinux"),
        firewall="running" in firewall,
        firewall_ports=tuple(ports.split()),
        firewall_trusted=tuple(trusted.split()),
        login=first("login"),
        login_in_group="docker" in first("groups").split(),
        engine_config=_json_object(sections.get("engine-config", "")),
        owner=_json_object(sections.get("owner", "")),
        docker=bool({"enabled", "active", "activating"} & set(docker)),
        docker_socket=bool(lines("docker-socket")),
        listening=frozenset(int(line.rpartition(":")[2], 16) for line in lines("listening")),
    )


def _json_object(text: str) -> dict[str, Any]:
    """A file that is not there, or that somebody damaged, tells nothing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
