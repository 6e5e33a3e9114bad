"""A reboot that is seen to have happened.

EC2 takes the request, answers at once and does it when it comes to it; the instance is *running* all the time. What
tells is the kernel's boot id (random(4), /proc/sys/kernel/random/boot_id), asked by SSH before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymachine.drivers.amazonec2 import instances
from pymachine.machine.errors import MachineError

if TYPE_CHECKING:
    from pymachine.drivers.amazonec2.driver import AmazonEC2Driver

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
ASK_SECONDS = 10.0
"""How long a machine that is to be rebooted may take to answer; one that hangs is rebooted all the same."""
SLICE_SECONDS = 45.0
"""A key of EC2 Instance Connect is good for a minute, so each endpoint is asked no longer."""


def reboot(driver: AmazonEC2Driver, instance_id: str) -> None:
    """Reboot a running instance and wait until its system is up again. Raises `DeadlineExceeded`."""
    before = _boot_id(driver, ASK_SECONDS)
    driver.cloud.call("RebootInstances", InstanceIds=[instance_id])
    if not before:
        driver.context.report("Its SSH server did not answer before the reboot, so the reboot cannot be watched")
        return
    driver.context.report(f"Waiting for instance {instance_id} to come back")
    driver.cloud.patience.until(
        lambda: _boot_id(driver, min(SLICE_SECONDS, driver.cloud.patience.left)),
        lambda now: now not in ("", before),
        f"waiting for instance {instance_id} to reboot",
        last=lambda now: "it still runs as before" if now else "its SSH server does not answer",
        look_at=lambda: instances.console(driver.cloud, instance_id),
    )


def _boot_id(driver: AmazonEC2Driver, seconds: float) -> str:
    """The id of the present boot; empty when it cannot be asked within *seconds*."""
    from pymachine.machine.ssh.connect import open_session

    try:
        with open_session(driver.ssh_endpoint(), timeout=seconds, report=lambda line: None) as session:
            return session.run(BOOT_ID, timeout=seconds).stdout.strip()
    except MachineError:  # down, or on its way
        return ""
