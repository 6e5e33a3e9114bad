"""The engine's service: enabled, running, and running what was just installed."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.paths import ENGINE_UNIT_NAME


class Service:
    """Restarts the engine for a new release or configuration (containers go on); for certificates it reloads."""

    name = "service"
    title = "Starting the engine"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        actions: list[Action] = []
        if not facts.service_enabled:
            actions.append(Run(("systemctl", "enable", ENGINE_UNIT_NAME)))
        if not facts.service_active or {"release", "config", "packages"} & set(wanted.changed):
            actions.append(Run(("systemctl", "restart", ENGINE_UNIT_NAME)))
        elif "tls" in wanted.changed:
            actions.append(Run(("systemctl", "reload", ENGINE_UNIT_NAME)))
        return actions
