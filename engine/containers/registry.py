"""The containers in memory, found by name, id or the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterator

from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotFound
from pymachine.engine.containers.model import Container


class Registry:
    """Indexes by id and by name. Used from the event loop's thread only."""

    def __init__(self) -> None:
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, str] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def name_taken(self, name: str) -> bool:
        return name in self._by_name

    def reserve(self, name: str, container_id: str) -> None:
        """Take *name*; raises `Conflict` when another container has it."""
        holder = self._by_name.setdefault(name, container_id)
        if holder != container_id:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def release(self, name: str, container_id: str) -> None:
        """Give *name* back, if the container has it."""
        if self._by_name.get(name) == container_id:
            del self._by_name[name]

    def add(self, container: Container) -> None:
        self._by_id[container.id] = container
        self.reserve(container.name, container.id)

    def discard(self, container: Container) -> None:
        """Forget a container and its name."""
        self._by_id.pop(container.id, None)
        self.release(container.name, container.id)

    def get(self, reference: str) -> Container:
        """By id, name (with or without slash) or unique id prefix, in this order; raises `NotFound`."""
        container = self.find(reference)
        if container is None:
            raise NotFound(f"No such container: {reference}")
        return container

    def find(self, reference: str) -> Container | None:
        """As `get`, but ``None`` for no match; several matches raise `InvalidArgument`."""
        reference = reference.removeprefix("/")
        if container := self._by_id.get(reference):
            return container
        if holder := self._by_name.get(reference):
            # A name is reserved before its container exists.
            return self._by_id.get(holder)
        if not reference:
            return None
        matches = [container for key, container in self._by_id.items() if key.startswith(reference)]
        if len(matches) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {reference}")
        return matches[0] if matches else None
