"""Provision a host: ask for facts, plan each step, send its actions, say what changed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pymachine.machine.errors import DeadlineExceeded, MachineError, ProvisionError, RemoteCommandFailed
from pymachine.machine.ssh.base import Result, SSHSession
from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put
from pymachine.provisioners.admission import admit, no_python
from pymachine.provisioners.base import Provisioned, ProvisionPlan, Step, Wanted
from pymachine.provisioners.facts import Facts, facts_script, parse_facts
from pymachine.provisioners.release import build_release
from pymachine.provisioners.services import ServiceManager, manager_of
from pymachine.provisioners.steps import READ_BY_ENGINE, STEPS

_RETRY_SECONDS = 3.0
_LAST_WORDS_SECONDS = 15.0
"""For asking what the engine said when it did not start, be the time of the whole over by then."""


def provision(
    session: SSHSession, plan: ProvisionPlan, report: Callable[[str], None], steps: Sequence[Step] = STEPS
) -> Provisioned:
    """Converge the host behind *session* in *steps* (`CERTIFICATE_STEPS`: its certificates only); running it again
    changes nothing.

    Raises `ProvisionError` naming the step, `SSHError`, or `DeadlineExceeded` after ``plan.timeout`` seconds.
    """
    deadline = _Deadline(plan.timeout)
    facts = _gather(session, deadline, report)
    report(f"Provisioning with {facts.os.id}...")
    admit(facts, plan)
    deadline.log = manager_of(facts).log
    wanted = Wanted(plan, build_release(), changed=facts.unread)
    for step in steps:
        actions = step.plan(facts, wanted)
        if not actions:
            continue
        report(f"{step.title}...")
        _mark_unread(session, step, deadline)
        _send(session, step, actions, deadline, manager_of(facts))
        wanted = replace(wanted, changed=(*wanted.changed, step.name))
        if step.name == "packages":
            facts = _require_python(_gather(session, deadline, report))
    if set(wanted.changed) & READ_BY_ENGINE:
        _run(session, f"rm -f {paths.UNREAD}.*", deadline, "finishing")
    return Provisioned(facts.os.id, wanted.release.digest, list(dict.fromkeys(wanted.changed)))


def _mark_unread(session: SSHSession, step: Step, deadline: _Deadline) -> None:
    """Let the host remember that its engine has to read a change, should we be cut off before it does."""
    if step.name in READ_BY_ENGINE:
        script = f"mkdir -p {paths.CONFIG_DIR} && touch {paths.UNREAD}.{step.name}"
        _run(session, script, deadline, _stage(step))


class _Deadline:
    """Seconds left of the whole."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self.log = f"journalctl -u {paths.ENGINE_UNIT_NAME}"
        """Where the host tells more; OpenRC's hosts have a file."""

    def left(self, stage: str, last_error: str = "") -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.passed(stage, last_error)
        return left

    def passed(self, stage: str, last_error: str = "") -> DeadlineExceeded:
        return DeadlineExceeded(stage, self._seconds, last_error=last_error, look_at=f"On the host: {self.log}")


def _gather(session: SSHSession, deadline: _Deadline, report: Callable[[str], None]) -> Facts:
    """The facts, once the host has finished its own first boot (cloud-init)."""
    facts = _facts(session, deadline)
    if facts.cloud_init in ("running", "not run", "not started"):
        report("Waiting for cloud-init to finish...")
        # Status 2 means finished with recoverable errors (cloud-init 23.4), which is none of our business.
        wait = "cloud-init status --wait >/dev/null 2>&1"
        _run(session, wait, deadline, "waiting for cloud-init", check=False)
        facts = _facts(session, deadline)
    return facts


def _facts(session: SSHSession, deadline: _Deadline) -> Facts:
    try:
        stage = "asking the host for facts"
        return parse_facts(_run(session, "sh -s", deadline, stage, stdin=facts_script().encode()).stdout)
    except RemoteCommandFailed as error:
        raise ProvisionError(f"cannot run commands as root on the host: {_cause(error)}") from error


def _run(
    session: SSHSession,
    command: str,
    deadline: _Deadline,
    stage: str,
    *,
    stdin: bytes | None = None,
    check: bool = True,
) -> Result:
    """As root, for as long as there is time; its end is told as the *stage*'s."""
    try:
        return session.run(command, stdin=stdin, sudo=True, check=check, timeout=deadline.left(stage))
    except DeadlineExceeded as error:
        raise deadline.passed(stage, error.last_error) from error


def _require_python(facts: Facts) -> Facts:
    if not facts.python:
        raise no_python(facts)
    return facts


def _send(
    session: SSHSession, step: Step, actions: Sequence[Action], deadline: _Deadline, manager: ServiceManager
) -> None:
    for action in actions:
        try:
            _apply(session, step, action, deadline)
        except RemoteCommandFailed as error:
            raise _failure(session, step, error, manager) from error
        except MachineError:
            raise
        except OSError as error:
            raise ProvisionError(f"{step.title} failed: {error}") from error


def _failure(session: SSHSession, step: Step, error: RemoteCommandFailed, manager: ServiceManager) -> ProvisionError:
    """With the engine's own last words when it does not start: its manager only says where to read them."""
    if step.name != "service":
        return ProvisionError(f"{step.title} failed: {_cause(error)}")
    said = ""
    with contextlib.suppress(MachineError):
        said = session.run(manager.last_words, sudo=True, check=False, timeout=_LAST_WORDS_SECONDS).stdout.strip()
    return ProvisionError(f"{step.title} failed: {said or _cause(error)}", hint=f"On the host: {manager.log}")


def _cause(error: RemoteCommandFailed) -> str:
    lines = [line for line in error.output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else str(error)


def _lock(error: RemoteCommandFailed, lock: str) -> str:
    """The line that says who holds a lock; empty when it was none."""
    lines = error.output.splitlines() if lock else []
    return next((line.strip() for line in lines if re.search(lock, line)), "")


def _stage(step: Step) -> str:
    return step.title[0].lower() + step.title[1:]


def _apply(session: SSHSession, step: Step, action: Action, deadline: _Deadline) -> None:
    stage = _stage(step)
    if isinstance(action, Put):
        return _put(session, action, deadline, stage)
    failures = 0
    while True:
        try:
            _run(session, action.line(), deadline, stage, stdin=action.stdin)
            return
        except RemoteCommandFailed as error:
            failures += not _lock(error, action.lock)
            if failures >= action.attempts:
                raise
            cause = _lock(error, action.lock) or _cause(error)
            time.sleep(min(_RETRY_SECONDS, deadline.left(stage, cause)))
            deadline.left(stage, cause)


def _put(session: SSHSession, action: Put, deadline: _Deadline, stage: str) -> None:
    try:
        session.put(action.data, action.path, mode=action.mode, sudo=True, timeout=deadline.left(stage))
    except DeadlineExceeded as error:
        raise deadline.passed(stage, error.last_error) from error
