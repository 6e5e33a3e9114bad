"""Restart policies, health, detach keys, times, waiting, logs' options, ps columns."""

from __future__ import annotations

import asyncio
import time

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import detach, health, listing, options, processes, restart, times
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.state import State, Status
from pymachine.engine.containers.waiting import Waiters


def container(policy: str = "no", tries: int = 0, **fields: object) -> Container:
    host = {"RestartPolicy": {"Name": policy, "MaximumRetryCount": tries}}
    made = Container("a" * 64, "x", 1.0, "sha256:x", {}, host, {}, {})
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("policy", "code", "fields", "comes_back"),
    [
        ("no", 1, {}, False),
        ("always", 0, {}, True),
        ("always", 0, {"stopped_by_user": True}, False),
        ("unless-stopped", 1, {}, True),
        ("on-failure", 0, {}, False),
        ("on-failure", 1, {}, True),
        ("on-failure", 1, {"restart_count": 3}, False),
    ],
)
def test_restart_policies(policy: str, code: int, fields: dict[str, object], comes_back: bool) -> None:
    assert restart.wanted(container(policy, 3 if policy == "on-failure" else 0, **fields), code) is comes_back


def test_policies_at_boot() -> None:
    ran = State(status=Status.EXITED, started_at=5.0)
    assert restart.wanted_at_boot(container("always", state=ran, stopped_by_user=True))
    assert not restart.wanted_at_boot(container("unless-stopped", state=ran, stopped_by_user=True))
    assert restart.wanted_at_boot(container("unless-stopped", state=ran))
    assert not restart.wanted_at_boot(container("on-failure", state=ran))
    assert not restart.wanted_at_boot(container("always"))  # never started


def test_the_back_off_doubles_up_to_a_minute() -> None:
    assert [restart.delay(count) for count in (0, 1, 2, 9, 10, 10**6)] == [0.1, 0.2, 0.4, 51.2, 60.0, 60.0]


def check(**fields: object) -> health.Health:
    found = health.read({"Healthcheck": {"Test": ["CMD", "x"], "Retries": 2, **fields}})
    assert found is not None
    return health.Health(found)


def test_health_turns_after_enough_failures() -> None:
    state = check()
    assert [state.note(1, "", 1.0, 2.0) for _ in range(3)] == [False, True, False]
    assert (state.status, state.streak) == ("unhealthy", 3)
    assert state.note(0, "fine", 1.0, 2.0)
    assert (state.status, state.streak) == ("healthy", 0)
    assert state.view()["Log"][-1]["Output"] == "fine"


def test_failures_in_the_start_period_do_not_count() -> None:
    state = check(StartPeriod=10**12, StartInterval=10**9)
    for _ in range(5):
        state.note(1, "", 1.0, 2.0)
    assert (state.status, state.pause) == ("starting", 1.0)
    assert len(state.results) == 5


def test_health_checks_by_shell_or_not_at_all() -> None:
    found = health.read({"Healthcheck": {"Test": ["CMD-SHELL", "a b"]}})
    assert found is not None
    assert found.command == ("/bin/sh", "-c", "a b")
    assert health.read({"Healthcheck": {"Test": ["NONE"]}}) is None
    assert health.read({}) is None


@pytest.mark.parametrize(
    ("text", "keys"), [("", b"\x10\x11"), ("ctrl-a,b", b"\x01b"), ("ctrl-@", b"\0"), ("ctrl-[,DEL", b"\x1b\x7f")]
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert detach.parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "abc", "a,,b", "ctrl-1"])
def test_unknown_detach_keys(text: str) -> None:
    with pytest.raises(InvalidArgument, match="detach keys"):
        detach.parse(text)


@pytest.mark.parametrize(
    ("pieces", "passed", "pressed"),
    [
        ([b"ab"], b"ab", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"a\x10", b"\x11"], b"a", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_keys_in_input(pieces: list[bytes], passed: bytes, pressed: bool) -> None:
    watch, out, found = detach.Watch(detach.DEFAULT), b"", False
    for piece in pieces:
        data, found = watch.feed(piece)
        out += data
    assert (out, found) == (passed, pressed)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (70, "About a minute"), (600, "10 minutes"),
        (3600, "About an hour"), (7300, "2 hours"), (3 * 86400, "3 days"), (20 * 86400, "2 weeks"),
        (90 * 86400, "3 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_spans_in_words(seconds: float, text: str) -> None:
    assert times.ago(seconds) == text


def test_stamps() -> None:
    assert times.stamp(0) == times.NEVER
    assert times.stamp_nanoseconds(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"


def test_status_texts() -> None:
    now = time.time()
    made = container(state=State(Status.RUNNING, 5, started_at=now - 120))
    assert listing.status_text(made) == "Up 2 minutes"
    made.health = check()
    assert listing.status_text(made) == "Up 2 minutes (health: starting)"
    made.state.to(Status.PAUSED)
    assert listing.status_text(made) == "Up 2 minutes (Paused)"
    made.state = State(Status.EXITED, exit_code=3, finished_at=now - 5)
    assert listing.status_text(made) == "Exited (3) 5 seconds ago"
    made.state = State(Status.RESTARTING, exit_code=1, finished_at=now - 1)
    assert listing.status_text(made) == "Restarting (1) 1 second ago"


def test_waiters_hear_of_their_condition_only() -> None:
    async def main() -> None:
        waiters = Waiters()
        ended, removed, gone = waiters.add("next-exit"), waiters.add("removed"), waiters.add("next-exit")
        gone.cancel()
        await asyncio.sleep(0)
        waiters.tell("next-exit", (3, ""))
        assert await ended == (3, "")
        assert not removed.done()
        waiters.tell("removed", (3, ""))
        assert await removed == (3, "")

    asyncio.run(main())


def test_sizes_and_log_options() -> None:
    assert [options.size(text) for text in ("10", "1k", "2M", "1gb")] == [10, 1024, 2 * 2**20, 2**30]
    spec = options.log_spec("json-file", {"max-size": "1m", "max-file": "2"}, "/p")
    assert (spec.driver, spec.max_size, spec.max_files, spec.path) == ("json-file", 2**20, 2, "/p")
    assert options.log_spec("local", {"max-size": "-1"}, "").max_size == 0
    with pytest.raises(InvalidArgument, match="max-file"):
        options.log_spec("local", {"max-file": "0"}, "")


def test_ps_columns() -> None:
    assert processes.columns("-ef")[:3] == ["uid", "pid", "ppid"]
    assert processes.columns("aux")[0] == "user"
    assert processes.columns("-o pid,comm") == processes.columns("-eo pid,comm") == ["pid", "comm"]
    for text in ("-o nonsense", "--forest"):
        with pytest.raises(InvalidArgument):
            processes.columns(text)
