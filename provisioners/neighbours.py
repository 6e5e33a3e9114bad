"""Another engine on the same host: a Docker that is there keeps its socket, its bridge, its port and its containers.

Ours is then installed beside it. What was decided at first stays, whatever comes or goes later: clients on the host
and running containers rely on it.
"""

from __future__ import annotations

from typing import Any

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.base import ProvisionPlan
from pymachine.provisioners.facts import Facts

UNIX_SOCKET = "unix:///var/run/docker.sock"
SOCKET_BESIDE = "unix:///run/pyengine.sock"
BRIDGE_BESIDE = "pyengine0"


def beside_docker(facts: Facts) -> bool:
    """Whether our engine lives beside a Docker."""
    if facts.engine_config:
        return SOCKET_BESIDE in _hosts(facts.engine_config)
    return facts.docker or facts.docker_socket


def check_port(facts: Facts, plan: ProvisionPlan) -> None:
    """Raise `ProvisionError` when somebody else listens on the engine's port."""
    ours = (facts.service_active or facts.service_alive) and _port(facts.engine_config) == plan.engine_port
    if plan.engine_port not in facts.listening or ours:
        return
    docker = " (the host runs a Docker, which may be it)" if facts.docker or facts.docker_socket else ""
    raise ProvisionError(
        f"port {plan.engine_port} on the host is in use by another program{docker}", hint=_way_out(plan)
    )


def _way_out(plan: ProvisionPlan) -> str:
    """Drivers of adopted hosts let the port be chosen; on other hosts nobody but us has business there."""
    if not plan.adopted:
        return f'End it on the host, then run: "pymachine provision {plan.machine_name}".'
    return (
        f'Choose another for the engine: "pymachine rm {plan.machine_name}", '
        f"then create with --{plan.driver_name}-engine-port {plan.engine_port + 1}."
    )


def _hosts(config: dict[str, Any]) -> list[str]:
    hosts = config.get("hosts")
    return [str(host) for host in hosts] if isinstance(hosts, list) else []


def _port(config: dict[str, Any]) -> int:
    ports = [host.rpartition(":")[2] for host in _hosts(config) if host.startswith("tcp://")]
    return next((int(port) for port in ports if port.isdigit()), 0)
