"""What must be so before anything on a host is changed."""

from __future__ import annotations

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.base import ProvisionPlan
from pymachine.provisioners.facts import MINIMUM_PYTHON, Facts
from pymachine.provisioners.families import family_of
from pymachine.provisioners.needs import for_people, missing_needs, missing_packages
from pymachine.provisioners.neighbours import check_port
from pymachine.provisioners.ownership import check_owner
from pymachine.provisioners.services import manager_of

_WANTED = ".".join(map(str, MINIMUM_PYTHON))


def admit(facts: Facts, plan: ProvisionPlan) -> None:
    """Raise `ProvisionError` for a host that cannot or must not be provisioned, with the remedy as its hint."""
    family = family_of(facts.os)
    manager_of(facts)
    if not facts.python and not family.packages(facts)["python"]:
        raise no_python(facts)
    _check_installing(facts, plan)
    check_owner(facts, plan)
    check_port(facts, plan)


def no_python(facts: Facts) -> ProvisionError:
    """The host has no Python that is new enough."""
    found = ", ".join(dict.fromkeys(facts.python_versions)) or "none"
    return ProvisionError(
        f"the engine needs Python {_WANTED} or newer on the host; {facts.os.pretty_name} has {found}",
        hint=f"Install a Python {_WANTED} on the host (as python{_WANTED} on its PATH), or choose a newer release.",
    )


def _check_installing(facts: Facts, plan: ProvisionPlan) -> None:
    """Raise `ProvisionError` for a host on which something is missing that cannot be installed while it runs."""
    missing = missing_needs(facts)
    program = family_of(facts.os).program
    if not missing or (program in facts.programs and not facts.sealed):
        return
    why = "/usr is read-only" if facts.sealed else f"there is no {program} to install packages with"
    packages = " ".join(names[0] for names in missing_packages(facts))
    raise ProvisionError(
        f"{facts.os.pretty_name} lacks {for_people(missing)}, which the engine needs, and {why}",
        hint=f"Install that in the way of the system ({_way(facts)} {packages}), reboot if it wants you to, "
        f'then run: "pymachine provision {plan.machine_name}".',
    )


def _way(facts: Facts) -> str:
    """rpm-ostree(1), transactional-update(8)."""
    ways = {"rpm-ostree": "rpm-ostree install", "transactional-update": "transactional-update pkg install"}
    return next((way for program, way in ways.items() if program in facts.programs), "there they may be called")
