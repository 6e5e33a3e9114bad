"""Texts, streams and exit codes of the real program, with machines of driver ``none``."""

import json
import os
import pty
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from support.program import PROGRAM, Program, environment

URL = "tcp://127.0.0.1:1"
HEADER = "NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "store")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with machines h1, h2 and a damaged one; tests must not change it."""
    program = Program(tmp_path_factory.mktemp("filled") / "store")
    program.ok("create", "-d", "none", "--url", URL, "--engine-label", "role=web", "h1")
    program.ok("create", "-d", "none", "--none-url", "tcp://[::1]:1", "h2")
    program.ok("create", "-d", "none", "--none-url", URL, "broken")
    (program.store / "machines" / "broken" / "record.json").write_text('{"name": "bro')
    return program


def test_no_arguments_show_the_help(program: Program) -> None:
    assert program.ok().startswith("Usage: pymachine ")
    assert program.ok("--help") == program.ok("help") == program.ok("h") == program.ok()


def test_help_of_a_command_has_two_names(program: Program) -> None:
    assert program.ok("help", "env") == program.ok("env", "-h") == program.ok("env", "--help")


@pytest.mark.parametrize("args", [("nope",), ("help", "nope")])
def test_an_unknown_command(program: Program, args: tuple[str, ...]) -> None:
    done = program.run(*args)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pymachine: 'nope' is not a pymachine command. See 'pymachine --help'.\n"


def test_a_usage_error_exits_2_and_says_what_on_stderr(program: Program) -> None:
    done = program.run("ls", "--nope")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["No such option '--nope'.", "See 'pymachine ls --help'."]


def test_global_flags_precede_the_command(program: Program) -> None:
    assert program.run("ls", "-D").returncode == 2


def test_versions(program: Program) -> None:
    assert program.ok("--version") == program.ok("version") == program.ok("-v")
    assert program.ok("version").startswith("pymachine version ")


def test_reading_makes_no_store(program: Program) -> None:
    assert program.ok("ls") == HEADER
    assert program.ok("ls", "-q") == ""
    assert json.loads(program.ok("ls", "--format", "json")) == []
    assert program.run("status", "x").returncode == 1
    assert program.run("rm", "-y", "x").returncode == 1
    assert program.run("env").returncode == 1
    assert not program.store.exists()


@pytest.mark.parametrize("command", ["config", "env", "inspect", "ip", "kill", "provision", "restart", "start"])
def test_without_a_name_default_is_meant(program: Program, command: str) -> None:
    done = program.run(command)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'Error: No machine name(s) specified and no "default" machine exists\n'


def test_the_default_machine(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", URL, "default")

    assert program.ok("url") == f"{URL}\n"
    assert program.ok("status") == "Running\n"


def test_create_says_what_docker_machine_says(program: Program) -> None:
    lines = program.ok("create", "-d", "none", "--none-url", URL, "h1").splitlines()

    assert "Running pre-create checks..." in lines
    assert lines[-2:] == [
        "Creating machine...",
        "To see how to connect your Docker Client to the Docker Engine running on this virtual machine, "
        "run: pymachine env h1",
    ]


def test_the_client_certificate_is_where_config_points(filled: Program) -> None:
    directory = filled.store / "machines" / "h1"
    modes = {name: stat.S_IMODE((directory / name).stat().st_mode) for name in ("ca.pem", "cert.pem", "key.pem")}

    assert modes == {"ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("create", "-d", "none", "--none-url", URL), 1, "Error: No machine name specified"),
        (("create", "-d", "none", "a", "b"), 1, "Invalid command line. Found extra arguments [b]"),
        (("create", "-d", "none", "--none-url", URL, "a_b"), 1, "Error creating machine: Invalid hostname specified. "
         "Allowed hostname chars are: 0-9a-zA-Z . -"),
        (("create", "-d", "none", "a"), 1, "Error setting machine configuration from flags provided: "
         "--url option is required when no driver is selected"),
        (("create", "-d", "none", "--none-url", URL, "--swarm-discovery", "foo", "a"), 1,
         "Error parsing swarm discovery: Swarm Discovery URL was in the wrong format: foo"),
        (("create", "-d", "none", "--none-url", URL, "--engine-label", "x", "a"), 1,
         "Error setting machine configuration from flags provided: --engine-label: 'x' is not KEY=VALUE"),
    ],
)  # fmt: skip
def test_a_create_that_is_refused(program: Program, args: tuple[str, ...], code: int, message: str) -> None:
    done = program.run(*args)

    assert (done.returncode, done.stderr.splitlines()[0]) == (code, message)
    assert "Creating" not in done.stdout
    assert "Running pre-create checks" not in done.stdout
    assert program.ok("ls", "-q") == ""
    assert not (program.store / "machines" / "a").exists()


