"""The spec inside the spawner's and the shims' processes: attributes without the ``dataclasses`` module.

``dataclasses`` brings ``inspect``, ``re`` and ``typing`` along: two megabytes that every shim would carry. Here
the same documents (`pymachine.engine.runtime.spec`) are read into objects with just their attributes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pymachine.engine.runtime.spec import ContainerSpec, Process, Resources


class _Record:
    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__ = values


def container(document: dict[str, Any]) -> ContainerSpec:
    """The spec that ``dataclasses.asdict`` made *document* of."""
    return _record(document)  # type: ignore[no-any-return]


def process(document: dict[str, Any]) -> Process:
    """The process that ``dataclasses.asdict`` made *document* of."""
    return _record(document)  # type: ignore[no-any-return]


def resources(document: dict[str, Any]) -> Resources:
    """The limits that ``dataclasses.asdict`` made *document* of."""
    return _record(document)  # type: ignore[no-any-return]


def _record(value: Any) -> Any:
    if isinstance(value, dict):
        return _Record({name: _record(item) for name, item in value.items()})
    if isinstance(value, (tuple, list)):
        return tuple([_record(item) for item in value])
    return value
