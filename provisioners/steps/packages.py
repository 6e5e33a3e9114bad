"""What the engine needs of the distribution: a Python, iptables, libseccomp."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.actions import Action
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.families import family_of


class Packages:
    """Installs what is missing, and asks nothing of the network when nothing is."""

    name = "packages"
    title = "Installing packages"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        missing = missing_needs(facts)
        if not missing:
            return ()
        family = family_of(facts.os)
        if family.program not in facts.programs:
            name = facts.os.pretty_name
            raise ProvisionError(
                f"the engine needs {', '.join(missing)}, and {name} has no {family.program} to install it",
                hint="Install it in the way of that system, then run this again.",
            )
        packages = family.packages(facts.os)
        return family.install([packages[need] for need in missing])


def missing_needs(facts: Facts) -> list[str]:
    """What the host lacks, by the names that families know."""
    has = {
        "python": bool(facts.python),
        "iptables": "iptables-restore" in facts.programs,
        "seccomp": facts.has_seccomp,
    }
    return [need for need, present in has.items() if not present]
