"""A subnet's bridge on this computer, its way to the outside, and their removal.

Rules stand in chains of our own, named after the bridge, with one jump each; all carry a comment. Sources:
iptables(8), iptables-extensions(8), ip-link(8), the kernel's ip-sysctl document.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from pymachine.drivers.local import host
from pymachine.machine.errors import DriverError

STATE = Path("/run/pymachine")
"""For the whole computer, whose bridges and forwarding all local roots share: root's own folder, unlike /run/lock,
where anybody could hold the lock or put the mark. In /run, for a reboot takes all of it back."""
LOCK = STATE / "network.lock"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
WE_ENABLED_FORWARDING = STATE / "ip-forward"
"""Exists while forwarding is on because of us."""
COMMENT = "pymachine"
HOOKS = (("nat", "POSTROUTING"), ("filter", "FORWARD"))


def ensure(name: str, subnet: IPv4Network, gateway: IPv4Address, owner: str) -> None:
    """Bridge, address, rules and forwarding, as far as they are missing.

    *owner* is the local root; raises `DriverError` when the bridge is another's.
    """
    found = owner_of(name)
    if found not in ("", owner):
        raise DriverError(f"{subnet} is in use by the machines of {found} (bridge {name})")
    if not found or not _has_address(name, gateway, subnet.prefixlen):
        _make(name, subnet, gateway, owner)
    _allow_forwarding()
    _make_rules(name, subnet)


def remove(name: str, owner: str) -> None:
    """Undo `ensure`; fine when parts are missing, and nothing is touched when the bridge is another's."""
    if owner_of(name) not in ("", owner):
        return
    for table, hook in HOOKS:
        if _ours(table, hook, name):
            host.run(["iptables", "-w", "-t", table, "-D", hook, *_jump(name)], check=False)
        for action in ("-F", "-X"):
            host.run(["iptables", "-w", "-t", table, action, chain(name)], check=False)
    if exists(name):
        host.run(["ip", "link", "delete", name])
    _restore_forwarding()


def remove_port(name: str) -> None:
    """Delete a machine's network interface; it goes by itself soon after the machine, this waits for it."""
    if exists(name):
        host.run(["ip", "link", "delete", name], check=False)


def chain(bridge: str) -> str:
    """The name of a bridge's chains, in both tables."""
    return f"PYMACHINE-{bridge}"


def exists(interface: str) -> bool:
    """Whether this computer has a network interface of that name."""
    return Path("/sys/class/net", interface).exists()


def _has_address(name: str, gateway: IPv4Address, prefix: int) -> bool:
    """Whether a bridge still has what it was given: network managers take addresses that they do not know away."""
    shown = host.run(["ip", "-4", "-brief", "address", "show", "dev", name, "up"], check=False).stdout
    return f"{gateway}/{prefix}" in shown.split()


def owner_of(name: str) -> str:
    """The local root that made a bridge, noted as its alias; empty when there is none, or it is half made."""
    alias = Path("/sys/class/net", name, "ifalias")
    return alias.read_text().removesuffix("\n").removeprefix("pymachine ") if alias.exists() else ""


def _make(name: str, subnet: IPv4Network, gateway: IPv4Address, owner: str) -> None:
    """The alias comes last: it says that the bridge is whole."""
    # A hardware address of its own: by default a bridge takes its lowest port's and so changes it when
    # machines come and go, and their neighbour tables go stale.
    hardware = "02:70:" + ":".join(f"{byte:02x}" for byte in gateway.packed)
    commands = [
        f"address replace {gateway}/{subnet.prefixlen} broadcast {subnet.broadcast_address} dev {name}",
        f"link set {name} up",
    ]
    if not exists(name):
        commands.insert(0, f"link add {name} address {hardware} type bridge")
    host.run(["ip", "-batch", "-"], stdin="\n".join(commands) + "\n")
    # A machine that is just booting answers no ARP yet; by default the kernel asks again after 1 s only.
    Path(f"/proc/sys/net/ipv4/neigh/{name}/retrans_time_ms").write_text("50")
    host.run(["ip", "link", "set", name, "alias", f"pymachine {owner}"])


def _make_rules(name: str, subnet: IPv4Network) -> None:
    """One transaction a table: naming a chain makes it, or empties it if it is there."""
    tag = f"-m comment --comment {COMMENT}"
    rules = [
        "*nat",
        f":{chain(name)} - [0:0]",
        f"-A {chain(name)} -s {subnet} ! -d {subnet} {tag} -j MASQUERADE",
        "COMMIT",
        "*filter",
        f":{chain(name)} - [0:0]",
        f"-A {chain(name)} -i {name} {tag} -j ACCEPT",
        f"-A {chain(name)} -o {name} -m conntrack --ctstate RELATED,ESTABLISHED {tag} -j ACCEPT",
        "COMMIT",
    ]
    host.run(["iptables-restore", "-w", "--noflush"], stdin="\n".join(rules) + "\n")
    for table, hook in HOOKS:
        if not _ours(table, hook, name):
            # First, because firewalls such as Docker's end the FORWARD chain with a drop.
            host.run(["iptables", "-w", "-t", table, "-I", hook, "1", *_jump(name)])


def _jump(name: str) -> list[str]:
    return ["-m", "comment", "--comment", COMMENT, "-j", chain(name)]


def _ours(table: str, hook: str, name: str) -> bool:
    return not host.run(["iptables", "-w", "-t", table, "-C", hook, *_jump(name)], check=False).returncode


def _allow_forwarding() -> None:
    if FORWARDING.read_text().strip() == "0":
        WE_ENABLED_FORWARDING.parent.mkdir(parents=True, exist_ok=True)
        WE_ENABLED_FORWARDING.touch()
        FORWARDING.write_text("1")


def _restore_forwarding() -> None:
    """Switch forwarding off if we switched it on and nobody can have come to rely on it.

    Another bridge (ours, Docker's, libvirt's) means that somebody may.
    """
    if not WE_ENABLED_FORWARDING.exists():
        return
    if any(Path(entry.path, "bridge").is_dir() for entry in os.scandir("/sys/class/net")):
        return
    FORWARDING.write_text("0")
    WE_ENABLED_FORWARDING.unlink(missing_ok=True)