def test_an_unknown_driver(program: Program) -> None:
    done = program.run("create", "-d", "bogus", "x")

    assert done.returncode == 1
    assert done.stderr.startswith('Driver "bogus" not found')


def test_a_taken_name_comes_before_wrong_options(filled: Program) -> None:
    done = filled.run("create", "-d", "none", "h1")

    assert (done.returncode, done.stderr) == (1, 'Docker machine "h1" already exists\n')


def test_a_damaged_machine_is_not_created_over(filled: Program) -> None:
    done = filled.run("create", "-d", "none", "--none-url", URL, "broken")

    assert done.returncode == 1
    assert "damaged" in done.stderr.splitlines()[0]


def test_the_drivers_flags_are_in_the_help(program: Program) -> None:
    assert "--local-cpus" in program.ok("create", "-d", "local", "--help")
    none = program.ok("create", "--driver=none", "--help")
    assert "--none-url" in none
    assert "--local-cpus" not in none


def test_swarm_flags_are_recorded_and_the_user_is_told(program: Program) -> None:
    text = program.ok(
        "create", "-d", "none", "--none-url", URL, "--swarm-master", "--swarm-discovery", "token://t", "m"
    )

    assert "Swarm provisioning is not in this version yet" in text.splitlines()[0]
    swarm = json.loads(program.ok("inspect", "m"))["HostOptions"]["SwarmOptions"]
    assert (swarm["IsSwarm"], swarm["Master"], swarm["Agent"]) == (True, True, False)
    assert (swarm["Discovery"], swarm["Host"], swarm["Image"]) == ("token://t", "tcp://0.0.0.0:3376", "swarm:latest")
    assert "m (master)" in program.ok("ls")
    assert "* (swarm)" in program.ok("ls", env={"DOCKER_HOST": "tcp://127.0.0.1:3376"})


def test_environment_variables_are_defaults_of_create(program: Program) -> None:
    env = {
        "MACHINE_DRIVER": "none",
        "ENGINE_REGISTRY_MIRROR": "http://a,http://b",
        "MACHINE_DOCKER_INSTALL_URL": "http://i",
    }
    program.ok("create", "--none-url", URL, "m", env=env)
    engine = json.loads(program.ok("inspect", "m"))["HostOptions"]["EngineOptions"]

    assert (engine["RegistryMirror"], engine["InstallURL"]) == (["http://a", "http://b"], "http://i")


def test_one_dash_flags_after_those_with_values(program: Program) -> None:
    assert program.ok("-tls-ca-cert", "/x", "-native-ssh", "ls", "-q") == ""
    assert program.run("-github-api-token", "ls", "-bugsnag-api-token", "no-report", "ls", "-q").returncode == 0


def test_one_dash_flags(program: Program) -> None:
    program.ok("create", "-driver", "none", "-none-url", URL, "-engine-label=a=b", "m")

    assert json.loads(program.ok("inspect", "m"))["HostOptions"]["EngineOptions"]["Labels"] == ["a=b"]


def test_the_list_shows_every_machine_a_damaged_one_too(filled: Program) -> None:
    rows = {line.split()[0]: line for line in filled.ok("ls").splitlines()[1:]}

    assert list(rows) == ["broken", "h1", "h2"]
    assert rows["h1"].split()[:5] == ["h1", "-", "none", "Running", URL]
    assert "Unknown" in rows["h1"]
    assert rows["broken"].split()[:5] == ["broken", "-", "not", "found", "Error"]


