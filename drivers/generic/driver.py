"""The generic driver: a host that is there already. It is never made or removed, and only ever rebooted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pymachine.drivers.base import Adoption, Context, Driver, Features, Finding, State
from pymachine.drivers.generic import options as generic_options
from pymachine.drivers.generic.reachability import answers
from pymachine.machine.errors import (
    DeadlineExceeded,
    DriverError,
    InvalidOption,
    PreCreateCheckFailed,
    RemoteCommandFailed,
    SSHError,
)
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.sudo import SudoPassword

if TYPE_CHECKING:  # what `ls` and `status` never need
    from pymachine.machine.ssh.hostconfig import HostConfig

RESOURCES = ("address", "ssh_user", "ssh_port", "ssh_key", "proxy_command")
"""What this driver keeps in the record: how the host is reached, found out once."""
BOOT_ID = "cat /proc/sys/kernel/random/boot_id; sed 's/.*) //' /proc/1/stat 2>/dev/null | cut -d' ' -f20"
"""The kernel's boot, and when process 1 started (proc(5)): a container can reboot under a kernel that runs on."""
REBOOT = "if command -v shutdown >/dev/null 2>&1; then shutdown -r now; else reboot; fi"
PAUSE = 1.0
"""Seconds between two looks whether a host has rebooted."""


