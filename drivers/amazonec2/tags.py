"""The tags by which everything that we make is known as ours, and as whose."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from typing import Any

from pymachine.drivers.base import Context

MACHINE, STORE, MACHINE_NAME, CREATOR = (
    "pymachine:machine-id", "pymachine:store-id", "pymachine:machine-name", "pymachine:creator"
)  # fmt: skip


def tags_of(context: Context, own: dict[str, str]) -> list[dict[str, str]]:
    """For everything that is made for a machine; *own* are the user's."""
    ours = {
        "Name": context.name,
        MACHINE: context.machine_id,
        STORE: context.store_id,
        MACHINE_NAME: context.name,
        CREATOR: _creator(),
    }
    return [{"Key": key, "Value": value} for key, value in {**own, **ours}.items()]


def specification(kind: str, tags: list[dict[str, str]]) -> dict[str, Any]:
    """``TagSpecifications`` item: tags that are there from the first moment on."""
    return {"ResourceType": kind, "Tags": tags}


def of_machine(machine_id: str) -> list[dict[str, Any]]:
    """The filter for what belongs to a machine."""
    return of_machines([machine_id])


def of_machines(machine_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The filter for what belongs to any of some machines."""
    return [{"Name": f"tag:{MACHINE}", "Values": list(machine_ids)}]


def of_store(store_id: str) -> list[dict[str, Any]]:
    """The filter for what belongs to any machine of a store; of any store when it is empty."""
    if store_id:
        return [{"Name": f"tag:{STORE}", "Values": [store_id]}]
    return [{"Name": "tag-key", "Values": [MACHINE]}]


def value(item: dict[str, Any], key: str) -> str:
    """A tag of something that was described; empty when it has none."""
    return next((tag["Value"] for tag in item.get("Tags") or () if tag["Key"] == key), "")


def _creator() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:256]
