"""Give a machine another name: in the store, on its host, in its certificate, in docker's contexts.

The store's part happens at one moment. What a crash leaves undone after it, the same rename does when it is run again,
and so does the next start or ``provision``.
"""

from __future__ import annotations

from pymachine.machine.errors import MachineError, MachineExists, MachineNotFound
from pymachine.machine.machine import Machine
from pymachine.machine.names import check_name
from pymachine.machine.operations import converge
from pymachine.machine.operations.changing import TIMEOUT
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report
from pymachine.store.base import Store

_STEP = "rename"


def rename(store: Store, name: str, new: str, report: Report, *, timeout: float = TIMEOUT) -> Machine:
    """Call the machine *name* from now on *new*; containers keep running.

    A host that runs is told at once, any other when it starts next. Raises `MachineExists` when *new* is taken.
    """
    deadline = Deadline(timeout)
    check_name(new, f'Error renaming machine "{name}": ')
    if name == new:
        raise MachineExists(new)
    _find(store, name, new)  # an unknown name must not leave lock files behind
    first, second = sorted((name, new))
    with store.lease(first, "rename"), store.lease(second, "rename"):
        machine = _find(store, name, new)
        if machine.name == name:
            machine = _rename_record(machine, new)
        _tell_host(machine, report, deadline)
        store.journal(new).clear()
    return machine


def _find(store: Store, name: str, new: str) -> Machine:
    """The machine under its old name, or under the new one when this rename was interrupted."""
    try:
        machine = Machine.load(store, name)
    except MachineNotFound:
        if new in store.names() and store.journal(new).facts().get("renamed_from") == name:
            return Machine.load(store, new)
        raise
    if not machine.ready:
        raise MachineError(f'Cannot rename machine "{name}": {machine.unfinished}')
    if new in store.names():
        raise MachineExists(new)
    return machine


def _rename_record(machine: Machine, new: str) -> Machine:
    from pymachine.machine.context.tunnel import Tunnel

    Tunnel(machine.directory).close()  # its sockets are in the directory that moves
    if machine.record.provisioned.get("release"):  # else the host is not provisioned by us
        machine.record.provisioned[converge.DUE] = "the machine was renamed"
        machine.save()
    machine.store.journal(machine.name).begin(_STEP, renamed_from=machine.name)
    return Machine(machine.store, machine.store.rename(machine.name, new))


def _tell_host(machine: Machine, report: Report, deadline: Deadline) -> None:
    driver = machine.driver(report, timeout=deadline.left("renaming"))
    driver.renamed()
    running = driver.state().value == "Running"
    if running and machine.record.provisioned.get(converge.DUE):
        try:
            converge.provision(machine, driver, report, deadline)
        except MachineError as error:
            error.add_note(
                f'The machine is called "{machine.name}" now; "pymachine provision {machine.name}" does the rest.'
            )
            raise
    elif running:
        converge.keep_context(machine, driver, report)
    report.say(f'The machine is called "{machine.name}" now.')
    if not running and machine.record.provisioned.get(converge.DUE):
        report.say("Its host is told when it starts next.")
