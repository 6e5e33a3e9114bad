"""``docker run``, ``exec``, many starts at once and memory per container: ours beside dockerd."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

from bench.apisteps import STEPS, run_once
from bench.engines import Engine, both, children
from bench.report import alternate, columns, header, row

IDLE = 20
"""Containers for the memory figure."""


def main(samples: int = 15) -> None:
    """Print the table."""
    with both() as engines:
        ours, theirs = engines
        header("containers, by the docker CLI (whole process, median)")
        columns(ours.name, theirs.name)
        for network in ("bridge", "none", "host"):
            args = ("run", "--rm", "--net", network, "busybox", "true")
            values = alternate(samples, partial(ours.timed, *args), partial(theirs.timed, *args))
            row(f"docker run --rm --net {network}", values)
        for network in ("bridge", "host"):
            _steps(ours, theirs, network, samples)
        for engine in engines:
            engine.docker("run", "-d", "--name", "target", "busybox", "sleep", "1000")
        values = alternate(
            samples,
            lambda: ours.timed("exec", "target", "true"),
            lambda: theirs.timed("exec", "target", "true"),
        )
        row("docker exec", values)
        for engine in engines:
            engine.docker("rm", "-f", "target")
        values = alternate(3, lambda: _starts(ours, 20, 4), lambda: _starts(theirs, 20, 4))
        row("20 starts at parallel 4", values)
        values = alternate(samples, lambda: ours.timed("version"), lambda: theirs.timed("version"))
        row("docker version (the CLI's own share)", values)
        idle = [_memory_per_container(engine) for engine in engines]
        row(f"PSS per idle container (of {IDLE})", ([idle[0]], [idle[1]]), "KiB", 1)
        row("PSS of the idle daemon", ([_pss(ours.pids)], [_pss(theirs.pids)]), "KiB", 1)


def _steps(ours: Engine, theirs: Engine, network: str, samples: int) -> None:
    """Where the time goes; the rest of a run is the CLI's own."""
    rounds: list[dict[str, float]] = []

    def play(engine: Engine) -> float:
        rounds.append(run_once(engine, network))
        return 0.0

    alternate(samples, partial(play, ours), partial(play, theirs))
    counted = rounds[2:]
    for step in STEPS:
        row(f"  {network}: {step}", ([r[step] for r in counted[::2]], [r[step] for r in counted[1::2]]))


def _starts(engine: Engine, count: int, parallel: int) -> float:
    start = perf_counter()
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(lambda _: engine.docker("run", "--rm", "busybox", "true"), range(count)))
    return perf_counter() - start


def _pss(pids: tuple[int, ...] | list[int]) -> float:
    """KiB (proc(5), ``/proc/PID/smaps_rollup``)."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(match[1]) if (match := re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)) else 0
    return float(total)


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def _memory_per_container(engine: Engine) -> float:
    """KiB that one more idle container costs: its shim, and the growth of the engine's own processes.

    The container's own process is left out: it is the same on both sides.
    """
    before = _pss(engine.pids)
    names = [engine.docker("run", "-d", "busybox", "sleep", "1000") for _ in range(IDLE)]
    pids = [int(pid) for pid in engine.docker("inspect", "-f", "{{.State.Pid}}", *names).split()]
    shims = {_parent(pid) for pid in pids}
    daemon = {pid for root in engine.pids[:1] for pid in (root, *children(root))} | set(engine.pids)
    after = _pss(list((daemon | shims) - set(pids)))
    engine.docker("rm", "-f", *names)
    return (after - before) / IDLE
