"""Bring a running host to where its engine answers over TLS: SSH, certificate, provisioning, health."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pymachine.machine.errors import CertificateError, MachineError
from pymachine.machine.log.file import WorkLog
from pymachine.machine.log.recording import RecordingSession, recording
from pymachine.machine.machine import Machine
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report

if TYPE_CHECKING:
    from pymachine.drivers.base import Driver
    from pymachine.provisioners.base import Provisioned, ProvisionPlan, Step, TLSFiles

ATTEMPT = 5.0
"""Seconds that one attempt to reach the engine may take."""
CERTIFICATE_GRACE = 10.0
"""Seconds in which an engine must have read new certificates; then one that does not fit is an error."""
PROXY_GRACE = 30.0
"""Seconds in which an engine whose host is reached through another must answer itself; it may never be able to."""
PAUSE = 0.2
"""Seconds between two attempts."""
DUE = "due"
"""In ``provisioned``: why a host is to be provisioned again when it runs next (it got another name, for instance)."""


def prepare() -> None:
    """Load what provisioning needs and build the engine release, in a thread, while the driver makes the host."""
    threading.Thread(target=_prepare, daemon=True).start()


def _prepare() -> None:
    with contextlib.suppress(Exception):  # whatever fails here fails again where it is needed, and is told there
        import pymachine.machine.ssh.paramiko_session  # noqa: F401
        from pymachine.provisioners.release import build_release

        build_release()


def provision(machine: Machine, driver: Driver, report: Report, deadline: Deadline) -> Provisioned:
    """Converge the host and wait for its engine; what was done is in the record, saved.

    The server certificate is made anew when the one there is does not fit the address.
    """
    from pymachine.provisioners.steps import STEPS

    tls = functools.partial(server_certificate, machine, driver)
    with recording(machine.directory, report, "provision") as noting:
        done = _converge(machine, driver, noting, deadline, tls, STEPS)
        machine.record.provisioned |= {
            "provisioner": done.provisioner,
            "release": done.release,
            "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        machine.record.provisioned.pop(DUE, None)
        machine.save()
        wait_for_engine(machine, driver, noting, deadline)
    return done


def rotate(machine: Machine, driver: Driver, report: Report, deadline: Deadline, *, renew: bool = False) -> None:
    """Bring the host the certificates that it should have, and let its engine read them; nothing is restarted.

    The server certificate is made anew when *renew*, or when the one there is does not fit the address.
    """
    from pymachine.provisioners.steps import CERTIFICATE_STEPS

    tls = functools.partial(server_certificate, machine, driver, renew=renew)
    with recording(machine.directory, report, "send certificates") as noting:
        _converge(machine, driver, noting, deadline, tls, CERTIFICATE_STEPS)
        machine.save()
        wait_for_engine(machine, driver, noting, deadline)


def _converge(
    machine: Machine,
    driver: Driver,
    report: Report,
    deadline: Deadline,
    certificates: Callable[[], TLSFiles],
    steps: Sequence[Step],
) -> Provisioned:
    """Take *steps* on the host; notes in the record, not saved yet, which certificates the host has now."""
    from pymachine.machine.certs.renewal import edition
    from pymachine.machine.ssh.connect import open_session
    from pymachine.provisioners.converge import provision as converge_host

    report.stage("Waiting for SSH to be available...")
    left = deadline.left("waiting for SSH to be available")
    look_at = f'See "pymachine status {machine.name}" and "pymachine logs {machine.name}".'
    with (
        deadline.shared(look_at),
        open_session(driver.ssh_endpoint(), timeout=left, report=_noting(machine, report)) as session,
    ):
        tls = certificates()
        report.stage("Detecting the provisioner...")
        plan = _plan(machine, driver, tls, deadline.left("provisioning"))
        done = converge_host(RecordingSession(session, WorkLog(machine.directory)), plan, report.stage, steps)
    machine.record.provisioned["certificates"] = edition(machine.directory)
    return done


def reach(machine: Machine, driver: Driver, report: Report, deadline: Deadline) -> None:
    """After a start: wait for the engine, with new certificates when the address has changed or they expire soon, and
    with all of provisioning when the record has changed meanwhile."""
    from pymachine.machine.operations.renew import reason, renew_in_time

    if machine.record.provisioned.get(DUE):
        provision(machine, driver, report, deadline)
        return
    why = reason(machine, driver.address())
    if why:
        renew_in_time(machine, driver, report, deadline, why)
        return
    wait_for_engine(machine, driver, report, deadline)


def wait_for_engine(machine: Machine, driver: Driver, report: Report, deadline: Deadline) -> None:
    """Return once the engine answers, over TLS (or by SSH, where docker is to reach it so); its version is in the
    record, saved."""
    report.stage("Checking connection to Docker...")
    look_at = f'See "pymachine logs {machine.name}".'
    last, began = "", time.monotonic()
    while True:
        left = deadline.left("checking the connection to Docker", last_error=last, look_at=look_at)
        try:
            version = _engine_version(machine, driver, min(left, ATTEMPT))
            break
        except MachineError as error:
            waited = time.monotonic() - began
            if isinstance(error, CertificateError) and waited > CERTIFICATE_GRACE:
                raise
            if waited > PROXY_GRACE and driver.features.provisions and driver.ssh_endpoint().proxy_command:
                raise _out_of_reach(driver, error) from error
            last = str(error)
            time.sleep(min(PAUSE, left))
    machine.record.provisioned["engine_version"] = version
    machine.save()
    keep_context(machine, driver, report)
    report.say("Docker is up and running!")


def _out_of_reach(driver: Driver, error: MachineError) -> MachineError:
    """The host is provisioned; only the direct way to its engine is missing."""
    return MachineError(
        f"{error}, while its host is reached by SSH through another",
        hint=f"Let this computer reach {driver.engine_url()}, or use docker by SSH: set MACHINE_DOCKER_CONTEXT=ssh.",
    )


def _engine_version(machine: Machine, driver: Driver, timeout: float) -> str:
    from pymachine.machine.certs.check import check_engine
    from pymachine.machine.context.upkeep import version_through_ssh

    version = version_through_ssh(machine)
    return version or check_engine(driver.engine_url(), machine.directory, timeout).version


def keep_context(machine: Machine, driver: Driver, report: Report) -> None:
    """Bring the machine's docker context up to date, if it has one."""
    from pymachine.machine.context.upkeep import keep

    keep(machine, driver.engine_url(), report)


