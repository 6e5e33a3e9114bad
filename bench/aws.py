"""The amazonec2 driver: API calls and seconds of create, ls and rm for 1, 50 and 200 machines.

Against moto on loopback, in a network namespace without a way out: the seconds are moto's and ours, not AWS's; what
counts is the number of calls, and how it grows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from bench.report import header

PYMACHINE = str(Path(sys.executable).with_name("pymachine"))
SIZES = (1, 50, 200)
AT_ONCE = 8


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


def _row(running: object, place: Path, size: int) -> None:
    from support.ec2.lab import Lab

    assert isinstance(running, Lab)
    cells = []
    for verb in (_create, _ls, _remove):
        running.set()
        start = perf_counter()
        verb(running.endpoint, place, size)
        cells.append(f"{len(running.log()):>7} {perf_counter() - start:7.1f}s")
    print(f"  {size:>8} {' '.join(cells)}", flush=True)


def _create(endpoint: str, place: Path, size: int) -> None:
    """The driver's part of create, in threads, and the records: there are no hosts to provision."""
    from pymachine.drivers.amazonec2 import AmazonEC2Driver
    from pymachine.drivers.options import to_json
    from pymachine.machine.machine import Machine
    from pymachine.store.base import Record
    from pymachine.store.file import FileStore

    store = FileStore(place)
    options = AmazonEC2Driver.Options(endpoint=endpoint, region="us-east-1", address_service=f"{endpoint}/checkip")

    def make(number: int) -> None:
        record = Record(f"m{number}", f"{number:08d}-0000-4000-8000-000000000000", "amazonec2", "2026-01-01T00:00:00Z")
        record.options = to_json(options)
        store.create(record)
        machine = Machine(store, record)
        machine.driver().create()
        record.phase = "ready"
        machine.save()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(make, range(size)))


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
