"""What a user does with a machine after ``create``: containers by the real docker CLI over mutual TLS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.images import layer_tar
from support.machines import Machine
from support.program import Program
from support.registry import Registry
from support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_engine_flags_reach_the_engine(machine: Machine) -> None:
    info = json.loads(machine.docker("info", "--format", "{{json .}}"))

    assert set(info["Labels"]) == {"tier=web", "provider=local"}
    assert info["LoggingDriver"] == "json-file"
    assert info["Driver"] == "overlay2"
    assert "registry.example:5000" in info["RegistryConfig"]["IndexConfigs"]
    assert [mirror.rstrip("/") for mirror in info["RegistryConfig"]["Mirrors"]] == ["https://mirror.example"]
    assert machine.docker("run", "--rm", "busybox", "cat", "/sys/class/net/eth0/mtu") == "1400"
    environ = machine.ssh("tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID pyengine)/environ")
    assert 'NO_PROXY=10.0.0.0/8 and % "more"' in environ.splitlines()


def test_only_who_has_the_client_certificate_gets_in(machine: Machine) -> None:
    url = f"https://{machine.address()}:2376/version"
    done = subprocess.run(["curl", "-sk", "--noproxy", "*", url], capture_output=True, text=True)

    assert done.returncode != 0
    assert done.stdout == ""


def test_a_pull_from_a_registry_and_a_run_of_what_came(machine: Machine, tmp_path: Path) -> None:
    with Registry(tmp_path) as registry:
        registry.push("team/app", "1", [layer_tar({"etc/motto": b"pulled"})], {"config": {"Cmd": ["cat"]}})
        tunnel = machine.program.start("ssh", machine.name, "-N", "-R", f"5000:{registry.address}")
        try:
            eventually(lambda: machine.run("pull", "127.0.0.1:5000/team/app:1").returncode == 0)
            machine.docker("create", "--name", "pulled", "127.0.0.1:5000/team/app:1")
            copied = machine.run("cp", "pulled:/etc/motto", "-")
            machine.docker("rm", "pulled")
        finally:
            os.killpg(tunnel.pid, signal.SIGTERM)  # the program and its ssh
            tunnel.communicate()

    assert "pulled" in copied.stdout


def test_streams_and_the_exit_code_come_through(machine: Machine) -> None:
    done = machine.run("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in\n")

    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n", "err\n")


def test_a_program_that_is_not_there_ends_as_127(machine: Machine) -> None:
    done = machine.run("run", "--rm", "busybox", "nosuchprogram")

    assert done.returncode == 127
    assert 'exec: "nosuchprogram": executable file not found in $PATH' in done.stderr


def test_a_published_port_answers_from_here_and_is_taken_once(machine: Machine) -> None:
    machine.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", "echo hi >i; httpd -f -h /")
    try:
        url = f"http://{machine.address()}:8080/i"
        eventually(
            lambda: subprocess.run(["curl", "-sf", "--noproxy", "*", url], capture_output=True).stdout == b"hi\n"
        )
        second = machine.run("run", "--rm", "-p", "8080:80", "busybox", "true")
    finally:
        machine.docker("rm", "-f", "web")

    assert second.returncode == 125
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in second.stderr


def test_a_container_outlives_a_kill_of_the_daemon(machine: Machine) -> None:
    script = "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo line $i; sleep 0.05; [ -e /stop ] && exit 5; done"
    machine.docker("run", "-d", "--name", "survivor", "busybox", "sh", "-c", script)
    pid = machine.docker("inspect", "-f", "{{.State.Pid}}", "survivor")
    old = machine.ssh("systemctl show -P MainPID pyengine")
    env = machine.docker_env()  # which is refused while the engine is away
    machine.ssh(f"kill -9 {old}")
    eventually(lambda: machine.ssh("systemctl show -P MainPID pyengine") not in ("0", old))
    eventually(lambda: subprocess.run(["docker", "version"], env=env, capture_output=True).returncode == 0)

    assert machine.docker("inspect", "-f", "{{.State.Pid}} {{.State.Running}}", "survivor") == f"{pid} true"
    machine.docker("exec", "survivor", "touch", "/stop")
    assert machine.docker("wait", "survivor") == "5"
    lines = machine.docker("logs", "survivor").splitlines()
    machine.docker("rm", "survivor")
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]


def test_provisioning_again_changes_nothing_and_disturbs_no_container(machine: Machine) -> None:
    machine.docker("run", "-d", "--name", "busy", "busybox", "sleep", "600")
    shown = "{{.State.Pid}} {{.State.StartedAt}}"
    before = machine.docker("inspect", "-f", shown, "busy")
    daemon = machine.ssh("systemctl show -P MainPID pyengine")

    output = machine.program.ok("provision", machine.name)

    assert "Installing the engine" not in output
    assert machine.ssh("systemctl show -P MainPID pyengine") == daemon
    assert machine.docker("inspect", "-f", shown, "busy") == before
    machine.docker("rm", "-f", "busy")


def test_a_shutdown_ends_containers_in_good_order_and_policies_bring_them_back(machine: Machine) -> None:
    machine.docker(
        "run",
        "-d",
        "--name",
        "back",
        "--restart",
        "unless-stopped",
        "busybox",
        "sh",
        "-c",
        "trap exit TERM; sleep 600 & wait",
    )
    machine.docker(
        "run", "-d", "--name", "gone", "busybox", "sh", "-c", "trap 'echo bye; exit 3' TERM; sleep 600 & wait"
    )
    eventually(lambda: "sleep" in machine.docker("top", "gone"))
    machine.program.ok("stop", machine.name)
    machine.program.ok("start", machine.name)

    assert machine.docker("inspect", "-f", "{{.State.ExitCode}}", "gone") == "3"
    assert machine.docker("logs", "gone") == "bye"
    eventually(lambda: machine.docker("inspect", "-f", "{{.State.Running}}", "back") == "true")
    machine.docker("rm", "-f", "back", "gone")


def test_machines_reach_each_other(machine: Machine, program: Program) -> None:
    program.ok("create", "neighbour")
    machine.docker("run", "-d", "--name", "web2", "-p", "8081:80", "busybox", "sh", "-c", "echo hi >i; httpd -f -h /")
    try:
        fetch = f"import urllib.request; print(urllib.request.urlopen('http://{machine.address()}:8081/i').read())"
        eventually(lambda: "hi" in program.run("ssh", "neighbour", f'python3 -c "{fetch}"').stdout)
    finally:
        machine.docker("rm", "-f", "web2")
        program.ok("rm", "-y", "neighbour")
