"""How an instance is reached: by its address, an Elastic IP, Session Manager, or a key that is pushed each time."""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING, Any

from pymachine.drivers.amazonec2 import belongings, keypair, tags
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import NoAnswer
from pymachine.drivers.amazonec2.options import Options
from pymachine.drivers.amazonec2.plan import Plan
from pymachine.drivers.amazonec2.waiting import FOUND_SECONDS, settled
from pymachine.drivers.base import Context
from pymachine.machine.errors import MissingRequirement
from pymachine.machine.ssh.base import SSHEndpoint

if TYPE_CHECKING:
    from pymachine.drivers.amazonec2.driver import AmazonEC2Driver

ASSOCIATE_LATER = ("IncorrectInstanceState", "InvalidInstanceID", "InvalidInstanceID.NotFound")
"""A pending instance takes no address yet."""


def check(options: Options) -> None:
    """Programs that the way needs. Raises `MissingRequirement`."""
    if options.session_manager:
        for program in ("aws", "session-manager-plugin"):
            if shutil.which(program) is None:
                raise MissingRequirement(
                    f"--amazonec2-session-manager needs the program {program}",
                    hint="install the AWS CLI and its Session Manager plugin",
                )


def endpoint(driver: AmazonEC2Driver, address: str) -> SSHEndpoint:
    """The SSH endpoint; with EC2 Instance Connect the key is pushed now, and is good for a minute."""
    options, directory = driver.options, driver.context.directory
    user, instance_id = driver.plan.user, str(driver.context.resources.get("instance", ""))
    if options.instance_connect:
        driver.cloud.call(
            "ec2-instance-connect:SendSSHPublicKey",
            InstanceId=instance_id,
            InstanceOSUser=user,
            SSHPublicKey=keypair.own_key(directory, options.ssh_keypath),
        )
    return SSHEndpoint(
        address,
        user,
        options.ssh_port,
        key_path=directory / keypair.KEY_FILE,
        known_hosts=directory / "known_hosts",
        proxy_command=_proxy_command(options, driver.cloud.account.region, instance_id),
    )


def _proxy_command(options: Options, region: str, instance_id: str) -> str:
    if not options.session_manager:
        return options.ssh_proxy_command
    words = ["aws", "ssm", "start-session", "--region", region, "--target", instance_id]
    words += ["--profile", options.profile] if options.profile else []
    words += ["--endpoint-url", options.endpoint] if options.endpoint else []
    command = shlex.join([*words, "--document-name", "AWS-StartSSHSession", "--parameters"]).replace("%", "%%")
    return f"{command} portNumber=%p"


def elastic_ip(cloud: Cloud, context: Context, plan: Plan, instance_id: str) -> dict[str, Any]:
    """The machine's Elastic IP as EC2 describes it, allocated if it has none, and given to the instance."""
    found = _allocated(cloud, context.machine_id) or _allocate(cloud, context, plan)
    if found.get("InstanceId") != instance_id:
        wanted = {"AllocationId": found["AllocationId"], "InstanceId": instance_id}
        cloud.call("AssociateAddress", **wanted, eventually=ASSOCIATE_LATER)
    return found


def _allocated(cloud: Cloud, machine_id: str) -> dict[str, Any] | None:
    found = cloud.call("DescribeAddresses", Filters=tags.of_machine(machine_id)).get("Addresses") or []
    return found[0] if found else None


def _allocate(cloud: Cloud, context: Context, plan: Plan) -> dict[str, Any]:
    """A new one. AllocateAddress takes no client token: what a call without an answer did is looked for by its tag."""
    tagged = [tags.specification("elastic-ip", plan.tags)]
    attempt = 0
    while True:
        try:
            return cloud.call_once("AllocateAddress", Domain="vpc", TagSpecifications=tagged)
        except NoAnswer as error:
            found = settled(lambda: _allocated(cloud, context.machine_id), cloud.patience, FOUND_SECONDS)
            if found:
                return found
            cloud.patience.pause(attempt, "allocating an Elastic IP", last_error=str(error))
            attempt += 1


def keep_volumes(cloud: Cloud, options: Options, instance_id: str) -> None:
    """Tag the volumes that are to outlive the machine, so that nothing of ours removes them."""
    devices = [volume.device for volume in options.volumes() if volume.keep]
    if not devices:
        return
    wanted = [
        {"Name": "attachment.instance-id", "Values": [instance_id]},
        {"Name": "attachment.device", "Values": devices},
    ]
    found = cloud.patience.until(
        lambda: cloud.call("DescribeVolumes", Filters=wanted)["Volumes"],
        lambda volumes: len(volumes) == len(devices),
        "waiting for the volumes to be attached",
    )
    ids = [volume["VolumeId"] for volume in found]
    cloud.call("CreateTags", Resources=ids, Tags=[{"Key": belongings.KEEP, "Value": "true"}])