def server_certificate(machine: Machine, driver: Driver, *, renew: bool = False) -> TLSFiles:
    """The machine's server certificate for the address it has now, made when *renew* or when none fits; CA and client
    certificate are beside it.

    Without *renew* one of another CA than the store's is left as it is (`is_foreign`).
    """
    from pymachine.machine.certs.authority import is_foreign
    from pymachine.machine.certs.keytype import key_type
    from pymachine.machine.certs.server import TLSPaths, issue_server, server_files
    from pymachine.provisioners.base import TLSFiles

    hosts = [driver.address()]
    directory = machine.directory
    server_files(TLSPaths.in_directory(directory)).recover()  # what a killed process was about to put in place
    foreign = is_foreign(machine.store, machine.name)
    if renew or (not foreign and certificate_misfit(machine, hosts)):
        extra, master = machine.record.tls_san, machine.swarm.master
        kind = key_type(machine.record.tls.get("key_type", ""))
        paths = issue_server(machine.store, machine.name, hosts, extra, swarm_master=master, key_type=kind)
        return TLSFiles(ca=paths.ca, cert=paths.cert, key=paths.key)
    if not foreign:
        hand_out_client_certificate(machine)  # a crash may have come between
    return TLSFiles(ca=directory / "ca.pem", cert=directory / "server.pem", key=directory / "server-key.pem")


def certificate_misfit(machine: Machine, hosts: list[str]) -> str:
    """Why the server certificate cannot serve *hosts*; empty when it can."""
    from pymachine.machine.certs.server import server_certificate_fits

    ca = machine.store.certs_dir() / "ca.pem"
    return server_certificate_fits(machine.directory, [*hosts, *machine.record.tls_san, machine.name], ca=ca)


def hand_out_client_certificate(machine: Machine) -> None:
    """Copy CA and client certificate to the machine's directory, where ``env`` and ``config`` point."""
    from pymachine.machine.certs.authority import copy_client

    copy_client(machine.store, machine.directory)


def _plan(machine: Machine, driver: Driver, tls: TLSFiles, timeout: float) -> ProvisionPlan:
    import socket

    from pymachine.machine.certs.authority import owner
    from pymachine.provisioners.base import ProvisionPlan

    adoption = driver.adoption
    return ProvisionPlan(
        machine_name=machine.name,
        driver_name=machine.record.driver,
        engine=machine.engine,
        tls=tls,
        engine_port=driver.engine_port(),
        set_hostname=not (adoption and adoption.keep_hostname),
        adopted=adoption is not None,
        # Consent is for the create that it was given to, not for all that comes after.
        takeover=bool(adoption and adoption.takeover and machine.record.phase == "creating"),
        store_id=machine.store.id,
        client=f"{owner()}@{socket.gethostname()}",
        timeout=timeout,
    )


def _noting(machine: Machine, report: Report) -> Callable[[str], None]:
    return lambda text: report.note(f"({machine.name}) {text}")
