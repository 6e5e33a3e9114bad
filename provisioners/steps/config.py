"""The engine's configuration and its service."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put, digest
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.engineconfig import render_config
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.neighbours import beside_docker
from pymachine.provisioners.services import manager_of, service_text


class Config:
    """Writes ``engine.json`` and the service's description where they differ."""

    name = "config"
    title = "Configuring the engine"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        manager = manager_of(facts)
        config = render_config(wanted.plan, beside_docker=beside_docker(facts))
        service = service_text(facts, wanted.plan.engine.env)
        actions: list[Action] = []
        if facts.files.get(paths.ENGINE_CONFIG) != digest(config):
            actions.append(Put(paths.ENGINE_CONFIG, config))
        outdated = facts.files.get(manager.file) != digest(service)
        if outdated:
            actions.append(manager.write(service))
        if outdated or self.name in wanted.changed:  # an earlier run may have been cut off in between
            actions += manager.reread()
        return actions
