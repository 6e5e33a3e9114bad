"""Tasks that replace an instance's root volume, which moto does not know.

Source: EC2 API reference, CreateReplaceRootVolumeTask: the instance must run; a task is pending and in progress before
it has succeeded, and the old volume is deleted only when that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from support.ec2 import moto_side, wire
from support.ec2.wire import Answer, Call

READS_UNTIL_DONE = 2
_tasks: dict[str, _Task] = {}
_tokens: dict[str, str] = {}


@dataclass
class _Task:
    id: str
    instance: str
    snapshot: str
    delete: bool
    fails: bool
    reads: int = 0
    state: str = "pending"

    def look(self) -> None:
        """Each look brings it on."""
        self.reads += 1
        if self.state in ("pending", "in-progress"):
            self.state = "in-progress"
            if self.reads >= READS_UNTIL_DONE:
                self.state = "failed" if self.fails else "succeeded"
                if not self.fails:
                    _replace(self)

    def xml(self) -> str:
        return (
            f"<replaceRootVolumeTaskId>{self.id}</replaceRootVolumeTaskId><instanceId>{escape(self.instance)}</instanceId>"
            f"<taskState>{self.state}</taskState><snapshotId>{escape(self.snapshot)}</snapshotId>"
            f"<deleteReplacedRootVolume>{str(self.delete).lower()}</deleteReplacedRootVolume>"
        )


def create(call: Call, *, fails: bool) -> Answer:
    """``CreateReplaceRootVolumeTask``."""
    identity, snapshot = call.parameters.get("InstanceId", ""), call.parameters.get("SnapshotId", "")
    token = call.parameters.get("ClientToken", "")
    instance = moto_side.instance(identity)
    if instance is None:
        return wire.error(call, "InvalidInstanceID.NotFound", f"The instance ID '{identity}' does not exist")
    if instance.state != "running":
        return wire.error(call, "IncorrectInstanceState", f"The instance {identity} is not in the state 'running'.")
    if snapshot not in instance.ec2_backend.snapshots:
        return wire.error(call, "InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist.")
    if token not in _tokens:
        task = _Task(
            f"replacevol-{len(_tasks):017x}",
            identity,
            snapshot,
            call.parameters.get("DeleteReplacedRootVolume") == "true",
            fails,
        )
        _tasks[task.id] = task
        _tokens[token] = task.id
    return _answer(call, f"<replaceRootVolumeTask>{_tasks[_tokens[token]].xml()}</replaceRootVolumeTask>")


def describe(call: Call) -> Answer:
    """``DescribeReplaceRootVolumeTasks``, by ids or by the filter of an instance."""
    ids, instances = call.listed("ReplaceRootVolumeTaskId"), call.listed("Filter.1.Value")
    ids = ids or [value for key, value in call.parameters.items() if key.startswith("ReplaceRootVolumeTaskId")]
    instances = instances or [value for key, value in call.parameters.items() if key.startswith("Filter.1.Value")]
    found = [task for task in _tasks.values() if task.id in ids or (not ids and task.instance in instances)]
    for task in found:
        task.look()
    items = "".join(f"<item>{task.xml()}</item>" for task in found)
    return _answer(call, f"<replaceRootVolumeTaskSet>{items}</replaceRootVolumeTaskSet>")


def reset() -> None:
    """A new account."""
    _tasks.clear()
    _tokens.clear()


def _replace(task: _Task) -> None:
    instance: Any = moto_side.instance(task.instance)
    backend, device = instance.ec2_backend, instance.root_device_name
    old = instance.block_device_mapping[device]
    ends = old.delete_on_termination
    size = backend.volumes[old.volume_id].size
    new = backend.create_volume(size=size, zone_name=instance.availability_zone, snapshot_id=task.snapshot)
    backend.detach_volume(old.volume_id, task.instance, device)
    backend.attach_volume(new.id, task.instance, device, ends)
    if task.delete:
        backend.delete_volume(old.volume_id)


def _answer(call: Call, inner: str) -> Answer:
    text = f'<{call.action}Response xmlns="{wire.XMLNS}"><requestId>1</requestId>{inner}</{call.action}Response>'
    return Answer("200 OK", "text/xml", text.encode())
