"""firewalld, where it runs: the engine's port is opened, and containers on the default bridge may reach out.

Both now and for good, without a reload: that would drop the rules of whoever else has some (firewall-cmd(1)).
"""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.engineconfig import engine_config
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.neighbours import beside_docker

DEFAULT_BRIDGE = "docker0"


class Firewall:
    """Does nothing where firewalld does not run."""

    name = "firewall"
    title = "Opening the engine's port"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        if not facts.firewall:
            return ()
        actions: list[Action] = []
        if not _is_open(facts, wanted.plan.engine_port):
            actions += _both(f"--add-port={wanted.plan.engine_port}/tcp")
        config = engine_config(wanted.plan, beside_docker=beside_docker(facts))
        bridge = str(config.get("bridge", DEFAULT_BRIDGE))
        if bridge not in facts.firewall_trusted:
            actions += _both("--zone=trusted", f"--add-interface={bridge}")
        return actions


def _both(*change: str) -> Sequence[Action]:
    return (Run(("firewall-cmd", "-q", "--permanent", *change)), Run(("firewall-cmd", "-q", *change)))


def _is_open(facts: Facts, port: int) -> bool:
    for entry in facts.firewall_ports:
        ports, _, protocol = entry.partition("/")
        first, _, last = ports.partition("-")
        if protocol == "tcp" and first.isdigit() and int(first) <= port <= int(last or first):
            return True
    return False
