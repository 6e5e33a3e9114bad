"""The firewall's rules as text."""

from __future__ import annotations

from pymachine.engine.network.records import BRIDGE_ICC, BRIDGE_MASQUERADE, BRIDGE_NAME, NetworkRecord, new_record
from pymachine.engine.network.rules import Chains, Published, change, everything

CHAINS = Chains("docker0")
WEB = Published("tcp", "0.0.0.0", 8080, "10.0.0.2", 80, "docker0")
LOCAL = Published("udp", "127.0.0.1", 53, "10.0.0.3", 5353, "docker0")


def network(
    bridge: str, subnet: str, options: dict[str, str] | None = None, *, internal: bool = False
) -> NetworkRecord:
    options = {BRIDGE_NAME: bridge} | (options or {})
    return new_record(bridge, "bridge", subnet=subnet, gateway="", internal=internal, options=options)


def rules(*networks: NetworkRecord, published: tuple[Published, ...] = ()) -> list[str]:
    return everything(CHAINS, networks, published).splitlines()


def test_chain_names_fit_the_kernel() -> None:
    """28 characters at most, for the longest link name there can be."""
    chains = Chains("b" * 15)
    assert all(len(chain) <= 28 for _, chain in chains.owned())


def test_only_our_chains_are_touched() -> None:
    lines = rules(network("docker0", "10.0.0.0/24"), published=(WEB, LOCAL))
    owned = {chain for _, chain in CHAINS.owned()}
    assert {line.split()[1] for line in lines if line.startswith("-A")} <= owned
    assert {line.split()[0][1:] for line in lines if line.startswith(":")} == owned


def test_the_administrators_chain_is_first() -> None:
    forward = [line for line in rules(network("docker0", "10.0.0.0/24")) if line.startswith(f"-A {CHAINS.forward}")]
    assert forward[0] == f"-A {CHAINS.forward} -j DOCKER-USER"


def test_bridges_are_closed_before_anything_goes_out() -> None:
    """Isolation: all the drops towards bridges come before the first accept of outgoing packets."""
    lines = rules(network("docker0", "10.0.0.0/24"), network("br-1", "10.0.1.0/24"))
    drops = [lines.index(f"-A {CHAINS.forward} -o {bridge} -j DROP") for bridge in ("docker0", "br-1")]
    assert max(drops) < lines.index(f"-A {CHAINS.forward} -i docker0 ! -o docker0 -j ACCEPT")


def test_an_internal_network_is_not_translated_and_has_no_way_out() -> None:
    lines = rules(network("br-1", "10.0.1.0/24", internal=True))
    assert not [line for line in lines if "MASQUERADE" in line]
    assert f"-A {CHAINS.forward} -i br-1 ! -o br-1 -j DROP" in lines


def test_icc_and_masquerade_options() -> None:
    lines = rules(network("br-1", "10.0.1.0/24", {BRIDGE_ICC: "false", BRIDGE_MASQUERADE: "false"}))
    assert f"-A {CHAINS.forward} -i br-1 -o br-1 -j DROP" in lines
    assert f"-A {CHAINS.snat} -s 10.0.1.0/24 ! -o br-1 -j MASQUERADE" not in lines


def test_a_published_port_is_translated_and_let_through() -> None:
    lines = rules(network("docker0", "10.0.0.0/24"), published=(WEB, LOCAL))
    assert f"-A {CHAINS.nat} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80" in lines
    assert f"-A {CHAINS.nat} -d 127.0.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.0.3:5353" in lines
    admitted = "-d 10.0.0.2/32 -o docker0 -p tcp -m tcp --dport 80 -m conntrack --ctstate DNAT -j ACCEPT"
    assert f"-A {CHAINS.ports} {admitted}" in lines


def test_a_change_deletes_what_it_would_have_added() -> None:
    added, removed = change(CHAINS, [WEB], []), change(CHAINS, [], [WEB])
    assert removed == added.replace("-A ", "-D ")


def test_deletions_come_first() -> None:
    """So that a port may pass from one container to another in one go."""
    lines = change(CHAINS, [WEB], [LOCAL]).splitlines()
    assert [line[:2] for line in lines if line.startswith("-")] == ["-D", "-A", "-D", "-A"]


def test_containers_cannot_reach_the_hosts_loopback() -> None:
    assert f"-A {CHAINS.raw} -i br-1 -d 127.0.0.0/8 -j DROP" in rules(network("br-1", "10.0.1.0/24", internal=True))
