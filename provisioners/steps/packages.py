"""What the engine needs of the distribution: a Python, iptables, libseccomp."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.families import family_of


class Packages:
    """Installs what is missing, and asks nothing of the network when nothing is."""

    name = "packages"
    title = "Installing packages"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        has = {
            "python": bool(facts.python or facts.python_versions),
            "iptables": "iptables-restore" in facts.programs,
            "seccomp": facts.has_seccomp,
        }
        missing = [need for need, present in has.items() if not present]
        if not missing:
            return ()
        family = family_of(facts.os)
        return family.install([family.packages[need] for need in missing])
