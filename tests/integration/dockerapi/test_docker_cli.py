"""The real docker CLI as a client of a real engine process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.busybox import rootfs_tar
from support.certificates import Authority
from support.engineprocess import EngineProcess, engine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.make(tmp_path_factory.mktemp("pki"))
    made.issue("server", "127.0.0.1", "localhost")
    made.issue("client")
    return made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[tuple[EngineProcess, int]]:
    """An engine on a unix socket and on a loopback port with mutual TLS."""
    folder, port = tmp_path_factory.mktemp("engine"), _free_port()
    with engine(
        folder,
        hosts=[f"unix://{folder}/docker.sock", f"tcp://127.0.0.1:{port}"],
        tlsverify=True,
        tlscacert=str(authority.ca),
        tlscert=str(authority.folder / "server.pem"),
        tlskey=str(authority.folder / "server-key.pem"),
        labels=["rack=7"],
        insecure_registries=["registry.test:5000"],
    ) as running:
        yield running, port


def _tls(authority: Authority, port: int, *words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    client = authority.folder / "client.pem", authority.folder / "client-key.pem"
    options = [f"--tlscacert={authority.ca}", f"--tlscert={client[0]}", f"--tlskey={client[1]}"]
    return subprocess.run(
        ["docker", "-H", f"tcp://127.0.0.1:{port}", "--tlsverify", *options, *words],
        env={"PATH": os.environ["PATH"], "HOME": str(authority.folder)},
        input=input,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_the_cli_negotiates_the_version(served: tuple[EngineProcess, int]) -> None:
    running, _ = served
    version = json.loads(running.docker("version", "--format", "{{json .}}"))
    newest = [tuple(map(int, version["Client"][key].split("."))) for key in ("DefaultAPIVersion", "ApiVersion")]
    assert newest[1] == min(newest[0], (1, 47))
    assert version["Server"]["ApiVersion"] == "1.47"
    assert version["Server"]["MinAPIVersion"] == "1.24"
    assert version["Server"]["Os"] == "linux"


def test_info_tells_of_this_host_and_configuration(served: tuple[EngineProcess, int]) -> None:
    running, _ = served
    info = json.loads(running.docker("info", "--format", "{{json .}}"))
    assert info["Labels"] == ["rack=7"]
    assert info["KernelVersion"] == os.uname().release
    assert info["NCPU"] == len(os.sched_getaffinity(0))
    assert info["RegistryConfig"]["IndexConfigs"]["registry.test:5000"]["Secure"] is False
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["DockerRootDir"] == str(running.folder / "data")
    assert info["ID"]


def test_the_cli_is_served_over_mutual_tls(served: tuple[EngineProcess, int], authority: Authority) -> None:
    _, port = served
    done = _tls(authority, port, "version", "--format", "{{.Server.APIVersion}}")
    assert (done.returncode, done.stdout.strip()) == (0, "1.47"), done.stderr


def test_input_ends_over_tls_and_output_goes_on(served: tuple[EngineProcess, int], authority: Authority) -> None:
    running, port = served
    (running.folder / "busybox.tar").write_bytes(rootfs_tar())
    running.docker("import", str(running.folder / "busybox.tar"), "busybox:latest")
    script = "wc -c; sleep 0.2; echo end; echo problem >&2; exit 3"
    sent = "line\n" * 50_000
    try:
        run = ("run", "-i", "--rm", "--network", "none", "busybox", "sh", "-c", script)
        done = _tls(authority, port, *run, input=sent)
        assert (done.stdout.split(), done.stderr, done.returncode) == ([str(len(sent)), "end"], "problem\n", 3)
    finally:
        running.docker("rmi", "busybox:latest")


def test_plain_http_gets_nothing_on_the_tls_port(served: tuple[EngineProcess, int]) -> None:
    _, port = served
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/_ping")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()


def test_what_is_not_served_says_so(served: tuple[EngineProcess, int]) -> None:
    running, _ = served
    done = running.run("node", "ls")
    assert done.returncode != 0
    assert "This node is not a swarm manager" in done.stderr
    done = running.run("plugin", "enable", "x/y")
    assert "is not served by this engine yet" in done.stderr


def test_lists_are_empty_on_a_new_engine(served: tuple[EngineProcess, int]) -> None:
    running, _ = served
    for words in (("ps", "-aq"), ("images", "-q"), ("volume", "ls", "-q"), ("plugin", "ls", "-q")):
        assert running.docker(*words) == ""


def test_an_event_is_streamed_as_it_happens_and_kept_for_a_while(served: tuple[EngineProcess, int]) -> None:
    running, _ = served
    watching = subprocess.Popen(
        ["docker", "-H", f"unix://{running.socket}", "events", "--filter", "volume=seen", "--format", "{{.Action}}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 10
        while json.loads(running.docker("info", "--format", "{{json .NEventsListener}}")) < 1:
            assert time.monotonic() < deadline
        running.docker("volume", "create", "seen")
        running.docker("volume", "create", "other")
        assert watching.stdout is not None
        assert watching.stdout.readline().strip() == "create"
    finally:
        watching.kill()
        watching.communicate()
    until = str(int(time.time()) + 1)  # the CLI counts in whole seconds
    past = running.docker(
        "events", "--since", "10m", "--until", until, "--filter", "type=volume", "--format", "{{.Actor.ID}}"
    )
    assert {"seen", "other"} <= set(past.split())
    running.docker("volume", "rm", "seen", "other")


def test_disk_usage_is_shown(served: tuple[EngineProcess, int]) -> None:
    running, _ = served
    lines = running.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}").splitlines()
    assert {"Images 0", "Containers 0", "Local Volumes 0", "Build Cache 0"} == set(lines)


def test_a_hangup_reloads_certificates_and_labels(served: tuple[EngineProcess, int], authority: Authority) -> None:
    running, port = served
    running.config["labels"] = ["rack=8"]
    running.configure()
    authority.issue("server", "127.0.0.1", "localhost")
    os.kill(running.pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while json.loads(running.docker("info", "--format", "{{json .Labels}}")) != ["rack=8"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert _tls(authority, port, "version").returncode == 0
    assert "reloaded" in running.log


def test_a_second_engine_on_the_same_data_refuses(served: tuple[EngineProcess, int], tmp_path: Path) -> None:
    running, _ = served
    command = [*running.configure(), "-H", f"unix://{tmp_path}/other.sock"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert second.stderr.strip() == (
        f"pyengine: another engine (process {running.pid}) runs with data root {running.folder / 'data'}"
    )


def test_a_port_in_use_is_one_clear_line(served: tuple[EngineProcess, int], tmp_path: Path) -> None:
    _, port = served
    other = EngineProcess(tmp_path)
    try:
        command = [*other.configure(), "-H", f"tcp://127.0.0.1:{port}", "--insecure-tcp"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        assert f"pyengine: cannot listen on tcp port {port} of 127.0.0.1: the port is in use" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        other.clean()


def test_a_stop_is_clean_and_the_id_stays(tmp_path: Path) -> None:
    with engine(tmp_path) as running:
        first = running.docker("info", "--format", "{{.ID}}")
        assert running.stop() == 0
        assert not running.socket.exists()
        assert not (tmp_path / "pid").exists()
        running.start()
        assert running.docker("info", "--format", "{{.ID}}") == first


def test_sockets_handed_over_by_systemd_are_served(tmp_path: Path) -> None:
    other = EngineProcess(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(other.socket))
        listening.listen()
        # As systemd does it: the socket is descriptor 3, and the process finds its own id.
        prelude = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}; "
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [*other.configure(), "-H", "fd://"]
        other.process = subprocess.Popen(
            [sys.executable, "-c", prelude, str(listening.fileno()), *command],
            pass_fds=[listening.fileno()],
            stderr=(tmp_path / "log").open("ab"),
        )
    try:
        assert other.docker("version", "--format", "{{.Server.APIVersion}}").strip() == "1.47"
        assert other.stop() == 0
        assert other.socket.exists()
    finally:
        other.stop()
        other.clean()