class GenericDriver(Driver):
    """Any host that can be reached by SSH."""

    name = "generic"
    description = "Hosts that are there already, reached by SSH"
    Options = generic_options.Options
    features = Features(lifecycle=False, reboots=True)

    def __init__(self, options: generic_options.Options, context: Context) -> None:
        super().__init__(options, context)
        self.options: generic_options.Options = options

    @property
    def adoption(self) -> Adoption:
        """The host is not ours."""
        return Adoption(keep_hostname=self.options.keep_hostname, takeover=self.options.takeover)

    def pre_create_check(self) -> None:
        """The values, the SSH configuration and the key's file; the host itself is not asked."""
        if problems := self.options.problems():
            raise InvalidOption("; ".join(problems))
        key = self._key_source(self._config())
        if key and not key.is_file():
            raise PreCreateCheckFailed(f'SSH key does not exist: "{key}"')

    @classmethod
    def doctor(cls) -> list[Finding]:
        """SSH's configuration, keys and program."""
        from pymachine.drivers.generic import doctor

        return doctor.findings()

    def create(self) -> None:
        """Note how the host is reached, copy the key, and pin the host key if the user knows it."""
        if problems := self.options.problems():
            raise InvalidOption("; ".join(problems))
        config = self._config()
        self._step("create.host", lambda: self._note_host(config))
        self._step("create.key", lambda: self._import_key(config))
        self._step("create.host-key", lambda: self._pin_host_key(config))

    def start(self) -> None:
        self._refuse("start")

    def stop(self) -> None:
        self._refuse("stop")

    def kill(self) -> None:
        self._refuse("kill")

    def restart(self) -> None:
        """Reboot the host, and wait for its SSH server. Raises `DeadlineExceeded` when it does not come back."""
        from pymachine.machine.ssh.connect import open_session

        end = time.monotonic() + self.context.timeout
        endpoint = self.ssh_endpoint()
        with open_session(endpoint, timeout=self.context.timeout, report=self.context.report) as session:
            left = max(end - time.monotonic(), 0.0)
            before = session.run(BOOT_ID, timeout=left).stdout
            with contextlib.suppress(SSHError, DeadlineExceeded):  # the host may go before it answers
                result = session.run(REBOOT, sudo=True, check=False, timeout=min(left, 30))
                if result.status > 0:
                    raise RemoteCommandFailed("shutdown -r now", result.status, result.stderr)
        self._await_boot(endpoint, before, end)

    def remove(self) -> None:
        """Forget the host; nothing on it is touched."""
        address = self.context.resources.get("address")
        if any([self.context.resources.pop(name, None) for name in RESOURCES]):
            self.context.save()
        if address:
            self.context.report(f"The host {address} is left as it is, with its engine, containers and images.")

    def state(self) -> State:
        """Running when the SSH server answers, else Stopped; none before create."""
        if not self.context.resources.get("address"):
            return State.NONE
        return State.RUNNING if answers(self.ssh_endpoint(), self.context.timeout) else State.STOPPED

    def address(self) -> str:
        """What was given, or what ssh_config makes of it."""
        return str(self._resource("address"))

    def ssh_endpoint(self) -> SSHEndpoint:
        """With the key and the pinned host key in the machine's directory."""
        directory, resources = self.context.directory, self.context.resources
        address, user, key = self.address(), str(self._resource("ssh_user")), resources.get("ssh_key")
        password = SudoPassword(
            user, address, variable=generic_options.SUDO_PASSWORD, stdin=self.options.sudo_password_stdin
        )
        return SSHEndpoint(
            address,
            user,
            int(self._resource("ssh_port")),
            key_path=directory / str(key) if key else None,
            known_hosts=directory / "known_hosts",
            proxy_command=str(resources.get("proxy_command", "")),
            sudo_password=password,
        )

    def engine_url(self) -> str:
        """The URL with the port that was asked for."""
        return f"{super().engine_url().rpartition(':')[0]}:{self.options.engine_port}"

    def _config(self) -> HostConfig:
        from pymachine.machine.ssh.hostconfig import host_config

        path = Path(self.options.ssh_config).expanduser() if self.options.ssh_config else None
        return host_config(self.options.ip_address, config=path, jump=self.options.proxy_jump)

    def _key_source(self, config: HostConfig) -> Path | None:
        """The key that was named for the host: by option, else the first that exists of ssh_config's."""
        if self.options.ssh_key:
            return Path(self.options.ssh_key).expanduser()
        return next((path for path in config.keys if path.is_file()), None)

    def _note_host(self, config: HostConfig) -> dict[str, Any]:
        return {
            "address": config.address,
            "ssh_user": self.options.ssh_user or config.user or "root",
            "ssh_port": self.options.ssh_port or config.port or 22,
            "proxy_command": config.proxy_command,
        }

    def _import_key(self, config: HostConfig) -> dict[str, Any]:
        from pymachine.drivers.generic.identity import import_key

        source = self._key_source(config)
        if source is None:
            self.context.report("No SSH key specified. Assuming an existing key at the default location.")
            return {}
        self.context.report("Importing SSH key...")
        return {"ssh_key": import_key(source, self.context.directory)}

    def _pin_host_key(self, config: HostConfig) -> dict[str, Any]:
        from pymachine.drivers.generic.identity import seed_known_hosts

        seed_known_hosts(self.ssh_endpoint(), config)
        return {}

    def _step(self, name: str, action: Callable[[], dict[str, Any]]) -> None:
        """One journalled step; what it found out is in the record when it is complete."""
        if self.context.journal.done(name):
            return
        self.context.journal.begin(name)
        self.context.resources.update(action())
        self.context.save()
        self.context.journal.complete(name)

    def _await_boot(self, endpoint: SSHEndpoint, before: str, end: float) -> None:
        from pymachine.machine.ssh.connect import open_session

        last = ""
        while (left := end - time.monotonic()) > 0:
            try:
                with open_session(endpoint, timeout=left, report=self.context.report) as session:
                    if session.run(BOOT_ID, timeout=left).stdout != before:
                        return
                last = "the host still runs as before"
            except DeadlineExceeded as error:
                last = f"{error.stage}: {error.last_error}"
            except SSHError as error:  # it went down while we asked
                last = str(error)
            time.sleep(min(PAUSE, max(end - time.monotonic(), 0)))
        raise DeadlineExceeded("waiting for the host to reboot", self.context.timeout, last_error=last)

    def _resource(self, name: str) -> Any:
        value = self.context.resources.get(name)
        if not value:
            raise DriverError(f'machine "{self.context.name}" has no address yet')
        return value

    def _refuse(self, what: str) -> NoReturn:
        raise DriverError(f"generic driver does not support {what}")
