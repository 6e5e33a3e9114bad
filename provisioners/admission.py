"""What must be so before anything on a host is changed."""

from __future__ import annotations

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.base import ProvisionPlan
from pymachine.provisioners.facts import MINIMUM_PYTHON, Facts
from pymachine.provisioners.families import family_of
from pymachine.provisioners.neighbours import check_port
from pymachine.provisioners.ownership import check_owner
from pymachine.provisioners.services import manager_of

_WANTED = ".".join(map(str, MINIMUM_PYTHON))


def admit(facts: Facts, plan: ProvisionPlan) -> None:
    """Raise `ProvisionError` for a host that cannot or must not be provisioned, with the remedy as its hint."""
    family = family_of(facts.os)
    manager_of(facts)
    if not facts.python and not family.packages(facts.os)["python"]:
        raise no_python(facts)
    check_owner(facts, plan)
    check_port(facts, plan)


def no_python(facts: Facts) -> ProvisionError:
    """The host has no Python that is new enough."""
    found = ", ".join(dict.fromkeys(facts.python_versions)) or "none"
    return ProvisionError(
        f"the engine needs Python {_WANTED} or newer on the host; {facts.os.pretty_name} has {found}",
        hint=f"Install a Python {_WANTED} on the host (as python{_WANTED} on its PATH), or choose a newer release.",
    )
