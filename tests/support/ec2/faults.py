"""What EC2 does and moto does not: client tokens, throttling, eventual consistency, lack of capacity, and so on.

Sources: EC2 API reference, "Ensuring idempotency", "Error codes", and the probing of moto 5.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from xml.etree import ElementTree

from support.ec2 import images, moto_side, rootvolumes, wire
from support.ec2.wire import Answer, Call

CHANGES = {"RunInstances": "pending", "StartInstances": "pending", "StopInstances": "stopping",
           "TerminateInstances": "shutting-down"}  # fmt: skip
ADDRESSES = ("AllocateAddress", "DescribeAddresses")
MARKET = "InstanceMarketOptions"
CODES = {"pending": "0", "stopping": "64", "shutting-down": "32"}


@dataclass
class Wanted:
    """Which faults there are; set by tests as JSON."""

    throttle: float = 0.0
    """Share of calls that are refused."""
    absent_reads: int = 0
    """So many reads do not find a new instance."""
    absent_uses: int = 0
    """So many calls that use a security group or key pair which was just made do not find it."""
    slow_states: int = 0
    """So many reads show a change of state as under way."""
    capacity: list[dict[str, str]] = field(default_factory=list)
    """Launches refused: those whose ``type``, ``zone`` and ``market`` are so, as far as given."""
    violations: int = 0
    """So many deletions of security groups are refused though nothing uses them."""
    denied: list[str] = field(default_factory=list)
    """Actions that are not allowed."""
    regions: list[str] = field(default_factory=list)
    """Those that are enabled; all when there is none."""
    denied_in: list[str] = field(default_factory=list)
    """Regions in which nothing is allowed."""
    broken: str = ""
    """An error code for every call, such as ``RequestExpired``."""
    no_parameters: bool = False
    """SSM has no public parameters."""
    kill_after: int = 0
    kill: int = 0
    """A process that is killed when its call number *kill_after* has been done, and before it is answered."""
    hosts: bool = False
    """Each instance is a host that runs (`support.ec2.hosts`)."""
    closed: list[int] = field(default_factory=list)
    """Ports of these hosts that nobody reaches from outside."""
    keys: dict[str, str] = field(default_factory=dict)
    """Access keys that are taken, each with its session token, and what was issued; all keys when there is none."""
    expired: list[str] = field(default_factory=list)
    """Those of them whose time is over."""
    root_volume_fails: bool = False
    """A root volume cannot be replaced."""
    caller: str = ""
    """The address from which this computer seems to come."""
    lost: list[str] = field(default_factory=list)
    """Actions whose first call is done, but whose answer is lost: the connection breaks."""
    silent_in: list[str] = field(default_factory=list)
    """Regions that take calls, and do not answer."""
    stale_addresses: int = 0
    """So many reads show the address that an instance had before it was given an Elastic IP."""


class Faults:
    """The front's memory."""

    def __init__(self) -> None:
        self.wanted = Wanted()
        self.log: list[str] = []
        self.asked: dict[str, dict[str, str]] = {}
        """Each action's parameters, as it was called last."""
        self._random = random.Random(5)
        self._tokens: dict[str, tuple[str, Answer]] = {}
        self._reads: Counter[str] = Counter()
        self._changing: dict[str, tuple[str, int]] = {}
        self._violations: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        """Uses that do not find a group or key pair, for each that was made with such a fault wanted."""
        self._calls = 0
        self._lost: set[str] = set()
        self._stale: dict[str, tuple[str, int]] = {}

    def want(self, wanted: Wanted) -> None:
        """Other faults from now on; calls and reads are counted anew, what EC2 would know is kept."""
        self.wanted, self._calls = wanted, 0
        self.log.clear()
        self.asked.clear()
        self._reads.clear()
        self._violations.clear()
        self._changing.clear()
        self._lost.clear()

    def loses(self, call: Call) -> bool:
        """Whether the call's answer is to be lost."""
        lost = call.action in self.wanted.lost and call.action not in self._lost
        self._lost |= {call.action} if lost else set()
        return lost

    def before(self, call: Call) -> Answer | None:
        """An answer in moto's stead."""
        self.log.append(call.action)
        self.asked[call.action] = dict(call.parameters)
        wanted = self.wanted
        if wanted.broken:
            return wire.error(call, wanted.broken, "refused by the test")
        if self._random.random() < wanted.throttle:
            return wire.error(call, "RequestLimitExceeded", "Request limit exceeded.")
        if call.action in wanted.denied or call.region in wanted.denied_in:
            code = "UnauthorizedOperation" if call.service == "ec2" else "AccessDeniedException"
            return wire.error(call, code, "You are not authorized to perform this operation.")
        if absent := self._absent_use(call):
            return absent
        special = getattr(self, f"_before_{call.action}", None)
        answer: Answer | None = special(call) if special else None
        return answer

    def after(self, call: Call, answer: Answer) -> Answer:
        """Moto's answer, changed."""
        if call.action in CHANGES and answer.status.startswith("200"):
            self._note_change(call, answer)
        if call.action == "RunInstances" and answer.status.startswith("200") and "ClientToken" in call.parameters:
            self._tokens[call.parameters["ClientToken"]] = (_fingerprint(call), answer)
        self._follow_spot(call, answer)
        self._note_made(call, answer)
        if call.action == "RunInstances" and "NetworkInterface.1.Ipv6AddressCount" in call.parameters:
            moto_side.with_ipv6.update(_ids(answer))
        if call.action == "DescribeInstances" and answer.status.startswith("200"):
            return self._described(call, answer)
        if call.action == "DescribeImages":
            images.described(call, answer)
        if call.action == "DescribeRegions" and self.wanted.regions:
            _enabled(self.wanted.regions, answer)
        if call.action == "CreateImage" and answer.status.startswith("200"):
            moto_side.tag_snapshot(wire.document(answer).findtext("imageId", ""), call.tags("snapshot"))
        if call.action in ADDRESSES and answer.status.startswith("200"):
            return self._addresses(answer)
        if call.action == "DescribeSpotInstanceRequests" and answer.status.startswith("200"):
            return self._requested(answer)
        return answer

    def seen(self, call: Call, answer: Answer) -> Answer:
        """Moto's answer for the tests' own eyes: without faults, and without addresses that moto made up."""
        if call.action == "DescribeInstances" and answer.status.startswith("200"):
            root = wire.document(answer)
            for item in root.iterfind("reservationSet/item/instancesSet/item"):
                moto_side.give_reachable_addresses(item)
            wire.put_back(answer, root)
        if call.action in ADDRESSES and answer.status.startswith("200"):
            return self._addresses(answer)
        return answer

    def done(self) -> None:
        """A call has been done: kill its caller, if it is the one."""
        self._calls += 1
        if self.wanted.kill and self._calls == self.wanted.kill_after:
            os.kill(self.wanted.kill, signal.SIGKILL)

    def _before_RunInstances(self, call: Call) -> Answer | None:
        if call.parameters.get("DryRun") == "true":
            return wire.error(call, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        token = call.parameters.get("ClientToken", "")
        if token in self._tokens:
            fingerprint, answer = self._tokens[token]
            if fingerprint != _fingerprint(call):
                return wire.error(call, "IdempotentParameterMismatch", "The token was used with other parameters.")
            if moto_side.terminated(_ids(answer)):
                return wire.error(call, "IdempotentInstanceTerminated", "The instance of the token was terminated.")
            return answer
        this = {
            "type": call.parameters.get("InstanceType", ""),
            "zone": moto_side.zone(call.parameters.get("NetworkInterface.1.SubnetId", "")),
            "market": call.parameters.get(f"{MARKET}.MarketType", "on-demand"),
        }
        if any(rule.items() <= this.items() for rule in self.wanted.capacity):
            return wire.error(call, "InsufficientInstanceCapacity", "There is no Spot or on-demand capacity.")
        return None

    def _before_StartInstances(self, call: Call) -> Answer | None:
        if any(self._changing.get(identity, ("", 0))[0] == "stopping" for identity in call.listed("InstanceId")):
            return wire.error(
                call, "IncorrectInstanceState", "The instance is not in a state from which it can be started."
            )
        return None

    def _before_CreateReplaceRootVolumeTask(self, call: Call) -> Answer | None:
        return rootvolumes.create(call, fails=self.wanted.root_volume_fails)

    def _before_DescribeReplaceRootVolumeTasks(self, call: Call) -> Answer | None:
        return rootvolumes.describe(call)

    def _before_CreateImage(self, call: Call) -> Answer | None:
        name = call.parameters.get("Name", "")
        if any(image.name == name for backend in moto_side.backends() for image in backend.amis.values()):
            return wire.error(call, "InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
        return None

    def _before_StopInstances(self, call: Call) -> Answer | None:
        if any(self._changing.get(identity, ("", 0))[0] == "pending" for identity in call.listed("InstanceId")):
            return wire.error(
                call, "IncorrectInstanceState", "The instance is not in a state from which it can be stopped."
            )
        return None

    def _before_TerminateInstances(self, call: Call) -> Answer | None:
        if any(moto_side.protected(identity) for identity in call.listed("InstanceId")):
            return wire.error(call, "OperationNotPermitted", "The instance may not be terminated.")
        return None

    def _before_AssociateAddress(self, call: Call) -> Answer | None:
        if self._changing.get(call.parameters.get("InstanceId", ""), ("", 0))[0] == "pending":
            return wire.error(call, "IncorrectInstanceState", "The pending instance is not in a valid state.")
        if self.wanted.stale_addresses:
            identity = call.parameters["InstanceId"]
            self._stale[identity] = (moto_side.public_address(identity), self.wanted.stale_addresses)
        return None

    def _before_DeleteSecurityGroup(self, call: Call) -> Answer | None:
        group = call.parameters.get("GroupId", "")
        self._violations[group] += 1
        if moto_side.in_use(group) or self._violations[group] <= self.wanted.violations:
            return wire.error(call, "DependencyViolation", f"resource {group} has a dependent object")
        return None

    def _before_GetParameter(self, call: Call) -> Answer | None:
        name = call.parameters.get("Name", "")
        image = "" if self.wanted.no_parameters else moto_side.parameter(name)
        if not image:
            return wire.error(call, "ParameterNotFound", "")
        body = json.dumps({"Parameter": {"Name": name, "Type": "String", "Value": image, "Version": 1}}).encode()
        return Answer("200 OK", "application/x-amz-json-1.1", body)

    def _note_change(self, call: Call, answer: Answer) -> None:
        if self.wanted.slow_states:
            for identity in _ids(answer):
                self._changing[identity] = (CHANGES[call.action], self.wanted.slow_states)

    def _note_made(self, call: Call, answer: Answer) -> None:
        if self.wanted.absent_uses and answer.status.startswith("200"):
            if call.action == "CreateSecurityGroup":
                self._unknown[wire.document(answer).findtext("groupId", "")] = self.wanted.absent_uses
            if call.action == "ImportKeyPair":
                self._unknown[call.parameters["KeyName"]] = self.wanted.absent_uses

    def _absent_use(self, call: Call) -> Answer | None:
        if call.action not in ("AuthorizeSecurityGroupIngress", "RunInstances"):
            return None
        for name, value in call.parameters.items():
            if self._unknown[value] > 0:
                self._unknown[value] -= 1
                code = "InvalidKeyPair.NotFound" if name == "KeyName" else "InvalidGroup.NotFound"
                return wire.error(call, code, f"The {name} '{value}' does not exist")
        return None

    def _follow_spot(self, call: Call, answer: Answer) -> None:
        """A launch at a spot price makes a request, and the end of its instance ends that."""
        if not answer.status.startswith("200"):
            return
        if call.action == "RunInstances" and call.parameters.get(f"{MARKET}.MarketType") == "spot":
            kind = call.parameters.get(f"{MARKET}.SpotOptions.SpotInstanceType", "one-time")
            for identity in _ids(answer):
                moto_side.add_spot_request(identity, kind, call.tags("spot-instances-request"))
        if call.action == "TerminateInstances":
            for identity in _ids(answer):
                moto_side.end_spot_request(identity)

    def _requested(self, answer: Answer) -> Answer:
        root = wire.document(answer)
        for requests in root.iterfind("spotInstanceRequestSet"):
            for item in list(requests):
                identity = item.findtext("spotInstanceRequestId", "")
                self._reads[identity] += 1
                if self._reads[identity] <= self.wanted.absent_reads:
                    requests.remove(item)
        wire.put_back(answer, root)
        return answer

    def _described(self, call: Call, answer: Answer) -> Answer:
        root = wire.document(answer)
        for instances in root.iterfind("reservationSet/item/instancesSet"):
            for item in list(instances):
                identity = item.findtext("instanceId", "")
                self._reads[identity] += 1
                if self._reads[identity] > self.wanted.absent_reads:
                    self._show_change(identity, item)
                    moto_side.give_reachable_addresses(item, self._stale_address(identity))
                    if request := moto_side.spot_request(identity):
                        ElementTree.SubElement(item, "spotInstanceRequestId").text = request
                elif call.listed("InstanceId"):
                    text = f"The instance ID '{identity}' does not exist"
                    return wire.error(call, "InvalidInstanceID.NotFound", text)
                else:
                    instances.remove(item)
        wire.put_back(answer, root)
        return answer

    def _addresses(self, answer: Answer) -> Answer:
        root = wire.document(answer)
        for element in root.iter("publicIp"):
            element.text = moto_side.loopback(element.text or "")
        wire.put_back(answer, root)
        return answer

    def _stale_address(self, identity: str) -> str:
        address, left = self._stale.pop(identity, ("", 0))
        if left > 1:
            self._stale[identity] = (address, left - 1)
        return address

    def _show_change(self, identity: str, item: ElementTree.Element) -> None:
        state, left = self._changing.get(identity, ("", 0))
        if left <= 0:
            self._changing.pop(identity, None)
            return
        self._changing[identity] = (state, left - 1)
        shown = item.find("instanceState")
        assert shown is not None
        for tag, text in (("name", state), ("code", CODES[state])):
            element = shown.find(tag)
            assert element is not None
            element.text = text


def _enabled(regions: list[str], answer: Answer) -> None:
    """Leave out the others."""
    root = wire.document(answer)
    for listed in root.iterfind("regionInfo"):
        for item in list(listed):
            if item.findtext("regionName") not in regions:
                listed.remove(item)
    wire.put_back(answer, root)


def _fingerprint(call: Call) -> str:
    return json.dumps(dict(call.parameters), sort_keys=True)


def _ids(answer: Answer) -> list[str]:
    return [element.text or "" for element in wire.document(answer).iter("instanceId")]
