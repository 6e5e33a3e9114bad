"""The client: ``ls`` of 10, 100 and 1,000 machines, ``status``, ``env``, and 20 creates at once.

All with driver ``none``; nobody listens at the machines' URLs but at one, which ``env`` asks, and in the rows that say
so at ten, while ten others take connections and never answer, or not even that. For these ``ls`` waits as long as
``-t`` says, so that is a part of the time.
Beside the original when ``DOCKER_MACHINE_BINARY`` names it, with the same certificates and engine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from bench.report import alternate, columns, header, row, single

if TYPE_CHECKING:
    from pymachine.store.file import FileStore

PYMACHINE = str(Path(sys.executable).with_name("pymachine"))
SIZES = (10, 100, 1000)
CREATES = 20
SOME = 10


@dataclass(frozen=True)
class Client:
    """A program with a store of some size."""

    binary: str
    store: Path
    env: dict[str, str]

    def timed(self, *args: str) -> float:
        """Seconds that one command takes as a whole process."""
        start = perf_counter()
        self.run(*args)
        return perf_counter() - start

    def run(self, *args: str) -> None:
        """Run a command that must succeed."""
        done = subprocess.run([self.binary, "-s", str(self.store), *args], capture_output=True, text=True, env=self.env)
        if done.returncode:
            raise SystemExit(f"bench: {self.binary} {' '.join(args)}: {done.stderr.strip()}")

    def create_many(self) -> float:
        """Seconds for 20 processes that create a machine each, at once; the machines are removed again."""
        names = [f"new{number}" for number in range(CREATES)]
        command = [self.binary, "-s", str(self.store), "create", "-d", "none", "--url", "tcp://127.0.0.1:1"]
        start = perf_counter()
        processes = [subprocess.Popen([*command, name], stdout=subprocess.DEVNULL, env=self.env) for name in names]
        if any([process.wait() for process in processes]):
            raise SystemExit(f"bench: {self.binary}: a create failed")
        seconds = perf_counter() - start
        self.run("rm", "-f", *names)
        return seconds


def main(samples: int = 7) -> None:
    """Print medians, and ratios where there is an original."""
    from support.fleet import REFUSED, engines, make_fleet, set_urls

    original = os.environ.get("DOCKER_MACHINE_BINARY", "")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-ls-") as place:
        # As installed: byte-compiled, whatever the caller's environment says of it.
        env = {**os.environ, "SHELL": "/bin/sh", "PYTHONPYCACHEPREFIX": f"{place}/compiled"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        ours = [Client(PYMACHINE, Path(place, f"ours-{size}"), env) for size in SIZES]
        stores = [make_fleet(client.store, [REFUSED] * size) for client, size in zip(ours, SIZES, strict=True)]
        with engines(stores[0], 1) as urls:
            set_urls(stores[0], urls)
            theirs = [_original(original, client, size, urls[0]) for client, size in zip(ours, SIZES, strict=True)]
            header(f"client, driver none (medians of {samples}; load average {load:.1f} at the start)")
            columns("pymachine", "docker-machine" if original else "")
            _compare(ours, theirs, samples)
        _black_holes(ours[-1], stores[-1], samples)


def _black_holes(client: Client, store: FileStore, samples: int) -> None:
    """``ls`` of 1,000 machines, of which ten answer and ten are black holes."""
    from support.fleet import black_holes, engines, set_urls

    with engines(store, SOME) as answering, black_holes(SOME) as silent:
        set_urls(store, [*answering, *silent])
        for limit, most in (("0.25", samples), ("10", 3)):
            what = f"ls -t {limit} of {SIZES[-1]}, {SOME} answer, {SOME} are black holes"
            client.timed("ls", "-t", limit)
            single(what, [client.timed("ls", "-t", limit) for _ in range(most)])


def _compare(ours: list[Client], theirs: list[Client | None], samples: int) -> None:
    for mine, other, size in zip(ours, theirs, SIZES, strict=True):
        _measure(f"ls of {size}", lambda client: client.timed("ls"), mine, other, samples)
    _measure("ls -q of 1000", lambda client: client.timed("ls", "-q"), ours[-1], theirs[-1], samples)
    _measure("status", lambda client: client.timed("status", "m1"), ours[0], theirs[0], samples)
    _measure("env, engine answers", lambda client: client.timed("env", "m0"), ours[0], theirs[0], samples)
    _measure("inspect -f", lambda client: client.timed("inspect", "-f", "{{.Name}}", "m1"), ours[0], theirs[0], samples)
    _measure("--help", lambda client: client.timed("--help"), ours[0], theirs[0], samples)
    _measure(f"{CREATES} creates at once", Client.create_many, ours[0], theirs[0], max(3, samples // 2))


def _measure(what: str, seconds: Callable[[Client], float], ours: Client, theirs: Client | None, samples: int) -> None:
    if theirs is None:
        seconds(ours)
        single(what, [seconds(ours) for _ in range(samples)])
        return
    other = theirs
    row(what, alternate(samples, lambda: seconds(ours), lambda: seconds(other)))


def _original(binary: str, ours: Client, size: int, url: str) -> Client | None:
    """docker-machine with a store like *ours*: one machine made by itself, the others after its image."""
    if not binary:
        return None
    client = Client(binary, ours.store.with_name(f"original-{size}"), ours.env)
    certs = client.store / "certs"
    shutil.copytree(ours.store / "certs", certs)
    client.run("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "m1")
    machines = client.store / "machines"
    model = (machines / "m1" / "config.json").read_text()
    for number in range(size):
        config = json.loads(model.replace('"m1"', f'"m{number}"').replace("/machines/m1", f"/machines/m{number}"))
        if number == 0:
            config["Driver"]["URL"] = url if size == SIZES[0] else config["Driver"]["URL"]
        (machines / f"m{number}").mkdir(exist_ok=True)
        (machines / f"m{number}" / "config.json").write_text(json.dumps(config))
    return client
