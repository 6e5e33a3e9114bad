"""The amazonec2 driver: an EC2 instance, with a key pair and a security group of its own.

Everything that is made carries the machine's id as a tag from its first moment on, and is found by that: an
interrupted create goes on, and a remove finds all there is, whatever the record says.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymachine.drivers.amazonec2 import (
    batch,
    belongings,
    connecting,
    firewall,
    instances,
    keypair,
    opening,
    rootvolume,
    sharing,
    snapshots,
    tags,
    types,
)
from pymachine.drivers.amazonec2 import options as ec2_options
from pymachine.drivers.amazonec2.cloud import Account, Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.drivers.amazonec2.launch import Parts, parameters, ways
from pymachine.drivers.amazonec2.launcher import Launcher
from pymachine.drivers.amazonec2.plan import Plan, make_plan, remember, remembered
from pymachine.drivers.amazonec2.reboot import reboot
from pymachine.drivers.amazonec2.userdata import user_data
from pymachine.drivers.amazonec2.waiting import Patience, settled
from pymachine.drivers.base import Belonging, Context, Driver, Seen, Snapshot, State
from pymachine.machine.errors import DriverError, InvalidOption, MachineError, PreCreateCheckFailed
from pymachine.machine.ssh.base import SSHEndpoint

RESOURCES = (
    "region", "plan", "group", "key_pair", "generation", "attempt", "instance", "address", "allocation", "ssh_user",
    "sources",
)  # fmt: skip
"""What this driver keeps in the record."""
SETTLE_SECONDS = 10.0
"""How long an instance may be hard to find after a launch that was cut off."""


class AmazonEC2Driver(Driver):
    """An instance of Amazon EC2."""

    name = "amazonec2"
    description = "Instances of Amazon EC2"
    Options = ec2_options.Options

    def __init__(self, options: ec2_options.Options, context: Context) -> None:
        super().__init__(options, context)
        self.options: ec2_options.Options = options
        self._seen: instances.Instance | None = None

    @functools.cached_property
    def cloud(self) -> Cloud:
        """The account and region of this machine."""
        region = str(self.context.resources.get("region", ""))
        return Cloud.of(self.options, Patience(self.context.timeout), region=region)

    def pre_create_check(self) -> None:
        """Options, credentials, network, image and types; then AWS is asked whether the launch would be allowed."""
        if problems := self.options.problems():
            raise InvalidOption("; ".join(problems))
        try:
            connecting.check(self.options)
            with sharing.making(self.cloud):
                plan = make_plan(self.cloud, self.options, self.context)
                sharing.find_out(self.cloud, ("rehearsal", self.options), lambda: self._rehearse(plan))
                remember(self.context, self.options, plan)
        except InvalidOption:
            raise
        except MachineError as error:
            raise PreCreateCheckFailed(str(error), hint=error.hint) from error

    def create(self) -> None:
        """Make and start the instance, or go on with an interrupted create."""
        resumed = "plan" in self.context.resources
        with sharing.making(self.cloud):
            self._step("create.plan", self._make_plan)
            self._step("create.key", self._make_key, key_pair=keypair.pair_name(self.context.machine_id))
            self._step("create.group", self._make_group, group_name=firewall.group_name(self.context.machine_id))
            if resumed:
                self._follow_caller()
            self._step("create.instance", self._launch, region=self.cloud.account.region)
            if self.options.elastic_ip:
                self._step("create.address", self._give_address)
            self._step("create.running", self._finish)

    def start(self) -> None:
        """Start a stopped instance, open to the address that this computer has now; fine when running."""
        instance_id = self._require_instance()
        self._follow_caller()
        if instances.name_of_state(self._look()) == "stopping":
            self._seen = instances.wait_for(self.cloud, instance_id, "stopped")
        if instances.name_of_state(self._look()) == "stopped":
            self.cloud.call("StartInstances", InstanceIds=[instance_id], eventually=("IncorrectInstanceState",))
        self.context.resources.update(self._await_running())
        self.context.save()

    def stop(self) -> None:
        """Stop gracefully, or hibernate when that is what the options say; fine when stopped."""
        self._stop(**({"Hibernate": True} if self.options.hibernate else {}))

    def kill(self) -> None:
        """Stop without a graceful shutdown; fine when stopped."""
        self._stop(Force=True)

    def restart(self) -> None:
        """Reboot, which keeps the address, and see that it has happened; start when it does not run."""
        instance_id = self._require_instance()
        if instances.name_of_state(self._look()) != "running":
            return self.start()
        self._follow_caller()
        reboot(self, instance_id)

    def remove(self) -> None:
        """Remove instance, spot request, address, group, key pair and volumes; fine when there is nothing."""
        found = self._belongings()
        if not any(item.kind == "instance" for item in found):
            found = list(dict.fromkeys(self._hidden_instances() + self._belongings()))
        belongings.remove(self.cloud, found, unprotect=self.options.termination_protection)
        if any([self.context.resources.pop(name, None) for name in RESOURCES]):
            self.context.save()

    def renamed(self) -> None:
        """Tags of what is there; nothing is found by them."""
        ids = [item.id for item in self._belongings() if item.kind != "key pair"]
        if ids:
            named = [{"Key": key, "Value": self.context.name} for key in ("Name", tags.MACHINE_NAME)]
            self.cloud.call("CreateTags", Resources=ids, Tags=named)

    def state(self) -> State:
        """As EC2 says; Error when the instance was terminated, none when create has not made any."""
        instance_id = self.context.resources.get("instance")
        if not instance_id:
            living = instances.find(self.cloud, self.context.machine_id) if self.context.resources else []
            return instances.STATES[instances.name_of_state(living[0])] if living else State.NONE
        return instances.STATES[instances.name_of_state(self._look())]

    def batch(self) -> Account:
        """Machines of one account and region are asked for together (`pymachine.drivers.base.BatchStates`)."""
        return self.cloud.account

    @classmethod
    def states(cls, drivers: Sequence[Driver]) -> Mapping[str, Seen]:
        """Many machines' states, by few calls."""
        return batch.states([driver for driver in drivers if isinstance(driver, cls)])

    def let_in(self) -> None:
        """Open its own group to the address that this computer has now (`pymachine.drivers.base.LetsIn`)."""
        self._follow_caller()

    def address(self) -> str:
        """The address it has now: a stopped instance may come back with another."""
        found = instances.address(self._seen or self._look(), self.options) if self._instance_id() else ""
        if not found:
            raise DriverError(f'machine "{self.context.name}" has no address now')
        return found

    def ssh_endpoint(self) -> SSHEndpoint:
        """With the key and the pinned host key in the machine's directory."""
        return connecting.endpoint(self, self.address())

    @property
    def plan(self) -> Plan:
        """What create decided."""
        try:
            return Plan(**self.context.resources["plan"])
        except KeyError:
            raise DriverError(f'machine "{self.context.name}" has not been made') from None

    def change_type(self, name: str) -> Mapping[str, Any]:
        """Another instance type for a stopped instance (`pymachine.drivers.base.Retypable`)."""
        state = instances.name_of_state(self._look()) if self._require_instance() else ""
        if state != "stopped":
            raise DriverError(
                f'machine "{self.context.name}" must be stopped to get another type; it is {state}',
                hint=f"pymachine stop {self.context.name}",
            )
        architecture = str((self._seen or {}).get("Architecture", ""))
        if architecture not in types.architectures(types.describe(self.cloud, [name])):
            raise InvalidOption(f"{name} cannot run this machine, which is made for {architecture}")
        self.cloud.call("ModifyInstanceAttribute", InstanceId=self._instance_id(), InstanceType={"Value": name})
        return {"instance_type": name}

    def snapshots(self) -> list[Snapshot]:
        """Images made of this machine, the oldest first (`pymachine.drivers.base.Snapshots`)."""
        return snapshots.listed(self.cloud, self.context.machine_id)

    def create_snapshot(self, name: str) -> None:
        """Make an image; a running machine reboots."""
        own = self.options.own_tags()
        image = snapshots.create(self.cloud, self.context, self._require_instance(), name, own)
        self.context.report(f"Made image {image}; make machines of it by --amazonec2-ami {image}")

    def restore_snapshot(self, name: str) -> None:
        """Replace the root volume by that of the image; the machine reboots. Further volumes stay as they are."""
        image = snapshots.require(self.cloud, self.context, name)
        state = instances.name_of_state(self._look()) if self._require_instance() else ""
        if state != "running":
            raise DriverError(
                f'machine "{self.context.name}" must run to go back to a snapshot; it is {state}',
                hint=f"pymachine start {self.context.name}, or make a new machine of the image: "
                f"pymachine create -d amazonec2 --amazonec2-ami {image['ImageId']} NAME",
            )
        rootvolume.replace(self.cloud, self.context, self._instance_id(), image, self.plan.tags)
        self.context.report(f"If its address has changed since: pymachine restart {self.context.name}")

    def remove_snapshot(self, name: str) -> None:
        """Remove the image and what is behind it."""
        snapshots.remove(self.cloud, self.context, name)

    def belongings(self, store_id: str) -> list[Belonging]:
        """All of a store's machines in the region, or of any store's (`pymachine.drivers.base.Collects`)."""
        return belongings.find(self.cloud, tags.of_store(store_id))

    def discard(self, things: Sequence[Belonging]) -> None:
        """Remove what `belongings` found; a protection against termination is respected."""
        belongings.remove(self.cloud, list(things))

    def regions(self) -> list[str]:
        """The regions that the account may use (`pymachine.drivers.base.Regional`)."""
        return sorted(region["RegionName"] for region in self.cloud.call("DescribeRegions")["Regions"])

    def in_region(self, region: str) -> AmazonEC2Driver:
        """The same driver, looking at another region."""
        return type(self)(dataclasses.replace(self.options, region=region), self.context)

    def leftovers(self) -> list[str]:
        """What is still there of the machine, in words; empty after `remove`."""
        return [f"{item.kind} {item.id}" for item in self._belongings()]

    def _step(self, name: str, action: Callable[[], dict[str, Any]], **facts: Any) -> None:
        """One journalled step; each action finds out itself what is there already."""
        self.context.journal.begin(name, **facts)
        made = action()
        if any(self.context.resources.get(key) != value for key, value in made.items()):
            self.context.resources.update(made)
            self.context.save()
        self.context.journal.complete(name, **{key: value for key, value in made.items() if key != "plan"})

    def _rehearse(self, plan: Plan) -> None:
        """A dry run (``DryRun``) of the launch, with what is not made yet left out."""
        parts = Parts(plan.groups, "", "")
        asked = parameters(plan, self.options, parts, ways(plan, self.options)[0], "rehearsal")
        asked.pop("ClientToken")
        if not plan.groups:
            asked["NetworkInterfaces"][0].pop("Groups")
        try:
            self.cloud.call("RunInstances", DryRun=True, **asked)
        except Refused as error:
            if error.code != "DryRunOperation":  # AWS's way to say that it would have been done
                raise

    def _make_plan(self) -> dict[str, Any]:
        made = self.context.resources.get("plan") or remembered(self.cloud, self.options, self.context).to_json()
        return {"plan": made, "region": self.cloud.account.region}

    def _make_key(self) -> dict[str, Any]:
        public = self._public_key()
        if self.options.keypair_name:
            return {"key_pair": self.options.keypair_name}
        if self.options.instance_connect:
            return {}
        name = keypair.pair_name(self.context.machine_id)
        keypair.import_pair(self.cloud, name, public, self.plan.tags)
        return {"key_pair": name}

    def _make_group(self) -> dict[str, Any]:
        plan = self.plan
        if plan.groups:
            return {}
        rules = firewall.permissions(self.options, plan.sources)
        name = firewall.group_name(self.context.machine_id)
        return {"group": firewall.ensure_group(self.cloud, name, plan.vpc, rules, plan.tags)}

    def _follow_caller(self) -> None:
        planned = self.context.resources.get("plan", {}).get("sources", [])
        opening.follow_caller(self.cloud, self.options, self.context, planned)

    def _launch(self) -> dict[str, Any]:
        resources = self.context.resources
        make_user = self.options.ssh_user if self.options.ssh_user not in ("", "root") else ""
        data = user_data(
            name=self.context.name,
            public_key="" if self.options.instance_connect else self._public_key(),  # which is good for a minute
            make_user=make_user,
            extra_path=self.options.userdata,
            expires_at=self.context.expires_at,
        )
        groups = self.plan.groups or [resources["group"]]
        parts = Parts(groups, resources.get("key_pair", ""), data, self.context.expires_at)
        launcher = Launcher(self.cloud, self.options, self.context, self.plan, parts)
        return {"instance": launcher.instance()}

    def _give_address(self) -> dict[str, Any]:
        instances.wait_for(self.cloud, self._require_instance(), "running", new=True)  # a pending one takes none
        given = connecting.elastic_ip(self.cloud, self.context, self.plan, self._require_instance())
        return {"allocation": given["AllocationId"], "address": given["PublicIp"]}

    def _finish(self) -> dict[str, Any]:
        """The tag on volumes that are to be kept, and the wait for the address."""
        connecting.keep_volumes(self.cloud, self.options, self._require_instance())
        return self._await_running(str(self.context.resources["address"]) if self.options.elastic_ip else "")

    def _await_running(self, wanted: str = "") -> dict[str, Any]:
        """Wait until it runs and has its address, which is *wanted* unless empty: for a while after it was given an
        Elastic IP, EC2 may still tell the one that it had from its subnet."""
        instance_id = self._require_instance()
        self.context.report(f"Waiting for instance {instance_id}")
        running = instances.wait_for(self.cloud, instance_id, "running", new=True)

        def has_address(instance: instances.Instance | None) -> bool:
            address = instances.address(instance, self.options)
            return address == wanted if wanted else bool(address)

        found = self.cloud.patience.until(
            lambda: running if has_address(running) else instances.describe(self.cloud, instance_id),
            has_address,
            f"waiting for instance {instance_id} to have {f'the address {wanted}' if wanted else 'an address'}",
            last=lambda instance: "it has none of the kind that was asked for",
        )
        self._seen = found
        return {"address": instances.address(found, self.options)}

    def _stop(self, **how: Any) -> None:
        instance_id = self._require_instance()
        state = instances.name_of_state(self._look())
        if state == "stopped":
            return
        if state == "pending":
            instances.wait_for(self.cloud, instance_id, "running")
        if state != "stopping" or "Force" in how:
            self._ask_to_stop(instance_id, how)
        self._seen = instances.wait_for(self.cloud, instance_id, "stopped")

    def _ask_to_stop(self, instance_id: str, how: dict[str, Any]) -> None:
        try:
            self.cloud.call("StopInstances", InstanceIds=[instance_id], **how)
        except Refused as error:
            if error.code == "UnsupportedOperation" and self.options.request_spot_instance:
                error.hint = "spot instances stop only when made with --amazonec2-spot-interruption stop"
            raise

    def _look(self) -> instances.Instance | None:
        self._seen = instances.describe(self.cloud, self._instance_id())
        return self._seen

    def saw(self, instance: instances.Instance | None) -> None:
        """Take in what was asked of EC2 for many machines at once."""
        self._seen = instance

    def _instance_id(self) -> str:
        return str(self.context.resources.get("instance", ""))

    def _require_instance(self) -> str:
        instance_id = self._instance_id()
        if not instance_id:
            raise DriverError(f'machine "{self.context.name}" has no instance yet')
        return instance_id

    def _public_key(self) -> str:
        return keypair.own_key(Path(self.context.directory), self.options.ssh_keypath)

    def _belongings(self) -> list[Belonging]:
        return belongings.of_machine(self.cloud, self.context.machine_id)

    def _hidden_instances(self) -> list[Belonging]:
        """Instances that were launched so short a time ago that they are not found by their tags yet."""
        seconds = SETTLE_SECONDS if self.context.journal.facts().get("way") else 0.0
        for found in settled(self._launched, self.cloud.patience, seconds):
            return list(found)
        return []

    def _launched(self) -> tuple[list[Belonging], ...]:
        """The instances of the machine, by its tag or else the one on record; in a tuple, which is empty as long as
        none is to be seen, not even one that was terminated."""
        kinds = tuple(kind for kind in belongings.KINDS if kind.name == "instance")
        if found := belongings.find(self.cloud, tags.of_machine(self.context.machine_id), kinds):
            return (found,)
        recorded, context = self._instance_id(), self.context
        seen = self._look() if recorded else None
        if seen is None:
            return ()
        if instances.name_of_state(seen) == "terminated":
            return ([],)
        return ([Belonging("instance", recorded, context.machine_id, context.name, context.store_id)],)
