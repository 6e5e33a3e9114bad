"""The host's name: the machine's."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action, Put, Run
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts


class Hostname:
    """Sets the name now and for the next boot, and makes it resolvable on the host itself."""

    name = "hostname"
    title = "Setting the host name"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        name = wanted.plan.machine_name
        if not wanted.plan.set_hostname:
            return ()
        actions: list[Action] = []
        if facts.hostname != name:
            # Arch has no hostname program; names have no characters that a shell would mind.
            by_kernel = Run(shell=f"echo {name} >/proc/sys/kernel/hostname")
            actions.append(Run(("hostname", name)) if "hostname" in facts.programs else by_kernel)
        if facts.etc_hostname != name:
            actions.append(Put("/etc/hostname", f"{name}\n".encode()))
        if name not in facts.hosts.split():
            actions.append(Put("/etc/hosts", _hosts(facts.hosts, name).encode()))
        return actions


def _hosts(text: str, name: str) -> str:
    """Debian's convention: the host's own name is 127.0.1.1 (Debian Reference, 5.1.1)."""
    kept = [line for line in text.splitlines() if line.split()[:1] != ["127.0.1.1"]]
    if not any(line.split()[:1] == ["127.0.0.1"] for line in kept):
        kept.insert(0, "127.0.0.1\tlocalhost")
    return "\n".join([*kept, f"127.0.1.1\t{name}"]) + "\n"
