"""pymachine: make container hosts anywhere, and run them.

    from pymachine import Client

Every folder at the top of the repository (``machine/``, ``drivers/``, ``engine/``, …) is a subpackage
``pymachine.<folder>``: this directory holds one symbolic link for each of them, so that standard tools
find ``pymachine.drivers.local`` without configuration and a wheel carries plain files.
Import through the package (``from pymachine.drivers.base import Driver``), never by the folder's name.
"""

TYPE_CHECKING = False  # type checkers know better; importing typing would be felt at every press of the Tab key
if TYPE_CHECKING:
    from pymachine.machine.client import Client
    from pymachine.machine.config import EngineOptions, SwarmOptions
    from pymachine.machine.errors import MachineError
    from pymachine.machine.events import Event, Message, Note, Progress, Stage, Warned, follow
    from pymachine.machine.machine import Machine

__version__ = "0.1.0"

__all__ = [
    "Client",
    "EngineOptions",
    "Event",
    "Machine",
    "MachineError",
    "Message",
    "Note",
    "Progress",
    "Stage",
    "SwarmOptions",
    "Warned",
    "__version__",
    "follow",
]

_HOMES = {
    "Client": "client",
    "EngineOptions": "config",
    "Event": "events",
    "Machine": "machine",
    "MachineError": "errors",
    "Message": "events",
    "Note": "events",
    "Progress": "events",
    "Stage": "events",
    "SwarmOptions": "config",
    "Warned": "events",
    "follow": "events",
}
"""The module in `pymachine.machine` of each public name; none is imported before it is asked for."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(f"{__name__}.machine.{_HOMES[name]}"), name)
