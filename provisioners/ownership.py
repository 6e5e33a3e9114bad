"""Whose machine a host is, by what the host says of itself, and whether this client may change it."""

from __future__ import annotations

import json

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners import paths
from pymachine.provisioners.actions import digest
from pymachine.provisioners.base import ProvisionPlan
from pymachine.provisioners.facts import Facts


def owner_note(plan: ProvisionPlan) -> bytes:
    """What is written on the host."""
    note = {"store": plan.store_id, "machine": plan.machine_name, "client": plan.client}
    return json.dumps(note, indent=2, sort_keys=True).encode() + b"\n"


def is_foreign(facts: Facts, plan: ProvisionPlan) -> bool:
    """Whether the engine on the host trusts another CA than ours, which is not an old one of our own store."""
    there = facts.files.get(paths.CA)
    if not there or there == digest(plan.tls.ca.read_bytes()):
        return False
    return not plan.store_id or facts.owner.get("store") != plan.store_id


def check_owner(facts: Facts, plan: ProvisionPlan) -> None:
    """Raise `ProvisionError` when provisioning would lock out somebody who has not been asked."""
    if not plan.adopted or plan.takeover or not is_foreign(facts, plan):
        return
    owner = {key: str(value) for key, value in facts.owner.items() if str(value).isprintable()}
    whose = f'is machine "{owner["machine"]}"' if owner.get("machine") else "is a machine"
    by = f"of {owner['client']}" if owner.get("client") else "of another pymachine"
    raise ProvisionError(
        f"the host {whose} {by} already: to provision it from here would replace its certificates and lock them out",
        hint=f'Have them export the machine to you; or take it over: "pymachine rm {plan.machine_name}", then create '
        f"with --{plan.driver_name}-takeover. Its containers run on either way.",
    )
