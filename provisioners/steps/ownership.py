"""Whose machine a host is: a note on it, so that nobody locks a colleague out by provisioning it again."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put, Run, digest
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.ownership import is_foreign, owner_note


class Ownership:
    """Written before the certificates, and left as it is where another client shares our CA."""

    name = "ownership"
    title = "Marking the host as this machine's"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        note = owner_note(wanted.plan)
        known = bool(facts.owner)
        if facts.files.get(paths.OWNER) == digest(note) or (known and not is_foreign(facts, wanted.plan)):
            return ()
        return (Run(("install", "-d", "-m", "0755", paths.CONFIG_DIR)), Put(paths.OWNER, note))
