"""What the engine needs of the distribution: a Python, iptables, libseccomp, and on some a part of the kernel."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.families import family_of
from pymachine.provisioners.needs import missing_packages


class Packages:
    """Installs what is missing, and asks nothing of the network when nothing is."""

    name = "packages"
    title = "Installing packages"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        missing = missing_packages(facts)
        return family_of(facts.os).install(missing) if missing else ()
