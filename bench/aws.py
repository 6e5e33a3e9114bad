"""The amazonec2 driver: API calls and seconds of create, ls and rm for 1, 50 and 200 machines; calls of ``ls`` as
machines grow.

Against moto on loopback, in a network namespace without a way out: the seconds are moto's and ours, not AWS's; what
counts is the number of calls, and how it grows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from bench.report import header

if TYPE_CHECKING:
    from support.ec2.lab import Lab

PYMACHINE = str(Path(sys.executable).with_name("pymachine"))
SIZES = (1, 50, 200)
MADE = "2026-01-01T00:00:00Z"
LISTED = (1, 50, 200, 201, 1000)


def main() -> None:
    """Print a line a size: calls and seconds of each verb."""
    from support.ec2.lab import lab

    header("pymachine, driver amazonec2, against moto (calls, seconds)")
    print(f"  {'machines':>8} {'create':>16} {'ls':>16} {'rm':>16}")
    with lab() as running, running.namespace.entered():
        os.environ.update(running.environment())
        for size in SIZES:
            running.set(reset=True)
            with tempfile.TemporaryDirectory(prefix="bench-aws-") as place:
                _row(running, Path(place), size)
        print(f"  {'machines':>8} {'ls':>16}")
        for size in LISTED:
            running.set(reset=True)
            with tempfile.TemporaryDirectory(prefix="bench-aws-") as place:
                _fleet(running, Path(place), size)
                print(f"  {size:>8} {_measured(running, _ls, Path(place), size)}", flush=True)


def _row(running: Lab, place: Path, size: int) -> None:
    cells = [_measured(running, verb, place, size) for verb in (_create, _ls, _remove)]
    print(f"  {size:>8} {' '.join(cells)}", flush=True)


def _measured(running: Lab, verb: object, place: Path, size: int) -> str:
    """Calls and seconds."""
    assert callable(verb)
    running.set()
    start = perf_counter()
    verb(running.endpoint, place, size)
    return f"{len(running.log()):>7} {perf_counter() - start:7.1f}s"


def _create(endpoint: str, place: Path, size: int) -> None:
    """What ``create -n`` does but for the provisioning, for there are no hosts: the records, the driver's check and its
    create, as many at a time as ``create -n`` takes by default."""
    from pymachine.drivers.amazonec2 import AmazonEC2Driver
    from pymachine.drivers.options import to_json
    from pymachine.machine.fleetclient import MAX_PARALLEL
    from pymachine.machine.machine import Machine
    from pymachine.machine.operations.many import all_or_errors
    from pymachine.store.base import Record
    from pymachine.store.file import FileStore

    store = FileStore(place)
    options = AmazonEC2Driver.Options(endpoint=endpoint, region="us-east-1", address_service=f"{endpoint}/checkip")

    def make(number: int) -> None:
        record = Record(f"m{number}", str(uuid.uuid4()), "amazonec2", MADE, options=to_json(options))
        store.create(record)
        machine = Machine(store, record)
        machine.driver().pre_create_check()
        machine.driver().create()
        machine.record.phase = "ready"
        machine.save()

    all_or_errors(make, range(size), str, most=MAX_PARALLEL)


def _fleet(running: Lab, place: Path, size: int) -> None:
    """Records of instances that are made by one call."""
    from pymachine.drivers.amazonec2 import AmazonEC2Driver
    from pymachine.drivers.options import to_json
    from pymachine.store.base import Record
    from pymachine.store.file import FileStore

    store = FileStore(place)
    options = to_json(AmazonEC2Driver.Options(endpoint=running.endpoint, region="us-east-1"))
    made = running.client().run_instances(ImageId="ami-1", MinCount=size, MaxCount=size)["Instances"]
    for number, instance in enumerate(made):
        record = Record(f"m{number}", str(uuid.uuid4()), "amazonec2", MADE, phase="ready")
        record.options, record.resources = options, {"region": "us-east-1", "instance": instance["InstanceId"]}
        store.create(record)


def _ls(endpoint: str, place: Path, size: int) -> None:
    del endpoint, size
    _run(place, "ls", "--filter", "state=Running", "-q", "-t", "300")


def _remove(endpoint: str, place: Path, size: int) -> None:
    del endpoint
    _run(place, "rm", "-y", *(f"m{number}" for number in range(size)))


def _run(place: Path, *args: str) -> None:
    done = subprocess.run([PYMACHINE, "-s", str(place), *args], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: pymachine {args[0]}: {done.stderr.strip()}")
