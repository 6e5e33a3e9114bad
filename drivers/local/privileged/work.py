"""The helper's work: the local driver itself, for a caller whose record and keys are elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pymachine.drivers.base import Context
from pymachine.drivers.local.driver import LocalDriver
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.privileged import rights
from pymachine.drivers.local.privileged.requests import ImageRequest, MachineRequest, Refused
from pymachine.drivers.local.privileged.rights import Caller
from pymachine.drivers.local.privileged.turns import turn

NEED_MOUNTS = ("pre_create_check", "create", "start", "restart")


class Line(Protocol):
    """The connection of one call."""

    def tell(self, text: str) -> None:
        """Progress."""
        ...

    def ask(self, what: str, **facts: Any) -> None:
        """Let the client note something; returns when it is on its disk. Raises `DriverError` when it cannot."""
        ...


class RemoteJournal:
    """A journal that the client keeps; the local driver only writes it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def done(self, step: str) -> bool:
        """Unknown here; every step finds out itself what is there."""
        return False

    def begin(self, step: str, **facts: Any) -> None:
        """Before something outside comes to exist."""
        self._line.ask("begin", step=step, facts=facts)

    def complete(self, step: str, **facts: Any) -> None:
        """After."""
        self._line.ask("complete", step=step, facts=facts)

    def facts(self) -> Mapping[str, Any]:
        """Unknown here."""
        return {}

    def clear(self) -> None:
        """The client's own business."""


class CallersDriver(LocalDriver):
    """The local driver with the machine's directory out of reach."""

    def __init__(self, request: MachineRequest, line: Line, layout: Layout, caller: Caller) -> None:
        context = Context(
            machine_id=request.machine_id,
            name=request.name,
            store_id="",
            directory=Path("/nonexistent"),
            resources=dict(request.resources),
            save=lambda: line.ask("save", resources=self.context.resources),
            journal=RemoteJournal(line),
            report=line.tell,
            timeout=request.timeout,
        )
        super().__init__(request.options, context, layout)
        self.owner = caller.uid
        self._key = request.authorized_key
        self._line = line

    def _authorized_key(self) -> str:
        if not self._key:
            raise Refused("create needs the machine's public key")
        return self._key

    def _pin_host_key(self, address: str, host_key: str) -> None:
        self._line.ask("pin", address=address, key=host_key)


def perform(request: MachineRequest | ImageRequest, line: Line, caller: Caller) -> str:
    """Do what is asked, if the caller may; returns what is to be told of it."""
    layout = rights.layout(request.roots)
    if isinstance(request, ImageRequest):
        return _image(request, line, layout)
    with turn(layout.network / "helper.lock", request.machine_id, request.timeout):
        _machine(request, line, layout, caller)
    return ""


def _machine(request: MachineRequest, line: Line, layout: Layout, caller: Caller) -> None:
    rights.check_owner(layout.machine(request.machine_id), caller)
    driver = CallersDriver(request, line, layout, caller)
    if request.operation in NEED_MOUNTS:
        driver.options = rights.own_mounts(request.options, caller)
    operations: Mapping[str, Callable[[], object]] = {
        "pre_create_check": driver.pre_create_check,
        "create": driver.create,
        "start": driver.start,
        "stop": driver.stop,
        "kill": driver.kill,
        "restart": driver.restart,
        "remove": driver.remove,
        "renamed": driver.renamed,
    }
    operations[request.operation]()


def _image(request: ImageRequest, line: Line, layout: Layout) -> str:
    if request.operation == "image.build":
        from pymachine.drivers.local.images.build import build

        return build(request.name, report=line.tell, force=request.force, layout=layout).digest
    from pymachine.drivers.local.images.catalog import Catalog

    return Catalog(layout.images).remove(request.name).digest