def test_the_list_as_json(filled: Program) -> None:
    rows = {row["Name"]: row for row in json.loads(filled.ok("ls", "--format", "json"))}

    assert rows["h1"]["URL"] == URL
    assert rows["h1"]["Labels"] == ["role=web"]
    assert rows["broken"]["State"] == "Error"
    assert rows["broken"]["Error"]


def test_the_active_machine(filled: Program) -> None:
    env = {"DOCKER_HOST": URL}
    active = [row["Name"] for row in json.loads(filled.ok("ls", "--format", "json", env=env)) if row["Active"] == "*"]

    assert active == ["h1"]
    assert filled.ok("active", env=env) == "h1\n"
    done = filled.run("active")
    assert (done.returncode, done.stderr) == (1, "No active host found\n")
    assert filled.run("active", "x").stderr == "Error: Too many arguments given\n"


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (("name=h",), "h1\nh2\n"),
        (("label=role=WEB",), "h1\n"),
        (("driver=none", "name=2$"), "h2\n"),
        (("state=Running",), "h1\nh2\n"),
        (("state=Error",), "broken\n"),
        (("state=Stopped",), ""),
    ],
)
def test_filters(filled: Program, filters: tuple[str, ...], names: str) -> None:
    args = [part for text in filters for part in ("--filter", text)]

    assert filled.ok("ls", "-q", *args) == names


def test_filters_that_are_wrong(filled: Program) -> None:
    assert filled.run("ls", "--filter", "zzz=1").stderr == "Unsupported filter key 'zzz'\n"
    assert filled.run("ls", "--filter", "x").stderr == "Unsupported filter syntax\n"


def test_facts_of_a_machine(filled: Program) -> None:
    assert filled.ok("url", "h1") == f"{URL}\n"
    assert filled.ok("status", "h1") == "Running\n"
    assert filled.ok("ip", "h1", "h2").splitlines()[0].startswith("127.0.0.1")


def test_inspect_has_docker_machines_shape(filled: Program) -> None:
    text = filled.ok("inspect", "h1")
    shown = json.loads(text)

    assert text.startswith('{\n    "ConfigVersion": 3,\n    "Driver": {\n        "')
    assert (shown["DriverName"], shown["Name"]) == ("none", "h1")
    assert shown["Driver"]["MachineName"] == "h1"
    assert shown["Driver"]["URL"] == URL
    assert shown["Driver"]["StorePath"] == str(filled.store)
    assert set(shown["HostOptions"]) == {"Driver", "Memory", "Disk", "EngineOptions", "SwarmOptions", "AuthOptions"}
    assert shown["HostOptions"]["AuthOptions"]["StorePath"] == str(filled.store / "machines" / "h1")


@pytest.mark.parametrize("command", ["env", "config", "inspect", "status", "url"])
def test_more_names_than_one(filled: Program, command: str) -> None:
    done = filled.run(command, "h1", "h2")

    assert done.returncode == 1
    assert done.stderr == "Error: Expected one machine name as an argument\n"


def test_an_unknown_machine(filled: Program) -> None:
    done = filled.run("status", "nope")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'Docker machine "nope" does not exist. Use "pymachine ls" to list machines. '
        'Use "pymachine create" to add a new one.\n'
    )


def test_when_one_cannot_be_loaded_nothing_is_done(filled: Program) -> None:
    done = filled.run("stop", "nope", "h1", "nada")

    assert done.returncode == 1
    assert [line.split('"')[1] for line in done.stderr.splitlines()] == ["nope", "nada"]


@pytest.mark.parametrize(
    ("command", "text"), [("start", "started"), ("stop", "stopped"), ("restart", "restarted"), ("kill", "killed")]
)
def test_hosts_without_a_driver(filled: Program, command: str, text: str) -> None:
    done = filled.run(command, "h1", "h2")

    assert done.returncode == 1
    assert done.stderr.count(f"hosts without a driver cannot be {text}") == 2


