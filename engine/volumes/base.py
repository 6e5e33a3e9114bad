"""The volume service's contract with the container service."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Volumes(Protocol):
    """Named directories that outlive containers. All calls block briefly; run them in a thread."""

    def ensure(self, name: str, *, labels: dict[str, str] | None = None, anonymous: bool = False) -> Path:
        """The volume's directory, made when missing; raises `InvalidArgument` for a bad name."""
        ...

    def use(self, name: str, container_id: str) -> None:
        """Remember that a container refers to the volume (it cannot be removed meanwhile)."""
        ...

    def unuse(self, name: str, container_id: str) -> None:
        """Forget it again."""
        ...

    def remove(self, name: str, *, force: bool = False) -> None:
        """Raises `NotFound` (``get x: no such volume``), or `Conflict` while containers use it."""
        ...

    def is_anonymous(self, name: str) -> bool: ...
