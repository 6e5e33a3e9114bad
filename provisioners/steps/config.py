"""The engine's configuration and its unit."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.machine.errors import InvalidOption, ProvisionError
from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put, Run, digest
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.engineconfig import render_config
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.templating import render


class Config:
    """Writes ``engine.json`` and ``pyengine.service`` where they differ."""

    name = "config"
    title = "Configuring the engine"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        if "systemctl" not in facts.programs or facts.pid1 != "systemd":
            raise ProvisionError(
                f"the host does not run systemd (process 1 is {facts.pid1 or 'unknown'})",
                hint="pymachine provisions hosts with systemd in this version.",
            )
        config = render_config(wanted.plan)
        unit = self._unit(facts, wanted)
        actions: list[Action] = []
        if facts.files.get(paths.ENGINE_CONFIG) != digest(config):
            actions.append(Put(paths.ENGINE_CONFIG, config))
        if facts.files.get(paths.ENGINE_UNIT) != digest(unit):
            actions += [Put(paths.ENGINE_UNIT, unit), Run(("systemctl", "daemon-reload"))]
        return actions

    def _unit(self, facts: Facts, wanted: Wanted) -> bytes:
        for assignment in wanted.plan.engine.env:
            if not assignment.partition("=")[0] or "=" not in assignment:
                raise InvalidOption(f"--engine-env {assignment!r}: expected NAME=value")
        try:
            text = render(
                "systemd/pyengine.service.j2",
                python=facts.python or "/usr/bin/python3",
                current=paths.CURRENT,
                config=paths.ENGINE_CONFIG,
                env=wanted.plan.engine.env,
            )
        except ValueError as error:
            raise InvalidOption(f"--engine-env: {error}") from None
        return text.encode()