def test_env_fails_before_it_prints_anything(filled: Program) -> None:
    done = filled.run("env", "h1")

    assert (done.returncode, done.stdout) == (1, "")
    first = done.stderr.splitlines()[0]
    assert first.startswith(
        'Error checking TLS connection: There was an error validating certificates for host "127.0.0.1:1": '
    )
    assert "regenerate-certs" in done.stderr.splitlines()[1]


def test_config_fails_with_its_own_prefix(filled: Program) -> None:
    assert filled.run("config", "h1").stderr.startswith("Error running connection boilerplate: ")


def test_unsetting_asks_no_machine(program: Program) -> None:
    lines = program.ok("env", "-u").splitlines()

    assert lines[:4] == [f"unset DOCKER_{name}" for name in ("TLS_VERIFY", "HOST", "CERT_PATH", "MACHINE_NAME")]
    assert lines[4] == "# Run this command to configure your shell: "
    assert program.run("env", "-u", "x").stderr == "Error: Expected no machine name when the -u flag is present\n"


def test_unsetting_with_a_proxy(program: Program) -> None:
    env = {"NO_PROXY": "a,127.0.0.1", "DOCKER_HOST": URL}

    assert 'export NO_PROXY="a"' in program.ok("env", "-u", "--no-proxy", env=env).splitlines()


def test_the_swarm_flag_is_for_masters(filled: Program) -> None:
    text = filled.run("env", "--swarm", "h1").stderr

    assert text == (
        'Error checking TLS connection: "h1" is not a swarm master. '
        "The --swarm flag is intended for use with swarm masters\n"
    )


