"""The engine's service: enabled, running, and running what was just installed."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.services import manager_of

RESTARTED_FOR = frozenset(("packages", "release", "config", "login"))
RELOADED_FOR = frozenset(("tls",))
READ_BY_ENGINE = RESTARTED_FOR | RELOADED_FOR
"""Steps whose changes the engine has to read."""


class Service:
    """Restarts the engine for a new release or configuration, or a new group of its socket (containers go on); for
    certificates it reloads."""

    name = "service"
    title = "Starting the engine"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        manager = manager_of(facts)
        actions: list[Action] = []
        if not facts.service_enabled:
            actions.append(manager.enable())
        if not facts.service_active or RESTARTED_FOR.intersection(wanted.changed):
            actions.append(manager.restart())
        elif RELOADED_FOR.intersection(wanted.changed):
            actions.append(manager.reload())
        return actions
