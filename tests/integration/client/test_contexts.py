"""``use`` and ``context`` with the real docker command line."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.program import Program, environment
from support.schemas import check

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def clean(pair: Program) -> Iterator[None]:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker program")
    yield
    pair.ok("context", "rm", "--all")


def docker(pair: Program, *args: str, env: dict[str, str] | None = None) -> str:
    """The real docker, with nothing but its configuration to go by."""
    done = subprocess.run(
        ["docker", *args],
        env=environment({"DOCKER_CONFIG": pair.env["DOCKER_CONFIG"], **(env or {})}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def host_of(pair: Program, *flags: str, env: dict[str, str] | None = None) -> str:
    return docker(pair, *flags, "info", "--format", "{{.Name}}", env=env).strip()


def current(pair: Program) -> str:
    """The context in use (docker CLIs before 23.0 cannot be asked for it alone)."""
    return docker(pair, "context", "ls", "--format", "{{if .Current}}{{.Name}}{{end}}").strip()


def closed(pair: Program, name: str) -> None:
    """Close the engine's port on a machine's host."""
    pair.ok("ssh", name, "iptables -I INPUT -p tcp --dport 2376 -j REJECT")


def opened(pair: Program, name: str) -> None:
    pair.run("ssh", name, "iptables -F INPUT")


def test_using_one_machine_after_another(pair: Program) -> None:
    said = pair.ok("use", "one").splitlines()

    assert said[0].startswith('docker talks to "one" now, by its context "one" (tcp://')
    assert said[1] == "For one shell alone: eval $(pymachine env one)"
    assert host_of(pair) == "one"
    pair.ok("use", "two")
    assert host_of(pair) == "two"
    assert host_of(pair, "--context", "one") == "one"
    assert current(pair) == "two"
    pair.ok("use", "-u")
    assert current(pair) == "default"


def test_by_ssh_with_the_engines_port_closed(pair: Program) -> None:
    closed(pair, "two")
    try:
        said = pair.ok("use", "--ssh", "two").splitlines()
        assert said[1] == "For one shell alone: export DOCKER_CONTEXT=two"
        assert host_of(pair) == "two"
        assert host_of(pair, env={"DOCKER_CONTEXT": "two"}) == "two"
        pair.ok("provision", "two")
        assert host_of(pair) == "two"
        assert pair.ok("version", "two") == docker(pair, "version", "--format", "{{.Server.Version}}")
        assert (
            pair.ok("ls", "--filter", "name=two", "-f", "{{.DockerVersion}}{{.Error}}")
            == f"v{pair.ok('version', 'two')}"
        )
    finally:
        opened(pair, "two")


def test_beside_a_docker_the_right_engine_is_reached(pair: Program) -> None:
    """There our engine has a socket of its own; Docker's is left alone (provisioners/neighbours.py)."""
    serve = (
        "import http.server, socketserver\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    address_string = lambda self: ''\n"
        "    def do_GET(self):\n"
        '        body = b\'{"Version": "9.9", "Name": "beside"}\'\n'
        "        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "socketserver.UnixStreamServer('/run/pyengine.sock', H).serve_forever()\n"
    )
    pair.ok("ssh", "one", "cat >/tmp/beside.py", stdin=serve)
    pair.ok("ssh", "one", "systemd-run -q --unit beside python3 /tmp/beside.py; sleep 1; test -S /run/pyengine.sock")
    try:
        pair.ok("use", "--ssh", "one")
        assert host_of(pair) == "beside"
    finally:
        pair.ok("ssh", "one", "systemctl stop beside; rm -f /run/pyengine.sock")


def test_by_ssh_from_a_store_whose_paths_are_too_long_for_sockets(pair: Program, tmp_path: Path) -> None:
    """Whatever the environment of the command that takes the context away."""
    (runtime := Path(tempfile.mkdtemp(prefix="pymachine-test-"))).chmod(0o700)
    far = replace(pair, store=tmp_path / ("far" * 33))
    shutil.copytree(pair.store, far.store, ignore=shutil.ignore_patterns("*.sock", "*.ctl"))
    link = far.store / "machines/two/docker.sock"
    try:
        far.ok("use", "--ssh", "two", env={"XDG_RUNTIME_DIR": str(runtime)})
        assert host_of(pair) == "two"
        assert link.readlink().parent.parent == runtime
    finally:
        far.ok("context", "rm", "two")
    assert not link.is_symlink()
    runtime.rmdir()  # nothing is in it


def test_a_stop_and_a_start_later_the_context_works_again(pair: Program) -> None:
    pair.ok("use", "--ssh", "two")
    pair.ok("stop", "two")
    pair.ok("start", "two")

    assert host_of(pair) == "two"


def test_new_certificates_reach_the_context(pair: Program, docker_config: Path) -> None:
    pair.ok("use", "one")
    (before,) = [path.read_text() for path in docker_config.glob("contexts/tls/*/docker/cert.pem")]
    pair.ok("regenerate-certs", "-f", "--client-certs", "one", "two")
    (after,) = [path.read_text() for path in docker_config.glob("contexts/tls/*/docker/cert.pem")]

    assert before != after
    assert host_of(pair) == "one"


def test_the_list(pair: Program) -> None:
    pair.ok("context", "create", "one")
    rows = {row["Machine"]: row for row in check("context-ls", pair.ok("context", "ls", "--format", "json"))}

    assert (rows["one"]["Context"], rows["one"]["Kind"], rows["one"]["Current"]) == ("one", "tls", False)
    assert rows["two"]["Context"] == ""
    assert pair.ok("context", "ls").startswith("NAME   CONTEXT   CURRENT   KIND   HOST\n")


def test_a_context_takes_its_machines_new_name_and_goes_with_it(pair: Program, docker_config: Path) -> None:
    pair.ok("create", "brief", env={"MACHINE_DOCKER_CONTEXT": "ssh"})
    assert host_of(pair, "--context", "brief") == "brief"
    pair.ok("use", "brief")
    pair.ok("rename", "brief", "short")
    assert host_of(pair) == "short"
    assert current(pair) == "short"
    pair.ok("rm", "-y", "short")

    assert docker(pair, "context", "ls", "-q").split() == ["default"]
    assert current(pair) == "default"
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not any(b"/docker.sock" in command and f"{pair.store}/machines/".encode() in command for command in commands)


def test_somebody_elses_context_is_left_alone(pair: Program) -> None:
    docker(pair, "context", "create", "one", "--docker", "host=tcp://127.0.0.1:1")
    try:
        done = pair.run("use", "one")
        assert done.returncode == 1
        assert 'There is a docker context "one" already' in done.stderr
        docker(pair, "context", "use", "one")
        assert 'docker uses the context "one", which is none of pymachine\'s' in pair.run("use", "-u").stderr
    finally:
        docker(pair, "context", "use", "default")
        docker(pair, "context", "rm", "one")


def test_what_overrides_a_context_is_said(pair: Program) -> None:
    done = pair.run("use", "one", env={"DOCKER_HOST": "tcp://127.0.0.1:1"})

    assert (done.returncode, "DOCKER_HOST is set" in done.stderr) == (0, True)


def test_wrong_uses(pair: Program) -> None:
    assert pair.run("use", "--ssh", "--tls", "one").returncode == 2
    assert pair.run("use", "-u", "one").stderr == "Error: Expected no machine name when the -u flag is present\n"
    assert pair.run("use", "nobody").returncode == 1
    assert pair.run("context", "rm", "two").stderr == 'Machine "two" has no docker context\n'
    assert pair.run("context", "create", "--all", "one").returncode == 2
