"""Removing images: the rules and words of ``docker rmi`` (Engine API 1.47, ``DELETE /images/{name}``).

By a name, only that name goes while the image has others; with its last one the image goes. By an id, the image
goes, with all names if they are all in one repository or it is forced. What containers run is never removed.
"""

from __future__ import annotations

from pymachine.dockerapi.errors import Conflict
from pymachine.engine.images.base import Image
from pymachine.engine.images.core import Core
from pymachine.engine.images.lookup import find, is_id, reference_key
from pymachine.engine.images.reference import parse
from pymachine.engine.images.store import Snapshot

Answer = list[dict[str, str]]
_SHORT = 12


async def remove(core: Core, text: str, *, force: bool = False, prune: bool = True) -> Answer:
    """Remove what *text* means; ``[{"Untagged": …}, {"Deleted": …}]``. Raises `NotFound` or `Conflict`."""
    snapshot = core.store.snapshot
    image = find(snapshot, text)
    key = _key(snapshot, image, text)
    if key is None:
        _check_by_id(snapshot, image, force)
        return await _remove_whole(core, image, snapshot.references_of(image.id), force=force, prune=prune)
    references = snapshot.references_of(image.id)
    going = _going_with(key, references)
    if len(going) < len(references):
        return await _untag(core, image, going)
    users = core.users(image.id)
    if users and not force:
        raise Conflict(
            f'conflict: unable to remove repository reference "{text}" (must force) - container '
            f"{users[0].container_id[:_SHORT]} is using its referenced image {_short(image)}"
        )
    if any(user.running for user in users) or snapshot.children(image.id):
        return await _untag(core, image, going)  # the image itself stays for those that need it
    return await _remove_whole(core, image, going, force=force, prune=prune)


def _key(snapshot: Snapshot, image: Image, text: str) -> str | None:
    """The reference that *text* is; ``None`` when it is an id."""
    if is_id(image, text) and (text.startswith("sha256:") or not _is_name(snapshot, text)):
        return None
    return reference_key(snapshot, parse(text))


def _is_name(snapshot: Snapshot, text: str) -> bool:
    try:
        return bool(reference_key(snapshot, parse(text)))
    except ValueError:
        return False


def _going_with(key: str, references: list[str]) -> list[str]:
    """The names that go when *key* does: with a repository's last tag, its digests too."""
    name = parse(key).name
    same = [parse(one) for one in references if parse(one).name == name and one != key]
    if parse(key).digest or any(not one.digest for one in same):
        return [key]
    return [key, *(str(one) for one in same)]


def _check_by_id(snapshot: Snapshot, image: Image, force: bool) -> None:
    repositories = {parse(reference).name for reference in snapshot.references_of(image.id)}
    if len(repositories) > 1 and not force:
        raise Conflict(
            f"conflict: unable to delete {_short(image)} (must be forced) - "
            "image is referenced in multiple repositories"
        )


async def _untag(core: Core, image: Image, keys: list[str]) -> Answer:
    answer = []
    for key in await core.run(core.store.unname, keys):
        answer.append({"Untagged": parse(key).familiar})
        core.publish("untag", image.id, key)
    return answer


async def _remove_whole(core: Core, image: Image, keys: list[str], *, force: bool, prune: bool) -> Answer:
    check_unused(core, image, force=force)
    answer = await _untag(core, image, keys)
    return answer + await _delete(core, image, prune=prune)


def check_unused(core: Core, image: Image, *, force: bool) -> None:
    """Raises `Conflict` when something stands on the image."""
    children = core.store.snapshot.children(image.id)
    if children:
        raise Conflict(
            f"conflict: unable to delete {_short(image)} (cannot be forced) - image has dependent child images"
        )
    for user in core.users(image.id):
        if user.running:
            raise Conflict(
                f"conflict: unable to delete {_short(image)} (cannot be forced) - "
                f"image is being used by running container {user.container_id[:_SHORT]}"
            )
        if not force:
            raise Conflict(
                f"conflict: unable to delete {_short(image)} (must be forced) - "
                f"image is being used by stopped container {user.container_id[:_SHORT]}"
            )


async def _delete(core: Core, image: Image, *, prune: bool) -> Answer:
    """The image, then with *prune* its nameless parents that nothing else needs, then layers."""
    answer: Answer = []
    current: Image | None = image
    while current is not None:
        parent = core.store.snapshot.about[current.id].parent
        before = {layer.chain_id for layer in core.layers.all()}
        await core.run(core.store.remove, current.id)
        await core.run(core.collect)
        after = {layer.chain_id for layer in core.layers.all()}
        answer.append({"Deleted": current.id})
        core.events.publish("image", "delete", current.id, {"name": current.id})
        answer += [{"Deleted": chain} for chain in reversed(current.chain_ids) if chain in before - after]
        current = core.store.snapshot.images.get(parent) if prune and parent else None
        if current is not None and _is_wanted(core, current):
            break
    return answer


def _is_wanted(core: Core, image: Image) -> bool:
    snapshot = core.store.snapshot
    return bool(snapshot.references_of(image.id) or snapshot.children(image.id) or core.users(image.id))


async def prune(core: Core, images: list[Image]) -> tuple[Answer, int]:
    """Remove *images* with all their names, unless something uses them; what went, and the bytes freed."""
    before = sum(layer.size for layer in core.layers.all())
    answer: Answer = []
    for image in images:
        if image.id not in core.store.snapshot.images:
            continue  # went as a parent of one before
        try:
            check_unused(core, image, force=False)
        except Conflict:
            continue
        answer += await _untag(core, image, core.store.snapshot.references_of(image.id))
        answer += await _delete(core, image, prune=True)
    return answer, before - sum(layer.size for layer in core.layers.all())


def _short(image: Image) -> str:
    return image.id[7 : 7 + _SHORT]
