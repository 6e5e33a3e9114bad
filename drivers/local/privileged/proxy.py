"""The local driver of users without root: what they may see they see themselves, the rest is the helper's work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymachine.drivers.base import Context, Driver, State
from pymachine.drivers.local import cgroups, launch
from pymachine.drivers.local import options as local_options
from pymachine.drivers.local.endpoint import address_of, endpoint_of, pin_host_key
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.resizing import resized
from pymachine.drivers.options import to_json
from pymachine.machine.errors import DriverError
from pymachine.machine.ssh.base import SSHEndpoint

RESOURCES = ("address", "subnet", "image", "root")
"""What the helper needs to know of the record, and may change in it."""


class LocalDriver(Driver):
    """A host on this computer, made and run by the privileged helper."""

    name = "local"
    description = "Linux hosts on this computer, sharing its kernel (systemd-nspawn)"
    Options = local_options.Options

    def __init__(self, options: local_options.Options, context: Context) -> None:
        super().__init__(options, context)
        self.options: local_options.Options = options

    def pre_create_check(self) -> None:
        """Everything that root would be told."""
        self._call("pre_create_check")

    def create(self) -> None:
        """Make the key here, and the host there."""
        from pymachine.machine.ssh.keys import ensure_key

        kind, value = ensure_key(self.context.directory / "id_ed25519").split()[:2]
        self._call("create", authorized_key=f"{kind} {value}")

    def start(self) -> None:
        """Start a stopped host; fine when running."""
        self._call("start")

    def stop(self) -> None:
        """Power the host off; fine when stopped."""
        self._call("stop")

    def kill(self) -> None:
        """Stop at once; fine when stopped."""
        self._call("kill")

    def restart(self) -> None:
        """Stop and start."""
        self._call("restart")

    def remove(self) -> None:
        """Remove the host and all that create made; root is not asked for where there can be nothing."""
        if self._has_traces():
            self._call("remove")

    def renamed(self) -> None:
        """Tell the helper the new name."""
        self._call("renamed")

    def resize(self, *, cpus: int = 0, memory: str = "", disk: str = "") -> Mapping[str, Any]:
        """Other limits from the next start on."""
        return resized(cpus=cpus, memory=memory, disk=disk)

    def state(self) -> State:
        """By what everybody may see: the machine's folder, and whether its control groups have processes."""
        if not self._has_folder():
            return State.ERROR if self.context.resources.get("address") else State.NONE
        machine_id = self.context.machine_id
        names = (launch.cgroup_name(machine_id), f"system.slice/{launch.unit_name(machine_id)}")
        return State.RUNNING if any(cgroups.members(name) for name in names) else State.STOPPED

    def address(self) -> str:
        """The address that the machine has for its whole life."""
        return address_of(self.context)

    def ssh_endpoint(self) -> SSHEndpoint:
        """Port 22, with the key and the pinned host key in the machine's directory."""
        return endpoint_of(self.context, self.options)

    def _has_folder(self) -> bool:
        try:
            return Layout.from_environment().machine(self.context.machine_id).directory.is_dir()
        except PermissionError:  # an administrator's umask; then the record must do
            return True

    def _has_traces(self) -> bool:
        """Before create has begun anything, the journal and the record know of nothing."""
        known = any(self.context.resources.get(name) for name in RESOURCES)
        return known or bool(self.context.journal.facts()) or self._has_folder()

    def _call(self, operation: str, **more: str) -> None:
        from pymachine.drivers.local.privileged.client import call  # most commands need no root

        context = self.context
        request = {
            "operation": operation,
            "roots": roots(),
            "id": context.machine_id,
            "name": context.name,
            "options": to_json(self.options),
            "resources": {name: str(value) for name in RESOURCES if (value := context.resources.get(name))},
            "timeout": context.timeout,
            **more,
        }
        call(request, self._serve)

    def _serve(self, message: dict[str, Any]) -> None:
        """What the helper tells, and asks to be noted: here, before it goes on."""
        context, asked = self.context, message.get("ask")
        if "tell" in message:
            context.report(str(message["tell"]))
        elif asked == "begin":
            context.journal.begin(str(message["step"]), **message["facts"])
        elif asked == "complete":
            context.journal.complete(str(message["step"]), **message["facts"])
        elif asked == "save":
            given = message["resources"]
            for name in RESOURCES:
                context.resources.pop(name, None)
            context.resources.update({name: str(given[name]) for name in RESOURCES if name in given})
            context.save()
        elif asked == "pin":
            pin_host_key(context.directory, str(message["address"]), str(message["key"]))
        else:
            raise DriverError(f"the privileged helper asks for something unknown: {asked!r}")


def roots() -> list[str]:
    """The roots that the environment names, as the helper takes them."""
    names = ("PYMACHINE_LOCAL_ROOT", "PYMACHINE_IMAGE_ROOT")
    return [str(Path(value).absolute()) if (value := os.environ.get(name)) else "" for name in names]
