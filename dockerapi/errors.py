"""The engine's errors, and the one mapping from them to HTTP.

::

    EngineError                 500  something failed inside
    ├── InvalidArgument         400  the request is malformed or asks for something impossible
    ├── Unauthorized            401  credentials are missing or wrong
    ├── Forbidden               403  understood, and refused
    ├── NotFound                404  "No such container: x", "No such image: x"
    ├── Conflict                409  the object's state or name forbids it
    ├── NotModified             304  already so (start of a started container); carries no body
    ├── NotServed               501  part of the Engine API that this engine does not serve
    └── Unavailable             503  not now (swarm mode calls on a node outside a swarm)

Raise these anywhere in engine or swarm: the API server turns them into the Engine API's error body,
``{"message": ...}`` (Engine API 1.24+, section "Errors").
"""

from __future__ import annotations


class EngineError(Exception):
    """The root of all errors an API client may see. ``str(error)`` is the message it is shown."""

    status = 500


class InvalidArgument(EngineError, ValueError):
    """The request is malformed or asks for something impossible."""

    status = 400


class Unauthorized(EngineError):
    """Credentials are missing or wrong."""

    status = 401


class Forbidden(EngineError):
    """The request was understood and is refused."""

    status = 403


class NotFound(EngineError, LookupError):
    """The object does not exist."""

    status = 404


class Conflict(EngineError):
    """The object's state, or a name already taken, forbids the request."""

    status = 409


class NotModified(EngineError):
    """The object is already in the state asked for; answered without a body."""

    status = 304


class NotServed(EngineError):
    """A part of the Engine API that this engine does not serve."""

    status = 501


class Unavailable(EngineError):
    """The request cannot be served now."""

    status = 503


def status_of(error: BaseException) -> int:
    """The HTTP status for *error*: its class's for ours, 500 for anything else."""
    return error.status if isinstance(error, EngineError) else 500
