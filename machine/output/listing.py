"""``ls``: rows as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pymachine.machine.operations.observe import Row
from pymachine.machine.output.table import table

HEADER = ("NAME", "ACTIVE", "DRIVER", "STATE", "URL", "SWARM", "DOCKER", "ERRORS")


def as_table(rows: Sequence[Row]) -> str:
    """docker-machine's columns."""
    return table(HEADER, [_cells(row) for row in rows])


def as_json(rows: Sequence[Row]) -> str:
    """One array; the names are those of docker-machine's format fields."""
    return json.dumps([_fields(row) for row in rows], indent=4) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return row.name, row.active, row.driver, row.state, row.url, row.swarm, row.docker, row.error


def _fields(row: Row) -> dict[str, object]:
    return {
        "Name": row.name,
        "Active": row.active,
        "ActiveHost": row.active_host,
        "ActiveSwarm": row.active_swarm,
        "DriverName": row.driver,
        "State": row.state,
        "URL": row.url,
        "Swarm": row.swarm,
        "DockerVersion": row.docker,
        "Labels": list(row.labels),
        "Error": row.error,
        "ResponseTime": round(row.seconds, 3),
    }
