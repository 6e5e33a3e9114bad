"""Provision a host: ask for facts, plan each step, send its actions, say what changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pymachine.machine.errors import DeadlineExceeded, MachineError, ProvisionError, RemoteCommandFailed
from pymachine.machine.ssh.base import SSHSession
from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put
from pymachine.provisioners.base import Provisioned, ProvisionPlan, Step, Wanted
from pymachine.provisioners.facts import MINIMUM_PYTHON, Facts, facts_script, parse_facts
from pymachine.provisioners.families import family_of
from pymachine.provisioners.release import build_release
from pymachine.provisioners.steps import STEPS

_RETRY_SECONDS = 3.0


def provision(
    session: SSHSession, plan: ProvisionPlan, report: Callable[[str], None], steps: Sequence[Step] = STEPS
) -> Provisioned:
    """Converge the host behind *session* in *steps* (`CERTIFICATE_STEPS`: its certificates only); running it again
    changes nothing.

    Raises `ProvisionError` naming the step, `SSHError`, or `DeadlineExceeded` after ``plan.timeout`` seconds.
    """
    deadline = _Deadline(plan.timeout)
    facts = _gather(session, deadline, report)
    family_of(facts.os)  # an unknown distribution is refused before anything is changed
    report(f"Provisioning with {facts.os.id}...")
    if facts.python_versions:
        _require_python(facts)
    wanted = Wanted(plan, build_release())
    for step in steps:
        actions = step.plan(facts, wanted)
        if not actions:
            continue
        report(f"{step.title}...")
        _send(session, step, actions, deadline)
        wanted = replace(wanted, changed=(*wanted.changed, step.name))
        if step.name == "packages":
            facts = _require_python(_gather(session, deadline, report))
    return Provisioned(facts.os.id, wanted.release.digest, list(wanted.changed))


class _Deadline:
    """Seconds left of the whole."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, stage: str, last_error: str = "") -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.passed(stage, last_error)
        return left

    def passed(self, stage: str, last_error: str = "") -> DeadlineExceeded:
        hint = f"On the host: journalctl -u {paths.ENGINE_UNIT_NAME}"
        return DeadlineExceeded(stage, self._seconds, last_error=last_error, look_at=hint)


def _gather(session: SSHSession, deadline: _Deadline, report: Callable[[str], None]) -> Facts:
    """The facts, once the host has finished its own first boot (cloud-init)."""
    facts = _facts(session, deadline)
    if facts.cloud_init in ("running", "not run", "not started"):
        report("Waiting for cloud-init to finish...")
        # Status 2 means finished with recoverable errors (cloud-init 23.4), which is none of our business.
        wait = "cloud-init status --wait >/dev/null 2>&1"
        session.run(wait, sudo=True, check=False, timeout=deadline.left("waiting for cloud-init"))
        facts = _facts(session, deadline)
    return facts


def _facts(session: SSHSession, deadline: _Deadline) -> Facts:
    left = deadline.left("asking the host for facts")
    result = session.run("sh -s", stdin=facts_script().encode(), sudo=True, check=False, timeout=left)
    if result.status != 0 and "==end==" not in result.stdout:
        raise ProvisionError(f"cannot run commands as root on the host: {result.stderr.strip() or 'no output'}")
    return parse_facts(result.stdout)


def _require_python(facts: Facts) -> Facts:
    if facts.python:
        return facts
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    found = ", ".join(facts.python_versions) or "none"
    raise ProvisionError(
        f"the engine needs Python {wanted} or newer on the host; {facts.os.pretty_name} has {found}",
        hint=f"Install a Python {wanted} on the host (as python{wanted} on its PATH), or choose a newer release.",
    )


def _send(session: SSHSession, step: Step, actions: Sequence[Action], deadline: _Deadline) -> None:
    for action in actions:
        try:
            _apply(session, step, action, deadline)
        except RemoteCommandFailed as error:
            raise _failure(session, step, error) from error
        except MachineError:
            raise
        except OSError as error:
            raise ProvisionError(f"{step.title} failed: {error}") from error


def _failure(session: SSHSession, step: Step, error: RemoteCommandFailed) -> ProvisionError:
    """With the engine's own last words when it does not start: systemctl only says where to read them."""
    if step.name != "service":
        return ProvisionError(f"{step.title} failed: {_cause(error)}")
    journal = session.run(f"journalctl -u {paths.ENGINE_UNIT_NAME} -t python3 -n 1 -o cat", sudo=True, check=False)
    cause = journal.stdout.strip() or _cause(error)
    return ProvisionError(f"{step.title} failed: {cause}", hint=f"On the host: journalctl -u {paths.ENGINE_UNIT_NAME}")


def _cause(error: RemoteCommandFailed) -> str:
    lines = [line for line in error.output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else str(error)


def _apply(session: SSHSession, step: Step, action: Action, deadline: _Deadline) -> None:
    stage = step.title[0].lower() + step.title[1:]
    if isinstance(action, Put):
        deadline.left(stage)
        session.put(action.data, action.path, mode=action.mode, sudo=True)
        return
    for attempt in range(1, action.attempts + 1):
        try:
            session.run(action.line(), stdin=action.stdin, sudo=True, timeout=deadline.left(stage))
            return
        except DeadlineExceeded as error:
            raise deadline.passed(stage) from error
        except RemoteCommandFailed as error:
            if attempt == action.attempts:
                raise
            deadline.left(stage, str(error))
            time.sleep(min(_RETRY_SECONDS, deadline.left(stage, str(error))))
