"""The Python interface: machines of one store, and everything that can be done with them.

::

    from pymachine import Client

    client = Client()
    machine = client.create("web", "local", options={"cpus": 2})
    print(client.run(machine, "uname -r").stdout)
    client.remove(machine)

The command line is made of the same calls. All raise `pymachine.machine.errors.MachineError`, whose text is one line
and whose ``hint`` says what can be done. Importing this module imports little; a client may be used by several threads.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pymachine.machine.hostclient import HostClient
from pymachine.machine.machine import Machine, open_machines
from pymachine.machine.operations.report import reporting

if TYPE_CHECKING:
    from pymachine.machine.bundle.connection import Connection
    from pymachine.machine.config import EngineOptions, SwarmOptions
    from pymachine.machine.events import OnEvent
    from pymachine.machine.operations.create import Request
    from pymachine.machine.operations.observe import Row
    from pymachine.machine.ssh.base import Result, SSHSession
    from pymachine.store.base import Damaged, Store

__all__ = ["Client"]

CREATE_TIMEOUT = 600.0
CONVERGE_TIMEOUT = 600.0
"""Seconds that provision, upgrade and regenerate_certs may take on one machine."""
CHANGE_TIMEOUT = 300.0
"""Seconds that start, stop, kill, restart and remove may take on one machine."""
CONNECT_TIMEOUT = 60.0
"""Seconds that an SSH connection may take."""


class Client(HostClient):
    """The machines of one store. Where a machine is asked for, its name will do."""

    def __init__(
        self, storage_path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
    ) -> None:
        """*storage_path* is the store's directory, else what *environ* (the process's own) says, else ``~/.pymachine``.

        Makes nothing and reads nothing.
        """
        self._storage_path = None if storage_path is None else os.fspath(storage_path)
        self.environ: Mapping[str, str] = os.environ if environ is None else environ

    @cached_property
    def store(self) -> Store:
        """The store; opening makes nothing."""
        from pymachine.store.open import open_store

        store = open_store(self._storage_path, self.environ)
        if store.expiring():
            from pymachine.machine.lifetime.watcher import ensure_watched

            ensure_watched(store)
        return store

    # What there is

    def names(self) -> builtins.list[str]:
        """Names of all machines, damaged ones too."""
        return self.store.names()

    def list(self) -> builtins.list[Machine]:
        """All machines whose records can be used; nobody is asked how they are."""
        return self.load_all()[0]

    def damaged(self) -> builtins.list[Damaged]:
        """All records that cannot be used, with the reason."""
        return self.load_all()[1]

    def get(self, name: str) -> Machine:
        """The machine called *name*. Raises `MachineNotFound` or `RecordDamaged`."""
        return Machine.load(self.store, name)

    def several(self, names: Sequence[str]) -> builtins.list[Machine]:
        """All machines called so; if one cannot be loaded none is, and one error lists every failure."""
        return open_machines(self.store, [*names])

    def observe(
        self, machines: Sequence[Machine] | None = None, *, timeout: float = 10.0, engines: bool = True
    ) -> builtins.list[Row]:
        """Ask *machines* (all), and with *engines* their engines, at once: what `ls` shows. None waits longer than
        *timeout* seconds."""
        from pymachine.machine.operations.observe import observe

        asked = self.list() if machines is None else machines
        return observe(asked, self.environ.get("DOCKER_HOST", ""), timeout=timeout, engines=engines)

    def load_all(self) -> tuple[builtins.list[Machine], builtins.list[Damaged]]:
        """`list` and `damaged`, read at once."""
        from pymachine.machine.operations.observe import load_all

        return load_all(self.store)

    # What can be done

    def create(
        self,
        name: str,
        driver: str = "local",
        *,
        options: Mapping[str, Any] | None = None,
        engine: EngineOptions | None = None,
        swarm: SwarmOptions | None = None,
        tls_san: Sequence[str] = (),
        key_type: str = "",
        ttl: float = 0,
        timeout: float = CREATE_TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> Machine:
        """Create a machine, or go on with an interrupted create of the same.

        *options* are the driver's by field name (``{"cpus": 2}``); those not given come from the environment, as on
        the command line. *ttl*: seconds after which the machine is removed by itself, 0 for never.
        Raises `MachineExists`, `InvalidName`, `InvalidOption`, `PreCreateCheckFailed` (nothing was made), or another
        `MachineError` with what was made so far on record: create it again, or remove it.
        """
        from pymachine.machine.config import EngineOptions, SwarmOptions
        from pymachine.machine.operations.create import Request

        request = Request(
            name=name,
            driver=driver,
            options=options or {},
            environ=self.environ,
            engine=engine or EngineOptions(),
            swarm=swarm or SwarmOptions(),
            tls_san=tuple(tls_san),
            key_type=key_type,
            timeout=timeout,
            ttl=ttl,
        )
        return self.create_as(request, on_event=on_event)

    def create_as(self, request: Request, *, on_event: OnEvent | None = None) -> Machine:
        """As `create`, of a request."""
        from pymachine.machine.operations.create import create

        return create(self.store, request, reporting(request.name, on_event))

    def start(
        self, machine: Machine | str, *, timeout: float = CHANGE_TIMEOUT, on_event: OnEvent | None = None
    ) -> None:
        """Start a stopped machine, and wait until its engine answers."""
        from pymachine.machine.operations.start import start

        found = self._machine(machine)
        start(found, reporting(found.name, on_event), timeout=timeout)

    def stop(self, machine: Machine | str, *, timeout: float = CHANGE_TIMEOUT, on_event: OnEvent | None = None) -> None:
        """Let a machine shut down; its data stays."""
        from pymachine.machine.operations.stop import stop

        found = self._machine(machine)
        stop(found, reporting(found.name, on_event), timeout=timeout)

    def kill(self, machine: Machine | str, *, timeout: float = CHANGE_TIMEOUT, on_event: OnEvent | None = None) -> None:
        """Stop a machine at once."""
        from pymachine.machine.operations.stop import kill

        found = self._machine(machine)
        kill(found, reporting(found.name, on_event), timeout=timeout)

    def restart(
        self, machine: Machine | str, *, timeout: float = CHANGE_TIMEOUT, on_event: OnEvent | None = None
    ) -> None:
        """Restart a machine, or start one that is stopped; wait until its engine answers."""
        from pymachine.machine.operations.restart import restart

        found = self._machine(machine)
        restart(found, reporting(found.name, on_event), timeout=timeout)

    def remove(
        self,
        machine: Machine | str,
        *,
        force: bool = False,
        timeout: float = CHANGE_TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        """Remove a machine with all that is on it, whatever a create or remove left of it.

        With *force* its record goes even if its host cannot be removed, which is raised after that; a damaged record
        goes with *force* only.
        """
        from pymachine.machine.operations.remove import remove

        name = machine if isinstance(machine, str) else machine.name
        remove(self.store, name, reporting(name, on_event), force=force, timeout=timeout)

    def provision(
        self, machine: Machine | str, *, timeout: float = CONVERGE_TIMEOUT, on_event: OnEvent | None = None
    ) -> None:
        """Bring a running host to what its record says; changes nothing on one that is as wanted."""
        from pymachine.machine.operations.provision import provision

        found = self._machine(machine)
        provision(found, reporting(found.name, on_event), timeout=timeout)

    def upgrade(
        self, machine: Machine | str, *, timeout: float = CONVERGE_TIMEOUT, on_event: OnEvent | None = None
    ) -> None:
        """Bring a host to the engine that comes with this version; its containers keep running."""
        from pymachine.machine.operations.provision import upgrade

        found = self._machine(machine)
        upgrade(found, reporting(found.name, on_event), timeout=timeout)

    def regenerate_certs(
        self,
        machine: Machine | str,
        *,
        key_type: str = "",
        timeout: float = CONVERGE_TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        """A new server certificate for a running machine, from now on with a *key_type* key if that is given; its
        containers keep running."""
        from pymachine.machine.operations.provision import regenerate_certificates

        found = self._machine(machine)
        regenerate_certificates(found, reporting(found.name, on_event), key_type=key_type, timeout=timeout)

    def renew_client_certificate(self, *, key_type: str = "", on_event: OnEvent | None = None) -> None:
        """A new client certificate of the store, with a *key_type* key if that is given, and a new CA certificate when
        that expires soon; machines get them by `regenerate_certs`."""
        from pymachine.machine.certs.authority import bootstrap
        from pymachine.machine.certs.keytype import key_type as kind

        wanted = kind(key_type) if key_type else None
        bootstrap(self.store, reporting("", on_event).say, renew=True, client_key_type=wanted)

    # How to talk to it

    def connection(self, machine: Machine | str, *, swarm: bool = False, on_event: OnEvent | None = None) -> Connection:
        """Where the machine's engine (or its cluster's manager) answers, checked over TLS; certificates that expire
        soon are renewed first."""
        from pymachine.machine.bundle.connection import connect

        found = self._machine(machine)
        return connect(found, swarm=swarm, report=reporting(found.name, on_event))

    def environment(self, machine: Machine | str, *, swarm: bool = False) -> dict[str, str]:
        """The variables of `env`, for other programs, and for ``docker.from_env(environment=…)``."""
        from pymachine.machine.bundle.environment import variables

        found = self._machine(machine)
        return variables(self.connection(found, swarm=swarm), found.name)

    def docker_client_kwargs(self, machine: Machine | str, *, swarm: bool = False) -> dict[str, Any]:
        """Arguments for ``docker.DockerClient``. Raises `MissingRequirement` when docker-py is not installed."""
        from pymachine.machine.errors import MissingRequirement

        try:
            from docker.tls import TLSConfig
        except ImportError as error:
            raise MissingRequirement("docker-py is not installed", hint="pip install docker") from error
        connection = self.connection(machine, swarm=swarm)
        path = connection.cert_path
        tls = TLSConfig(
            client_cert=(str(path / "cert.pem"), str(path / "key.pem")), ca_cert=str(path / "ca.pem"), verify=True
        )
        return {"base_url": connection.url, "tls": tls}

    def ssh(
        self, machine: Machine | str, *, timeout: float = CONNECT_TIMEOUT, on_event: OnEvent | None = None
    ) -> SSHSession:
        """An SSH session with the machine, waited for *timeout* seconds at most; a context manager."""
        from pymachine.machine.ssh.connect import open_session

        found = self._machine(machine)
        report = reporting(found.name, on_event)
        return open_session(found.driver(report).ssh_endpoint(), timeout=timeout, report=report.note)

    def run(
        self,
        machine: Machine | str,
        command: str,
        *,
        stdin: bytes | None = None,
        sudo: bool = False,
        check: bool = True,
        timeout: float = 600,
    ) -> Result:
        """Run one shell command line on the machine; see `pymachine.machine.ssh.base.SSHSession.run`."""
        with self.ssh(machine) as session:
            return session.run(command, stdin=stdin, sudo=sudo, check=check, timeout=timeout)

    def _machine(self, machine: Machine | str) -> Machine:
        return self.get(machine) if isinstance(machine, str) else machine
