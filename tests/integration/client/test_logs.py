"""``logs`` of real machines."""

import json
import signal

import pytest

from support.program import Program
from support.schemas import check

pytestmark = pytest.mark.root


def test_what_provisioning_did(pair: Program) -> None:
    text = pair.ok("logs", "--provision", "-n", "1000", "one")

    assert "Z === provision\n" in text
    assert "Z Provisioning with debian...\n" in text
    assert "put /etc/pymachine/tls/server-key.pem mode 0600" in text
    assert "=== provision ended well after" in text
    assert "PRIVATE KEY" not in text
    assert "pa55word" not in text
    assert len(pair.ok("logs", "--provision", "-n", "3", "one").splitlines()) == 3


def test_both_are_shown_while_the_engine_is_down(pair: Program) -> None:
    pair.ok("ssh", "one", "systemctl stop pyengine")
    try:
        text = pair.ok("logs", "one")
        work, _, engine = text.partition("\n==> engine <==\n")

        assert work.startswith("==> provisioning <==\n")
        assert "serving the Engine API on tcp://" in engine
        assert "Stopped pyengine.service" in engine
        assert pair.ok("logs", "--engine", "-n", "1", "one").count("\n") == 1
        both = check("logs", pair.ok("logs", "--format", "json", "one"))
        assert both["Name"] == "one"
        assert "\n".join(both["Provisioning"]) in work
        assert "Stopped pyengine.service" in "\n".join(both["Engine"])
    finally:
        pair.ok("ssh", "one", "systemctl start pyengine")


def test_following(pair: Program) -> None:
    """New lines come once each, and Ctrl-C ends it well."""
    process = pair.start("logs", "--engine", "-f", "-n", "1", "two")
    try:
        assert process.stdout
        process.stdout.readline()  # the last one of before tells that it has begun to follow
        pair.ok("ssh", "two", "systemctl restart pyengine")
        lines = [process.stdout.readline()]
        while "Started pyengine.service" not in lines[-1] and len(lines) < 20:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    finally:
        process.kill()

    assert (process.returncode, errors) == (0, "")
    seen = [*lines, *rest.splitlines(keepends=True)]
    assert sum("Started pyengine.service" in line for line in seen) == 1
    assert not any("cursor" in line for line in seen)


def test_a_machine_that_does_not_run(pair: Program) -> None:
    """What was done to its host is shown all the same."""
    pair.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "bare")
    try:
        done = pair.run("logs", "bare")
        assert (done.returncode, done.stdout) == (1, "==> provisioning <==\n")
        assert done.stderr == 'Machine "bare" has no host whose journal could be read\n'
        assert pair.run("logs", "-f", "--provision", "bare").returncode == 2
        assert pair.run("logs", "-f", "--format", "json", "bare").returncode == 2
        told = check("logs", pair.ok("logs", "--provision", "--format", "json", "bare"))
        assert told == {"Name": "bare", "Provisioning": [], "Engine": None}
    finally:
        pair.ok("rm", "-y", "bare")


def test_a_failed_create_tells_in_its_log_why(pair: Program) -> None:
    done = pair.run("create", "--engine-opt", "no-such-key=1", "--timeout", "20", "broken")
    try:
        assert done.returncode != 0
        text = pair.ok("logs", "--provision", "broken")
        assert "=== provision failed after" in text
        assert json.loads(pair.ok("inspect", "broken"))["Pymachine"]["Phase"] == "creating"
    finally:
        pair.run("rm", "-f", "broken")
