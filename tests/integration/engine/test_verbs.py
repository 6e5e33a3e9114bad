"""The other container verbs of the docker CLI."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from support.dockercli import beside, inspect, terminal
from support.engineprocess import EngineProcess
from support.waiting import eventually

pytestmark = pytest.mark.root


def sleeper(engine: EngineProcess, name: str, *options: str) -> str:
    """A container that runs until it is stopped; its id."""
    return engine.docker(
        "run", "-d", "--name", name, "--stop-timeout", "0", *options, "busybox", "sleep", "1000"
    ).strip()


def test_version_and_info(engine: EngineProcess) -> None:
    assert json.loads(engine.docker("version", "-f", "{{json .Server}}"))["ApiVersion"] == "1.47"
    before = json.loads(engine.docker("info", "-f", "{{json .}}"))
    sleeper(engine, "counted")
    info = json.loads(engine.docker("info", "-f", "{{json .}}"))
    assert info["ContainersRunning"] == before["ContainersRunning"] + 1
    assert info["Driver"] == "overlay2"


def test_ps_filters_and_texts(engine: EngineProcess) -> None:
    sleeper(engine, "one", "--label", "a=b", "-p", "127.0.0.1::80")
    engine.docker("run", "--name", "two", "busybox", "false", check=False)
    names = ("--format", "{{.Names}}")
    assert engine.docker("ps", *names).split() == ["one"]
    assert engine.docker("ps", "-a", *names).split() == ["two", "one"]
    assert engine.docker("ps", "-n", "1", *names).split() == ["two"]
    for question, answer in (
        ("status=exited", "two"), ("exited=1", "two"), ("label=a=b", "one"), ("name=^/one$", "one"),
        ("ancestor=busybox", "two one"), ("before=two", "one"), ("since=one", "two"), ("network=bridge", "two one"),
        ("publish=80", "one"), ("volume=none", ""),
    ):  # fmt: skip
        assert engine.docker("ps", "-a", "-f", question, *names).split() == answer.split(), question
    rows = engine.docker("ps", "-a", "--format", "{{.Status}}|{{.Ports}}|{{.Command}}").split("\n")
    assert rows[0].startswith("Exited (1) ")
    assert rows[1].startswith("Up ")
    assert "127.0.0.1:" in rows[1]
    assert "->80/tcp" in rows[1]
    assert engine.run("ps", "-f", "nonsense=1").returncode == 1


def test_inspect_and_prefixes(engine: EngineProcess) -> None:
    container = sleeper(engine, "looked", "-e", "A=b", "-m", "32m")
    for reference in (container, container[:12], container[:5], "looked", "/looked"):
        assert inspect(engine, reference)["Id"] == container
    view = inspect(engine, "looked")
    assert view["Config"]["Env"] == ["A=b"]
    assert view["HostConfig"]["Memory"] == 32 * 2**20
    assert view["Path"] == "sleep"
    assert view["Args"] == ["1000"]
    assert view["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].startswith("10.")
    assert view["State"]["StartedAt"] > view["Created"]
    assert "No such container" in engine.run("container", "inspect", "nobody").stderr
    nothing = engine.run("inspect", "nobody")
    assert (nothing.returncode, nothing.stdout) == (1, "[]\n")
    assert nothing.stderr.lower() == "error: no such object: nobody\n"


def test_logs(engine: EngineProcess) -> None:
    program = "for i in 1 2 3; do echo out $i; done; echo err >&2"
    engine.docker("run", "--name", "said", "busybox", "sh", "-c", program)
    done = engine.run("logs", "said")
    assert (done.stdout, done.stderr) == ("out 1\nout 2\nout 3\n", "err\n")
    assert engine.docker("logs", "--tail", "2", "said") == "out 3\n"
    line = engine.docker("logs", "-t", "--tail", "2", "said")
    stamp, _, text = line.partition(" ")
    assert text == "out 3\n"
    assert stamp.endswith("Z")
    assert engine.docker("logs", "--since", "1h", "said") == "out 1\nout 2\nout 3\n"
    assert engine.docker("logs", "--until", "1h", "said") == ""


def test_logs_followed(engine: EngineProcess) -> None:
    engine.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", "echo a; sleep 0.5; echo b; sleep 0.5; echo c")
    with beside(engine, "logs", "-f", "talks") as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(3)] == ["a\n", "b\n", "c\n"]
        assert follower.wait(10) == 0


@pytest.mark.parametrize("driver", ["json-file", "none", "local"])
def test_log_drivers(engine: EngineProcess, driver: str) -> None:
    engine.docker("run", "--name", "logged", "--log-driver", driver, "busybox", "echo", "x")
    done = engine.run("logs", "logged")
    if driver == "none":
        assert "does not support reading" in done.stderr
    else:
        assert done.stdout == "x\n"


def test_unknown_log_drivers_are_refused(engine: EngineProcess) -> None:
    done = engine.run("create", "--log-driver", "journald", "busybox")
    assert "no log driver named 'journald'" in done.stderr


def test_exec(engine: EngineProcess) -> None:
    sleeper(engine, "host", "-e", "A=1", "-w", "/tmp")
    done = engine.run("exec", "host", "sh", "-c", "echo $A; pwd; echo e >&2; exit 9")
    assert (done.stdout, done.stderr, done.returncode) == ("1\n/tmp\n", "e\n", 9)
    out = engine.docker("exec", "-u", "65534", "-w", "/etc", "-e", "B=2", "host", "sh", "-c", "id -u; pwd; echo $B")
    assert out == "65534\n/etc\n2\n"
    assert engine.docker("exec", "-i", "host", "wc", "-c", input="12345") == "5\n"
    assert engine.run("exec", "host", "no-such-program").returncode == 127
    assert engine.run("exec", "host", "/etc/passwd").returncode == 126
    engine.docker("exec", "-d", "host", "touch", "/tmp/later")
    eventually(lambda: engine.run("exec", "host", "test", "-e", "/tmp/later").returncode == 0)
    engine.docker("stop", "host")
    done = engine.run("exec", "host", "true")
    assert "is not running" in done.stderr


def test_exec_in_a_terminal(engine: EngineProcess) -> None:
    sleeper(engine, "screen")
    with terminal(engine, "exec", "-it", "screen", "sh") as shell:
        shell.expect(b"# ")
        shell.send(b"tty\r")
        shell.expect(b"/dev/pts/")
        shell.resize(21, 77)
        shell.send(b"sleep 0.3; stty size\r")
        shell.expect(b"21 77")
        shell.send(b"exit 6\r")
        assert shell.wait() == 6


def test_attach_and_detach(engine: EngineProcess) -> None:
    engine.docker("run", "-dit", "--name", "shell", "busybox", "sh")
    with terminal(engine, "attach", "shell") as shell:
        time.sleep(0.3)
        shell.send(b"echo it is $((40+2))\r")
        shell.expect(b"it is 42")
        shell.send(b"\x10\x11")
        shell.wait()
    assert inspect(engine, "shell")["State"]["Running"] is True
    with terminal(engine, "attach", "--detach-keys", "ctrl-x", "shell") as shell:
        time.sleep(0.3)
        shell.send(b"\x18")
        shell.wait()
    assert inspect(engine, "shell")["State"]["Running"] is True
    with terminal(engine, "attach", "shell") as shell:
        time.sleep(0.3)
        shell.send(b"exit 3\r")
        assert shell.wait() == 3


def test_start_with_the_clients_standard_input(engine: EngineProcess) -> None:
    engine.docker("create", "-i", "--name", "reader", "busybox", "cat")
    for _ in range(2):
        assert engine.docker("start", "-ai", "reader", input="through\n") == "through\n"


def test_stop_and_kill(engine: EngineProcess) -> None:
    program = 'trap "echo bye; exit 5" TERM; trap "echo usr" USR1; echo ready; while :; do sleep 0.05; done'
    engine.docker("run", "-d", "--name", "polite", "busybox", "sh", "-c", program)
    eventually(lambda: "ready" in engine.docker("logs", "polite"))
    engine.docker("kill", "-s", "USR1", "polite")
    eventually(lambda: "usr" in engine.docker("logs", "polite"))
    engine.docker("stop", "polite")
    assert inspect(engine, "polite")["State"]["ExitCode"] == 5
    assert engine.docker("logs", "polite") == "ready\nusr\nbye\n"
    engine.docker("start", "polite")
    engine.docker("kill", "polite")
    assert inspect(engine, "polite")["State"]["ExitCode"] == 137
    assert "is not running" in engine.run("kill", "polite").stderr
    sleeper(engine, "deaf")
    engine.docker("stop", "-t", "0", "deaf")
    assert inspect(engine, "deaf")["State"]["ExitCode"] == 137


def test_wait(engine: EngineProcess) -> None:
    engine.docker("run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 0.3; exit 12")
    assert engine.docker("wait", "brief") == "12\n"
    assert engine.docker("wait", "brief") == "12\n"


def test_remove(engine: EngineProcess) -> None:
    sleeper(engine, "busy")
    done = engine.run("rm", "busy")
    assert 'cannot remove container "/busy": container is running' in done.stderr
    engine.docker("rm", "-f", "busy")
    assert engine.docker("ps", "-aq") == ""
    sleeper(engine, "fleeting", "--rm")
    engine.docker("rm", "-f", "fleeting")
    sleeper(engine, "fleeting", "--rm")
    engine.docker("stop", "fleeting")
    eventually(lambda: not engine.docker("ps", "-aq"))


def test_rename_pause_restart(engine: EngineProcess) -> None:
    sleeper(engine, "old")
    engine.docker("rename", "old", "new")
    assert engine.run("inspect", "old").returncode == 1
    sleeper(engine, "old")
    assert "already in use" in engine.run("rename", "old", "new").stderr
    engine.docker("pause", "new")
    assert "(Paused)" in engine.docker("ps", "-f", "name=new")
    assert "is paused" in engine.run("exec", "new", "true").stderr
    engine.docker("unpause", "new")
    engine.docker("exec", "new", "true")
    engine.docker("pause", "new")
    engine.docker("stop", "new")
    before = inspect(engine, "old")["State"]["Pid"]
    engine.docker("restart", "old")
    assert inspect(engine, "old")["State"]["Pid"] not in (0, before)


def test_top_and_stats(engine: EngineProcess) -> None:
    sleeper(engine, "seen", "-m", "32m")
    assert "sleep 1000" in engine.docker("top", "seen")
    assert engine.docker("top", "seen", "-o", "pid,args").split()[:2] == ["PID", "COMMAND"]
    numbers = json.loads(engine.docker("stats", "--no-stream", "--format", "{{json .}}", "seen"))
    assert numbers["MemUsage"].endswith("/ 32MiB")
    assert numbers["PIDs"] == "1"


def test_copy(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_text("copied")
    for name, start in (("still", False), ("moving", True)):
        engine.docker("create", "--name", name, "-v", "/vol", "busybox", "sleep", "1000")
        if start:
            engine.docker("start", name)
        engine.docker("cp", str(tmp_path / "tree"), f"{name}:/tmp/")
        engine.docker("cp", str(tmp_path / "tree/sub/file"), f"{name}:/vol/renamed")
        engine.docker("cp", f"{name}:/tmp/tree", str(tmp_path / name))
        assert (tmp_path / name / "sub" / "file").read_text() == "copied"
        engine.docker("cp", f"{name}:/vol/renamed", str(tmp_path / f"{name}-file"))
        assert (tmp_path / f"{name}-file").read_text() == "copied"
        said = engine.run("cp", f"{name}:/nowhere", str(tmp_path)).stderr
        assert "Could not find the file" in said or "No such container:path" in said  # docker before 23.0 says that
    engine.docker("start", "still")
    assert engine.docker("exec", "still", "cat", "/tmp/tree/sub/file", "/vol/renamed") == "copiedcopied"
    assert "busybox" in engine.docker("exec", "moving", "ls", "/bin")


def test_copy_does_not_leave_the_container(engine: EngineProcess, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    engine.docker("run", "--name", "sly", "busybox", "sh", "-c", f"ln -s {secret} /l; ln -s {tmp_path} /d; ln -s / /up")
    assert engine.run("cp", "-L", "sly:/l", str(tmp_path / "got")).returncode == 1
    (tmp_path / "f").write_text("x")
    assert engine.run("cp", str(tmp_path / "f"), "sly:/d/written").returncode == 1
    assert not (tmp_path / "written").exists()
    engine.docker("cp", str(tmp_path / "f"), "sly:/up/etc/inside")
    assert not Path("/etc/inside").exists()


def test_export(engine: EngineProcess, tmp_path: Path) -> None:
    engine.docker("run", "--name", "source", "busybox", "sh", "-c", "echo x > /made")
    engine.docker("export", "-o", str(tmp_path / "out.tar"), "source")
    engine.docker("import", str(tmp_path / "out.tar"), "again:1")
    assert engine.docker("run", "--rm", "again:1", "cat", "/made") == "x\n"
    engine.docker("rmi", "again:1")


def test_diff(engine: EngineProcess) -> None:
    engine.docker("run", "--name", "differs", "busybox", "sh", "-c", "echo > /new; rm /etc/group; mkdir -p /a/b")
    lines = engine.docker("diff", "differs").splitlines()
    assert lines == ["A /a", "A /a/b", "C /etc", "D /etc/group", "A /new"]
    engine.docker("run", "--name", "same", "busybox", "true")
    assert engine.docker("diff", "same") == ""


def test_events(engine: EngineProcess) -> None:
    start = str(time.time())
    engine.docker("run", "--rm", "--name", "noted", "busybox", "sh", "-c", "exit 2", check=False)
    eventually(lambda: not engine.docker("ps", "-aq"))
    lines = engine.docker("events", "--since", start, "--until", str(time.time() + 1), "-f", "container=noted",
                          "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}").splitlines()  # fmt: skip
    actions = [line.split()[0] for line in lines]
    assert actions == ["create", "attach", "start", "die", "destroy"]
    assert lines[3] == "die 2"


def test_update_and_prune(engine: EngineProcess) -> None:
    sleeper(engine, "changed")
    engine.docker("update", "--restart", "unless-stopped", "changed")
    assert inspect(engine, "changed")["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    engine.docker("update", "--restart", "no", "changed")
    engine.docker("create", "--name", "idle", "busybox", "true")
    assert "Total reclaimed space" in engine.docker("container", "prune", "-f")
    assert engine.docker("ps", "-a", "--format", "{{.Names}}") == "changed\n"
    engine.docker("network", "create", "idle")
    assert "Total reclaimed space" in engine.docker("system", "prune", "-f")
    assert engine.docker("network", "ls", "-q", "-f", "type=custom") == ""
    engine.docker("update", "--pids-limit", "9", "--cpus", "0.5", "changed")
    engine.docker("update", "--pids-limit", "-1", "changed")
    assert engine.docker("exec", "changed", "cat", "/sys/fs/cgroup/pids/pids.max") == "max\n"


def test_health_checks(engine: EngineProcess) -> None:
    engine.docker("run", "-d", "--name", "well", "--health-cmd", "test -e /ok", "--health-interval", "100ms",
                  "--health-retries", "2", "busybox", "sleep", "1000")  # fmt: skip
    assert inspect(engine, "well")["State"]["Health"]["Status"] == "starting"
    eventually(lambda: inspect(engine, "well")["State"]["Health"]["Status"] == "unhealthy")
    engine.docker("exec", "well", "touch", "/ok")
    eventually(lambda: "(healthy)" in engine.docker("ps"))
    assert engine.docker("ps", "-q", "-f", "health=healthy")


def test_user_networks(engine: EngineProcess) -> None:
    engine.docker("network", "create", "net1")
    try:
        sleeper(engine, "served", "--net", "net1", "--network-alias", "db")
        assert "served" in engine.docker("network", "inspect", "net1")
        sleeper(engine, "roams")
        engine.docker("network", "connect", "net1", "roams")
        assert set(inspect(engine, "roams")["NetworkSettings"]["Networks"]) == {"bridge", "net1"}
        assert engine.docker("exec", "roams", "ls", "/sys/class/net").split() == ["eth0", "eth1", "lo"]
        engine.docker("network", "disconnect", "bridge", "roams")
        assert set(inspect(engine, "roams")["NetworkSettings"]["Networks"]) == {"net1"}
        engine.docker("restart", "-t", "0", "roams")
        assert set(inspect(engine, "roams")["NetworkSettings"]["Networks"]) == {"net1"}
    finally:
        engine.run("rm", "-f", "served", "roams")
        engine.docker("network", "rm", "net1")
