"""The firewall rules as text: pure functions from networks and published ports to iptables-restore input.

Only our own chains are written, each named after the default bridge, so that several engines on one host
(each with its own bridge) keep apart:

===============  ========  =================================================================
chain            table     called from
===============  ========  =================================================================
``PYE-NAT-…``    nat       PREROUTING and OUTPUT, for packets to an address of the host
``PYE-SNAT-…``   nat       POSTROUTING
``PYE-FWD-…``    filter    FORWARD, first; calls ``DOCKER-USER`` before anything else
``PYE-PORT-…``   filter    ``PYE-FWD-…``
``PYE-RAW-…``    raw       PREROUTING
===============  ========  =================================================================

Connections from the host to its loopback addresses are translated as well, which needs ``route_localnet``
on the bridges; the raw chain closes what that would open (a container reaching the host's 127.0.0.0/8).
Formats: iptables(8), iptables-extensions(8), iptables-restore(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pymachine.engine.network.records import NetworkRecord

USER_CHAIN = "DOCKER-USER"
"""The administrator's: what is there is decided before our rules. Docker's name, so that existing ones work."""


@dataclass(frozen=True, slots=True)
class Published:
    """One translated port."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int
    bridge: str


@dataclass(frozen=True, slots=True)
class Chains:
    """The names of our chains (at most 28 characters: ``XT_EXTENSION_MAXNAMELEN``)."""

    bridge: str

    @property
    def nat(self) -> str:
        return f"PYE-NAT-{self.bridge}"

    @property
    def snat(self) -> str:
        return f"PYE-SNAT-{self.bridge}"

    @property
    def forward(self) -> str:
        return f"PYE-FWD-{self.bridge}"

    @property
    def ports(self) -> str:
        return f"PYE-PORT-{self.bridge}"

    @property
    def raw(self) -> str:
        return f"PYE-RAW-{self.bridge}"

    def owned(self) -> list[tuple[str, str]]:
        """(table, chain), users of a chain before it."""
        return [
            ("nat", self.nat),
            ("nat", self.snat),
            ("filter", self.forward),
            ("filter", self.ports),
            ("raw", self.raw),
        ]

    def hooks(self) -> list[tuple[str, str, list[str]]]:
        """(table, built-in chain, rule) that lead to our chains."""
        local = ["-m", "addrtype", "--dst-type", "LOCAL", "-j", self.nat]
        return [
            ("nat", "PREROUTING", local),
            ("nat", "OUTPUT", local),
            ("nat", "POSTROUTING", ["-j", self.snat]),
            ("filter", "FORWARD", ["-j", self.forward]),
            ("raw", "PREROUTING", ["-j", self.raw]),
        ]


def everything(chains: Chains, networks: Sequence[NetworkRecord], published: Iterable[Published]) -> str:
    """All our chains, emptied and filled anew; atomic for each table, so live traffic sees no gap."""
    ports = list(published)
    outside = [network for network in networks if not network.internal]
    tables = {
        "raw": ([chains.raw], [f"-A {chains.raw} -i {n.bridge} -d 127.0.0.0/8 -j DROP" for n in networks]),
        "nat": (
            [chains.nat, chains.snat],
            [rule for network in outside for rule in _source_rules(chains, network)]
            + [translation(chains, port) for port in ports],
        ),
        "filter": (
            [chains.forward, chains.ports],
            _forward_rules(chains, networks) + [admission(chains, port) for port in ports],
        ),
    }
    lines = []
    for table, (owned, rules) in tables.items():
        lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in owned), *rules, "COMMIT"]
    return "\n".join(lines) + "\n"


def change(chains: Chains, added: Sequence[Published], removed: Sequence[Published]) -> str:
    """Some ports' rules only: added to and deleted from the chains."""
    lines = ["*nat"]
    lines += [translation(chains, port, "-D") for port in removed] + [translation(chains, port) for port in added]
    lines += ["COMMIT", "*filter"]
    lines += [admission(chains, port, "-D") for port in removed] + [admission(chains, port) for port in added]
    return "\n".join([*lines, "COMMIT"]) + "\n"


def translation(chains: Chains, port: Published, verb: str = "-A") -> str:
    """The DNAT rule of one port."""
    to = "" if port.host_ip in ("", "0.0.0.0") else f" -d {port.host_ip}/32"
    match = f"{to} -p {port.protocol} -m {port.protocol} --dport {port.host_port}"
    return f"{verb} {chains.nat}{match} -j DNAT --to-destination {port.address}:{port.port}"


def admission(chains: Chains, port: Published, verb: str = "-A") -> str:
    """Lets through what was translated: a port published on 127.0.0.1 is not reachable by the container's address."""
    match = f"-d {port.address}/32 -o {port.bridge} -p {port.protocol} -m {port.protocol} --dport {port.port}"
    return f"{verb} {chains.ports} {match} -m conntrack --ctstate DNAT -j ACCEPT"


def _source_rules(chains: Chains, network: NetworkRecord) -> list[str]:
    start = f"-A {chains.snat}"
    rules = [
        # From the host's loopback, and from a container to a sibling's (or its own) published port: the answer
        # has to come back through the host, so the host must seem to be the sender.
        f"{start} -s 127.0.0.0/8 -o {network.bridge} -j MASQUERADE",
        f"{start} -s {network.subnet} -o {network.bridge} -m conntrack --ctstate DNAT -j MASQUERADE",
    ]
    if network.masquerading:
        rules.insert(0, f"{start} -s {network.subnet} ! -o {network.bridge} -j MASQUERADE")
    return rules


def _forward_rules(chains: Chains, networks: Sequence[NetworkRecord]) -> list[str]:
    start = f"-A {chains.forward}"
    rules = [f"{start} -j {USER_CHAIN}"]
    rules += [rule for n in networks if n.internal for rule in _internal_rules(start, n)]
    rules += [f"{start} -o {n.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" for n in networks]
    rules.append(f"{start} -j {chains.ports}")
    for network in networks:
        verdict = "ACCEPT" if network.talking else "DROP"
        rules.append(f"{start} -i {network.bridge} -o {network.bridge} -j {verdict}")
        # Neither other networks nor other machines get in, except by what the rules above let through.
        rules.append(f"{start} -o {network.bridge} -j DROP")
    rules += [f"{start} -i {n.bridge} ! -o {n.bridge} -j ACCEPT" for n in networks if not n.internal]
    return rules


def _internal_rules(start: str, network: NetworkRecord) -> list[str]:
    return [
        f"{start} -i {network.bridge} ! -o {network.bridge} -j DROP",
        f"{start} ! -i {network.bridge} -o {network.bridge} -j DROP",
    ]
