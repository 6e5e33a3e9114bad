"""The rest of the Engine API 1.47: endpoints that this engine knows of and does not serve.

Added to the router after all others, so an entry whose endpoint is served elsewhere is simply never reached.
Swarm-mode endpoints answer as a node outside a swarm does: this engine's clusters are made by ``pyswarm``.
"""

from __future__ import annotations

from pymachine.dockerapi.errors import NotServed, Unavailable
from pymachine.dockerapi.messages import Answer, Handler, Request
from pymachine.dockerapi.routing import Route

_ENDPOINTS = """
GET    /containers/json
POST   /containers/create
POST   /containers/prune
GET    /containers/{id}/json
GET    /containers/{id}/top
GET    /containers/{id}/logs
GET    /containers/{id}/changes
GET    /containers/{id}/export
GET    /containers/{id}/stats
POST   /containers/{id}/resize
POST   /containers/{id}/start
POST   /containers/{id}/stop
POST   /containers/{id}/restart
POST   /containers/{id}/kill
POST   /containers/{id}/update
POST   /containers/{id}/rename
POST   /containers/{id}/pause
POST   /containers/{id}/unpause
POST   /containers/{id}/attach
GET    /containers/{id}/attach/ws
POST   /containers/{id}/wait
DELETE /containers/{id}
HEAD   /containers/{id}/archive
GET    /containers/{id}/archive
PUT    /containers/{id}/archive
GET    /containers/{id}/checkpoints
POST   /containers/{id}/checkpoints
DELETE /containers/{id}/checkpoints/{checkpoint}
POST   /containers/{id}/exec
POST   /exec/{id}/start
POST   /exec/{id}/resize
GET    /exec/{id}/json
GET    /images/json
POST   /images/create
POST   /images/load
POST   /images/prune
GET    /images/search
GET    /images/get
GET    /images/{name*}/json
GET    /images/{name*}/history
GET    /images/{name*}/get
POST   /images/{name*}/push
POST   /images/{name*}/tag
DELETE /images/{name*}
GET    /distribution/{name*}/json
POST   /build
POST   /build/prune
POST   /build/cancel
POST   /commit
POST   /session
POST   /grpc
GET    /networks
GET    /networks/{id}
POST   /networks/create
POST   /networks/prune
POST   /networks/{id}/connect
POST   /networks/{id}/disconnect
DELETE /networks/{id}
GET    /volumes
POST   /volumes/create
POST   /volumes/prune
GET    /volumes/{name}
DELETE /volumes/{name}
GET    /plugins
GET    /plugins/privileges
POST   /plugins/pull
POST   /plugins/create
GET    /plugins/{name*}/json
POST   /plugins/{name*}/enable
POST   /plugins/{name*}/disable
POST   /plugins/{name*}/upgrade
POST   /plugins/{name*}/push
POST   /plugins/{name*}/set
DELETE /plugins/{name*}
"""

_SWARM_ENDPOINTS = """
GET    /swarm
POST   /swarm/init
POST   /swarm/join
POST   /swarm/leave
POST   /swarm/update
GET    /swarm/unlockkey
POST   /swarm/unlock
GET    /nodes
GET    /nodes/{id}
POST   /nodes/{id}/update
DELETE /nodes/{id}
GET    /services
POST   /services/create
GET    /services/{id}
POST   /services/{id}/update
GET    /services/{id}/logs
DELETE /services/{id}
GET    /tasks
GET    /tasks/{id}
GET    /tasks/{id}/logs
GET    /secrets
POST   /secrets/create
GET    /secrets/{id}
POST   /secrets/{id}/update
DELETE /secrets/{id}
GET    /configs
POST   /configs/create
GET    /configs/{id}
POST   /configs/{id}/update
DELETE /configs/{id}
PUT    /volumes/{name}
"""

NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node '
    "to swarm and try again."
)
"""What clients of swarm mode look for."""


def _table(text: str) -> list[tuple[str, str]]:
    return [(method, pattern) for method, pattern in (line.split() for line in text.strip().splitlines())]


ENDPOINTS = _table(_ENDPOINTS)
SWARM_ENDPOINTS = _table(_SWARM_ENDPOINTS)


def unserved_routes() -> list[Route]:
    """A route for each endpoint, answering 501 (503 for swarm mode). Add them last."""
    named = [Route(method, pattern, _not_served(method, pattern)) for method, pattern in ENDPOINTS]
    return [*named, *(Route(method, pattern, _no_swarm) for method, pattern in SWARM_ENDPOINTS)]


def _not_served(method: str, pattern: str) -> Handler:
    shown = pattern.replace("*}", "}")

    async def answer(request: Request) -> Answer:
        raise NotServed(f"{method} {shown} is not served by this engine yet")

    return answer


async def _no_swarm(request: Request) -> Answer:
    raise Unavailable(NO_SWARM)
