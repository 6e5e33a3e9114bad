"""Errors of the operating system, told as ours: one line, with a remedy where there is one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from pymachine.machine.errors import DriverError, MachineError, MissingRequirement

HINTS = {
    errno.ENOSPC: "free some disk space, then run the command again",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "set PYMACHINE_LOCAL_ROOT to a folder on a writable disk",
}


@contextlib.contextmanager
def told(stage: str) -> Iterator[None]:
    """Turn an `OSError` in the block into a `DriverError` that says in which *stage* it came.

    Our own errors pass, those too that are kinds of `OSError`. Without root, a refusal becomes
    `MissingRequirement`.
    """
    try:
        yield
    except MachineError:
        raise
    except OSError as error:
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise MissingRequirement(
                f"{stage} needs root: {error.filename or error.strerror}", hint="run the command with sudo -E"
            ) from error
        where = f": {error.filename}" if error.filename else ""
        hint = HINTS.get(error.errno or 0, "")
        raise DriverError(f"{stage} failed: {error.strerror or error}{where}", hint=hint) from error
