"""Every docker command and option that a machine's user is promised, over mutual TLS, by the real docker CLI."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.busybox import rootfs_tar
from support.machines import Machine
from support.terminal import converse
from support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.slow]


@contextlib.contextmanager
def container(machine: Machine, name: str, *command: str) -> Iterator[str]:
    """A container in the background, for the block."""
    machine.docker("run", "-d", "--name", name, "busybox", *command)
    try:
        yield name
    finally:
        machine.run("rm", "-f", name)


def on_terminal(machine: Machine, *args: str, answers: list[tuple[str, str]]) -> tuple[int, str]:
    return converse(["/usr/bin/env", "docker", *args], {**machine.docker_env(), "TERM": "xterm"}, answers)


def start(machine: Machine, *args: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(["docker", *args], env=machine.docker_env(), stdout=pipe, stderr=pipe, text=True)


def test_environment_directory_and_user(machine: Machine) -> None:
    show = 'echo "$GREETING,$EMPTY,$PWD,$(id -u):$(id -g)"'
    options = ["-e", "GREETING=hello there", "-e", "EMPTY", "-w", "/tmp", "-u", "1000:100"]

    assert machine.docker("run", "--rm", *options, "busybox", "sh", "-c", show) == "hello there,,/tmp,1000:100"


def test_a_directory_of_the_machine(machine: Machine) -> None:
    write = ["run", "--rm", "-v", "/srv/shared:/data", "busybox", "sh", "-c", "echo kept >/data/file"]
    machine.docker(*write)

    assert machine.ssh("cat /srv/shared/file") == "kept"
    done = machine.run("run", "--rm", "-v", "/srv/shared:/data:ro", "busybox", "touch", "/data/file")
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_limits_of_memory_and_cpus_hold(machine: Machine) -> None:
    show = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
    limits = ["--memory", "64m", "--cpus", "0.5"]

    assert machine.docker("run", "--rm", *limits, "busybox", "sh", "-c", f"{show} || :") == str(64 << 20)
    inspected = machine.docker("create", "--name", "limited", *limits, "busybox")
    assert machine.docker("inspect", "-f", "{{.HostConfig.NanoCpus}}", inspected) == "500000000"
    machine.docker("rm", "limited")
    over = machine.run("run", "--rm", "--memory", "32m", "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M")
    assert over.returncode == 137


def test_networks_host_and_none(machine: Machine) -> None:
    assert machine.docker("run", "--rm", "--net", "host", "busybox", "hostname") == machine.name
    links = machine.docker("run", "--rm", "--net", "none", "busybox", "ls", "/sys/class/net")
    assert links == "lo"


def test_a_network_that_is_not_there_is_told_as_such(machine: Machine) -> None:
    """Not as an image that is not there, which docker run would then pull."""
    done = machine.run("run", "--name", "netless", "--net", "nosuch", "busybox", "true")
    machine.docker("rm", "netless")

    assert done.returncode == 125
    assert "network nosuch not found" in done.stderr
    assert "Unable to find image" not in done.stderr


def test_a_terminal(machine: Machine) -> None:
    code, shown = on_terminal(machine, "run", "--rm", "-it", "busybox", answers=[("# ", "tty; exit 4")])

    assert code == 4
    assert "/dev/pts/0" in shown


def test_exec_with_and_without_a_terminal(machine: Machine) -> None:
    with container(machine, "inner", "sleep", "600") as name:
        options = ["-e", "A=1", "-w", "/tmp", "-u", "5"]
        assert machine.docker("exec", *options, name, "sh", "-c", 'echo "$A,$PWD,$(id -u)"') == "1,/tmp,5"
        piped = machine.run("exec", "-i", name, "sh", "-c", "cat; echo err >&2; exit 3", stdin="in\n")
        assert (piped.returncode, piped.stdout, piped.stderr) == (3, "in\n", "err\n")
        code, shown = on_terminal(machine, "exec", "-it", name, "sh", answers=[("# ", "tty; exit 6")])

    assert code == 6
    assert "/dev/pts/0" in shown


def test_attach_shows_what_comes_and_ends_with_the_containers_exit_code(machine: Machine) -> None:
    script = "trap 'echo bye; exit 9' TERM; while :; do echo tick; sleep 0.1; done"
    with container(machine, "attached", "sh", "-c", script) as name:
        attached = start(machine, "attach", "--no-stdin", name)
        assert attached.stdout is not None
        assert attached.stdout.readline() == "tick\n"
        machine.docker("kill", "-s", "TERM", name)
        shown, _ = attached.communicate(timeout=30)

    assert shown.endswith("bye\n")
    assert attached.returncode == 9


def test_logs_are_followed_to_the_end(machine: Machine) -> None:
    script = "i=0; while [ ! -e /end ]; do i=$((i+1)); echo $i; sleep 0.1; done; echo last >&2"
    with container(machine, "talking", "sh", "-c", script) as name:
        followed = start(machine, "logs", "-f", name)
        assert followed.stdout is not None
        assert [followed.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
        machine.docker("exec", name, "touch", "/end")
        _, errors = followed.communicate(timeout=30)

    assert (followed.returncode, errors) == (0, "last\n")


def test_stop_kill_wait_and_rm(machine: Machine) -> None:
    with container(machine, "polite", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done") as name:
        waiting = start(machine, "wait", name)
        eventually(lambda: "sleep" in machine.docker("top", name))
        refused = machine.run("rm", name)
        machine.docker("stop", name)
        assert waiting.communicate(timeout=30)[0] == "4\n"
    assert refused.returncode == 1
    assert "container is running" in refused.stderr
    with container(machine, "rude", "sleep", "600") as name:
        machine.docker("kill", name)
        assert machine.docker("wait", name) == "137"
        machine.docker("rm", name)
        assert name not in machine.docker("ps", "-a", "--format", "{{.Names}}").split()


def test_images_move_by_archive_and_go(machine: Machine, tmp_path: Path) -> None:
    root, saved = tmp_path / "root.tar", tmp_path / "saved.tar"
    root.write_bytes(rootfs_tar())
    made = machine.docker("import", "--change", 'CMD ["echo", "imported"]', str(root), "moved:1")
    machine.docker("save", "-o", str(saved), "moved:1")
    assert "Untagged: moved:1" in machine.docker("rmi", "moved:1")
    assert "moved" not in machine.docker("images", "--format", "{{.Repository}}").split()

    assert machine.docker("load", "-i", str(saved)) == "Loaded image: moved:1"
    assert machine.docker("images", "--no-trunc", "--format", "{{.ID}}", "moved") == made
    assert machine.docker("run", "--rm", "moved:1") == "imported"
    machine.docker("rmi", "moved:1")


def test_what_is_not_served_says_so_and_names_the_endpoint(machine: Machine) -> None:
    files = {"cacert": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    folder = machine.docker_env()["DOCKER_CERT_PATH"]
    tls = [word for kind, name in files.items() for word in (f"--{kind}", f"{folder}/{name}")]
    url = f"https://{machine.address()}:2376/v1.44/images/search?term=x"
    curl = ["curl", "-s", "--noproxy", "*", *tls, "-w", " %{http_code}", url]
    done = subprocess.run(curl, capture_output=True, text=True, check=True)

    text, _, status = done.stdout.rpartition(" ")
    assert json.loads(text) == {"message": "GET /images/search is not served by this engine yet"}
    assert status == "501"
    searched = machine.run("search", "anything")
    assert searched.returncode == 1
    assert "GET /images/search is not served by this engine yet" in searched.stderr