@pytest.mark.root
def test_without_a_shell(program: Program) -> None:
    """No variable names one, and no process above is one: there is none above, in a PID namespace of its own."""
    alone = ["unshare", "--pid", "--fork", "--mount-proc", *program.argv("env", "-u")]
    done = subprocess.run(alone, env=environment({"SHELL": ""}), capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (1, "", "Error: Unknown shell")


def test_remove_asks(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", URL, "a")

    assert program.ok("rm", "a", stdin="n\n").endswith("Are you sure? (y/n): ")
    assert program.ok("rm", "a").startswith("About to remove a\nWARNING: This action will delete both local reference")
    assert program.ok("ls", "-q") == "a\n"
    assert program.ok("rm", "a", stdin="y\n").endswith("Successfully removed a\n")
    assert program.ok("ls", "-q") == ""


def test_remove_goes_on_after_a_failure(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", URL, "a")
    done = program.run("rm", "-y", "nope", "a")

    assert done.returncode == 1
    assert "Successfully removed a" in done.stdout
    assert done.stderr.startswith('Error removing host "nope": Docker machine "nope" does not exist.')


def test_forced_removal_of_what_is_not_there_exits_0(program: Program) -> None:
    done = program.run("rm", "-f", "nope")

    assert done.returncode == 0
    assert 'Error removing host "nope"' in done.stderr
    assert done.stderr.endswith('Can\'t remove "nope"\n')
    assert "Successfully" not in done.stdout


def test_a_damaged_record_needs_force(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", URL, "a")
    (program.store / "machines" / "a" / "record.json").write_text("{")

    assert program.run("rm", "-y", "a").returncode == 1
    assert "Successfully removed a" in program.ok("rm", "-f", "a")
    assert program.ok("ls") == HEADER


def test_remove_without_names(program: Program) -> None:
    done = program.run("rm")

    assert done.returncode == 1
    assert done.stdout.startswith("Usage: pymachine rm ")
    assert done.stderr == "Error: Expected to get one or more machine names as arguments\n"


def test_regenerating_certificates_asks(filled: Program) -> None:
    done = filled.run("regenerate-certs", "h1")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "EOF")
    assert filled.ok("regenerate-certs", "h1", stdin="no\n") == (
        "Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): "
    )


def test_the_debug_variable(program: Program) -> None:
    done = program.run("status", "x", env={"MACHINE_DEBUG": "1"})
    assert "Traceback" in done.stderr
    done = program.run("ls", env={"MACHINE_DEBUG": "maybe"})
    assert (done.returncode, done.stderr.startswith("Error parsing boolean value from MACHINE_DEBUG: ")) == (1, True)
    assert "Traceback" not in program.run("status", "x").stderr


def test_a_reader_that_goes_away_is_no_error(filled: Program) -> None:
    process = filled.start("inspect", "h1")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.wait(30) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_many_first_creates_at_once_share_one_ca(program: Program) -> None:
    processes = [program.start("create", "-d", "none", "--none-url", URL, f"m{number}") for number in range(6)]
    results = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0] * 6, results
    authority = (program.store / "certs" / "ca.pem").read_bytes()
    copies = {(program.store / "machines" / f"m{number}" / "ca.pem").read_bytes() for number in range(6)}
    assert copies == {authority}


def test_many_creates_of_one_name_have_one_winner(program: Program) -> None:
    processes = [program.start("create", "-d", "none", "--none-url", URL, "same") for _ in range(5)]
    errors = [process.communicate(timeout=120)[1] for process in processes]

    assert sorted(process.returncode for process in processes) == [0, 1, 1, 1, 1]
    losers = [error for process, error in zip(processes, errors, strict=True) if process.returncode]
    assert all('Docker machine "same" already exists' in error or "is in use by" in error for error in losers), losers


def test_a_machine_that_never_answers_is_a_row(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program.ok("create", "-d", "none", "--url", f"tcp://127.0.0.1:{silent.getsockname()[1]}", "mute")
        program.ok("create", "-d", "none", "--url", URL, "refusing")
        rows = {row["Name"]: row for row in json.loads(program.ok("ls", "-t", "0.5", "--format", "json"))}

    assert rows["mute"]["State"] == "Timeout" or "does not answer" in rows["mute"]["Error"]
    assert rows["refusing"]["State"] == "Running"
    assert program.run("ls", "-t", "nan").returncode == 2


def test_ctrl_c_is_one_line(filled: Program) -> None:
    """`rm` waits for an answer that does not come."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        filled.argv("rm", "h1"), stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    while b"(y/n)" not in (seen := os.read(process.stdout.fileno(), 4096)) and seen:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    os.close(writer)
    os.close(reader)

    assert (process.returncode, error.decode().strip()) == (130, "Interrupted")


def test_a_terminal_sees_each_stage_with_its_seconds(program: Program) -> None:
    reader, terminal = pty.openpty()
    env = environment({"TERM": "xterm", "LC_ALL": "C.UTF-8"})
    argv = program.argv("create", "-d", "none", "--url", URL, "h1")
    process = subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(reader, 4096):
            shown += chunk
    except OSError:  # how Linux says that the last writer has gone
        pass
    os.close(reader)

    assert process.wait(60) == 0
    text = shown.decode()
    assert "✓ Running pre-create checks..." in text
    assert "\x1b[K" in text
    assert text.endswith("run: pymachine env h1\r\n")


def test_images(program: Program, tmp_path: Path) -> None:
    env = {"PYMACHINE_IMAGE_ROOT": str(tmp_path / "images")}

    assert program.ok("image", "ls", env=env).split() == ["NAME", "DIGEST", "SIZE", "CREATED", "MACHINES"]
    assert program.ok("image", "ls", "-q", env=env) == ""
    done = program.run("image", "rm", "nope", "nada", env=env)
    assert (done.returncode, done.stderr) == (1, 'there is no image "nope"\nthere is no image "nada"\n')
    assert program.run("image", "nope", env=env).returncode in (1, 2)
    assert not (tmp_path / "images").exists()


def test_the_usage_line_is_what_was_typed() -> None:
    """By name when the shell finds it by name, else by path; words that need quotes have them."""
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    command = "pymachine -s '/no such place' env -u"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment({"PATH": path}))
    assert done.stdout.splitlines()[-1] == f"# eval $({command})"

    bare = environment({"PATH": "/usr/bin:/bin"})
    done = subprocess.run([PROGRAM, "env", "-u"], capture_output=True, text=True, env=bare)
    assert done.stdout.splitlines()[-1] == f"# eval $({PROGRAM} env -u)"
