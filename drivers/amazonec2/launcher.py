"""Get the machine's one instance: the one that is there, or a new one by the first way that has capacity."""

from __future__ import annotations

from pymachine.drivers.amazonec2 import faults, instances
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.launch import Parts, Way, parameters, token, ways
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.amazonec2.plan import Plan
from pymachine.drivers.amazonec2.waiting import FOUND_SECONDS, settled
from pymachine.drivers.base import Context
from pymachine.machine.errors import DriverError

NEW_TOKEN = ("IdempotentInstanceTerminated", "IdempotentParameterMismatch")
JUST_MADE = ("InvalidGroup.NotFound", "InvalidKeyPair.NotFound", "InvalidParameterValue.IamInstanceProfile")


class Launcher:
    """One create's way to an instance. What is tried next is on record before it is tried: a create that goes on
    repeats the very call that may have been made, and no earlier one."""

    def __init__(self, cloud: Cloud, options: Options, context: Context, plan: Plan, parts: Parts) -> None:
        self._cloud = cloud
        self._options = options
        self._context = context
        self._plan = plan
        self._parts = parts

    def instance(self) -> str:
        """Its id. Raises `DriverError` that tells of every way when none has capacity."""
        living = instances.find(self._cloud, self._context.machine_id)
        if living:
            return str(living[0]["InstanceId"])
        recorded = str(self._context.resources.get("instance", ""))
        if recorded:
            found = settled(lambda: instances.describe(self._cloud, recorded), self._cloud.patience, FOUND_SECONDS)
            if instances.name_of_state(found) not in instances.GONE:
                return recorded
            self._context.resources.pop("instance")  # it was terminated meanwhile
            self._note(generation=self._number("generation") + 1, attempt=0)
        return self._first_with_capacity(ways(self._plan, self._options))

    def _first_with_capacity(self, candidates: list[Way]) -> str:
        refused: list[str] = []
        for number in range(self._number("attempt"), len(candidates)):
            way = candidates[number]
            self._note(attempt=number)
            self._context.journal.begin("create.launch", way=str(way))
            self._context.report(f"Launching {way}")
            try:
                return self._launch(way)
            except Refused as error:
                self._context.journal.complete("create.launch", way="")  # nothing was launched
                if error.code not in faults.NO_CAPACITY:
                    raise
                self._context.report(f"No capacity: {way} ({error.code})")
                refused.append(f"{way}: {error.code}")
        self._note(attempt=0)
        raise DriverError(
            f"AWS has no capacity for the machine: {'; '.join(refused)}",
            hint="try later, or allow more: --amazonec2-fallback-type, no --amazonec2-zone, no --amazonec2-spot-only",
        )

    def _launch(self, way: Way) -> str:
        """By the token of this machine, way and generation; a new generation when the token is used up."""
        try:
            return self._call(way)
        except Refused as error:
            if error.code not in NEW_TOKEN:
                raise
            found = self._of_used_token() if error.code == "IdempotentParameterMismatch" else ""
            if found:
                return found
        self._note(generation=self._number("generation") + 1)
        return self._call(way)

    def _call(self, way: Way) -> str:
        client_token = token(self._context.machine_id, self._number("generation"), way)
        asked = parameters(self._plan, self._options, self._parts, way, client_token)
        answer = self._cloud.call("RunInstances", eventually=JUST_MADE, **asked)
        return str(answer["Instances"][0]["InstanceId"])

    def _of_used_token(self) -> str:
        """The instance that an earlier call with other parameters made; it may take a while to be found."""
        living = settled(
            lambda: instances.find(self._cloud, self._context.machine_id), self._cloud.patience, FOUND_SECONDS
        )
        return str(living[0]["InstanceId"]) if living else ""

    def _number(self, name: str) -> int:
        return int(self._context.resources.get(name, 0))

    def _note(self, **numbers: int) -> None:
        if any(self._number(name) != number for name, number in numbers.items()):
            self._context.resources.update(numbers)
            self._context.save()
