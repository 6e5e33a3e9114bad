"""The local driver where there is no Linux: it says so, and machines that were made on Linux can still be listed."""

from __future__ import annotations

from typing import NoReturn

from pymachine.drivers.base import Context, Driver, State
from pymachine.drivers.local import options as local_options
from pymachine.drivers.local import require_linux
from pymachine.drivers.local.endpoint import address_of, endpoint_of
from pymachine.machine.errors import DriverError
from pymachine.machine.ssh.base import SSHEndpoint


class LocalDriver(Driver):
    """A host of another computer, or none."""

    name = "local"
    description = "Linux hosts on this computer, sharing its kernel (on Linux only)"
    Options = local_options.Options

    def __init__(self, options: local_options.Options, context: Context) -> None:
        super().__init__(options, context)
        self.options: local_options.Options = options

    def pre_create_check(self) -> None:
        """Raises `PreCreateCheckFailed`."""
        require_linux()

    def create(self) -> None:
        """Raises `PreCreateCheckFailed`."""
        require_linux()

    def start(self) -> None:
        """Raises `DriverError`."""
        self._refuse()

    def stop(self) -> None:
        """Raises `DriverError`."""
        self._refuse()

    def kill(self) -> None:
        """Raises `DriverError`."""
        self._refuse()

    def remove(self) -> None:
        """Nothing can have been made here; what another computer has, it must remove itself."""
        if self.context.resources.get("address"):
            self._refuse()

    def state(self) -> State:
        """Unknown, which is an error."""
        return State.ERROR if self.context.resources.get("address") else State.NONE

    def address(self) -> str:
        """The address on the computer that has the machine."""
        return address_of(self.context)

    def ssh_endpoint(self) -> SSHEndpoint:
        """As on the computer that has the machine."""
        return endpoint_of(self.context, self.options)

    def _refuse(self) -> NoReturn:
        raise DriverError(
            f'machine "{self.context.name}" is on a Linux computer; this is none',
            hint="run the command there",
        )
