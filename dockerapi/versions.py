"""Engine API versions: what is served, and how a version in a path is read (``/v1.41/containers/json``).

The texts of the two refusals are those that Docker's clients know (Engine API, "Versioning").
"""

from __future__ import annotations

import re

from pymachine.dockerapi.errors import InvalidArgument

Version = tuple[int, int]

MINIMUM: Version = (1, 24)
MAXIMUM: Version = (1, 47)

_PREFIX = re.compile(r"/v(\d{1,4})\.(\d{1,4})(?=/|\Z)")


def text(version: Version) -> str:
    """``1.47``."""
    return f"{version[0]}.{version[1]}"


def split(path: str) -> tuple[Version, str]:
    """The API version that *path* asks for (the newest when it names none) and the path without it.

    Raises `InvalidArgument` for a version outside of what is served.
    """
    match = _PREFIX.match(path)
    if match is None:
        return MAXIMUM, path
    version = int(match[1]), int(match[2])
    check(version)
    return version, path[match.end() :] or "/"


def check(version: Version) -> None:
    """Raise `InvalidArgument` for a version outside of what is served."""
    if version > MAXIMUM:
        raise InvalidArgument(
            f"client version {text(version)} is too new. Maximum supported API version is {text(MAXIMUM)}"
        )
    if version < MINIMUM:
        raise InvalidArgument(
            f"client version {text(version)} is too old. Minimum supported API version is {text(MINIMUM)}, "
            "please upgrade your client to a newer version"
        )
