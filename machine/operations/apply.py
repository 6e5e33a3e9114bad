"""Carry out the plan of a fleet: machines that are not wanted go first, then all others come or change at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from pymachine.machine.errors import MachineError
from pymachine.machine.fleet.plan import Plan, Step
from pymachine.machine.machine import Machine, Several
from pymachine.machine.operations.create import create
from pymachine.machine.operations.many import all_or_errors
from pymachine.machine.operations.reconfigure import reconfigure
from pymachine.machine.operations.remove import remove
from pymachine.machine.operations.report import Report
from pymachine.store.base import Store


def check(plan: Plan, *, replace: bool) -> None:
    """Raise `MachineError` when machines would have to be made anew and nobody has allowed it."""
    anew = [step.name for step in plan.having("replace")]
    if anew and not replace:
        raise MachineError(
            f"{', '.join(anew)} would have to be removed and made anew, with all that is on them",
            hint="Allow that by --replace, or give back the settings that changed.",
        )


def apply(
    store: Store, plan: Plan, report: Callable[[str], Report], environ: Mapping[str, str], *, most: int, timeout: float
) -> None:
    """Do what *plan* says, at most *most* machines at a time; *timeout* seconds for each; *report* gives the
    report for a name.

    What fails with one is nothing to the others. Raises one error that lists every failure, by name.
    """
    carry_out = _Carrier(store, plan, report, environ, timeout).carry_out
    errors: list[MachineError] = []
    for steps in (plan.having("remove"), plan.having("create", "change", "replace")):
        try:
            all_or_errors(carry_out, steps, lambda step: step.name, most=most)
        except Several as several:
            errors += several.errors
    if errors:
        raise Several(errors)


@dataclasses.dataclass(frozen=True, slots=True)
class _Carrier:
    store: Store
    plan: Plan
    report: Callable[[str], Report]
    environ: Mapping[str, str]
    timeout: float

    def carry_out(self, step: Step) -> None:
        report = self.report(step.name)
        if step.verb in ("remove", "replace"):
            remove(self.store, step.name, report, timeout=self.timeout)
            report.say("removed")
        if step.request is None:
            return
        if step.verb == "change":
            self._change(step, report)
        else:
            self._create(step, report)

    def _create(self, step: Step, report: Report) -> None:
        assert step.request is not None
        request = dataclasses.replace(
            step.request,
            environ=self.environ,
            timeout=self.timeout,
            fleet=self.plan.fleet.marks(step.request),
        )
        create(self.store, request, report)

    def _change(self, step: Step, report: Report) -> None:
        assert step.request is not None
        reconfigure(
            Machine.load(self.store, step.name),
            report,
            engine=step.request.engine,
            swarm=step.request.swarm,
            tls_san=step.request.tls_san,
            key_type=step.request.key_type,
            timeout=self.timeout,
        )
