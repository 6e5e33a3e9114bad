"""Remove from a storage pool the images on which no machine's disk is made any more."""

from __future__ import annotations

from pymachine.drivers.libvirt.connection import connect, told
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.storage import WHOLE, Storage


def prune(options: Options) -> list[tuple[str, int]]:
    """Name and bytes of what was removed from the pool of *options*.

    The mark that an image is whole goes first: a create that comes meanwhile uploads the image again.
    """
    connection = connect(options.uri)
    with told("removing unused images"):
        storage = Storage(connection, options)
        storage.refresh()
        used = storage.used_bases()
        removed = []
        for name, size in storage.bases():
            if storage.path(name) not in used:
                storage.delete(name + WHOLE)
                storage.delete(name)
                removed.append((name, size))
    return removed
