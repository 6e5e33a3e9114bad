"""``docker container prune``: removes the containers that do not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymachine.dockerapi.errors import EngineError
from pymachine.dockerapi.filters import Filters

if TYPE_CHECKING:
    from pymachine.engine.containers.service import Containers

FILTERS = ("label", "label!", "until")


async def prune(service: Containers, filters: Filters) -> dict[str, Any]:
    """Remove every stopped container that *filters* leave in; those that cannot be removed stay, quietly."""
    until = filters.until()
    removed, freed = [], 0
    for container in service.context.registry:
        if not container.state.removable:
            continue
        if not filters.labels(container.labels) or not filters.without_labels(container.labels):
            continue
        if until is not None and container.created >= until:
            continue
        try:
            size, _ = await service.sizes(container)
            await service.control.remove(container, force=False, volumes=False)
        except (EngineError, OSError):
            continue
        removed.append(container.id)
        freed += size
    return {"ContainersDeleted": removed or None, "SpaceReclaimed": freed}
