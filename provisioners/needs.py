"""What the engine needs of a distribution, and what of it a host lacks."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.facts import Facts
from pymachine.provisioners.families import family_of

_NAMES = {"python": "Python 3.11", "seccomp": "libseccomp", "addrtype": "netfilter's addrtype match"}


def missing_needs(facts: Facts) -> list[str]:
    """By the names that families know. A kernel without ``addrtype`` is the engine's to tell of where no package is
    known to have it."""
    lacking = {
        "python": not facts.python,
        "iptables": "iptables-restore" not in facts.programs,
        "seccomp": not facts.has_seccomp,
        "addrtype": facts.lacks_addrtype and "addrtype" in family_of(facts.os).packages(facts),
    }
    return [need for need, is_lacking in lacking.items() if is_lacking]


def missing_packages(facts: Facts) -> list[Sequence[str]]:
    """For each missing need its package's names, the first that can be installed being wanted."""
    packages = family_of(facts.os).packages(facts)
    return [packages[need] for need in missing_needs(facts)]


def for_people(needs: Sequence[str]) -> str:
    """Needs as a person calls them."""
    return " and ".join(_NAMES.get(need, need) for need in needs)
