"""``docker run`` and its options."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from support.dockercli import inspect, terminal
from support.engineprocess import EngineProcess
from support.waiting import eventually

pytestmark = pytest.mark.root


def test_streams_stay_apart_and_the_exit_code_comes_back(engine: EngineProcess) -> None:
    done = engine.run("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_the_output_of_a_quick_program_is_never_lost(engine: EngineProcess) -> None:
    for number in range(10):
        assert engine.docker("run", "--rm", "--net", "none", "busybox", "echo", str(number)) == f"{number}\n"


def test_much_output_arrives_whole(engine: EngineProcess) -> None:
    out = engine.docker("run", "--rm", "--net", "none", "busybox", "sh", "-c", "seq 1 200000")
    assert out.split() == [str(number) for number in range(1, 200001)]


@pytest.mark.parametrize(
    ("program", "code"), [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
def test_what_cannot_be_run_has_dockers_exit_codes(engine: EngineProcess, program: str, code: int) -> None:
    done = engine.run("run", "--name", "bad", "busybox", program)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("Error response from daemon") == 1
    state = inspect(engine, "bad")["State"]
    assert state["Status"] == "created"
    assert state["ExitCode"] == code
    assert state["Error"]


def test_a_failed_start_with_rm_leaves_nothing(engine: EngineProcess) -> None:
    assert engine.run("run", "--rm", "--name", "gone", "busybox", "no-such-program").returncode == 127
    eventually(lambda: engine.run("inspect", "gone").returncode == 1)


def test_standard_input_is_passed_and_ends(engine: EngineProcess) -> None:
    text = "line\n" * 30000
    assert engine.docker("run", "--rm", "-i", "busybox", "wc", "-l", input=text).strip() == "30000"
    assert engine.docker("run", "--rm", "-i", "busybox", "cat", input=text) == text


def test_a_terminal(engine: EngineProcess) -> None:
    with terminal(engine, "run", "-it", "--rm", "busybox", "sh") as shell:
        shell.expect(b"# ")
        shell.send(b"tty; echo TERM=$TERM\r")
        shell.expect(b"/dev/pts/0")
        shell.expect(b"TERM=xterm")
        shell.resize(33, 99)
        shell.send(b"sleep 0.3; stty size\r")
        shell.expect(b"33 99")
        shell.send(b"exit 4\r")
        assert shell.wait() == 4


def test_detached(engine: EngineProcess) -> None:
    container = engine.docker("run", "-d", "--name", "bg", "busybox", "sleep", "100").strip()
    assert len(container) == 64
    assert container.startswith(engine.docker("ps", "-q").strip())
    assert inspect(engine, "bg")["State"]["Running"] is True


def test_environment_directory_user_and_host_name(engine: EngineProcess) -> None:
    out = engine.docker(
        "run", "--rm", "-e", "A=1 2", "-e", "PATH=/bin", "-w", "/made/here", "-u", "nobody", "-h", "host7",
        "busybox", "sh", "-c",
        "echo $A; echo $PATH; pwd; id -u; hostname; cat /etc/hostname; echo $HOSTNAME; echo $HOME",
    )  # fmt: skip
    assert out.split("\n")[:-1] == ["1 2", "/bin", "/made/here", "65534", "host7", "host7", "host7", "/"]


def test_the_default_environment(engine: EngineProcess) -> None:
    out = engine.docker("run", "--rm", "--name", "envs", "busybox", "env").split("\n")
    names = {line.partition("=")[0] for line in out if line}
    assert names == {"PATH", "HOSTNAME", "HOME"}
    assert "HOME=/root" in out


def test_a_host_directory(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host")
    out = engine.docker(
        "run", "--rm", "-v", f"{tmp_path}:/mnt", "busybox", "sh", "-c", "cat /mnt/in; echo x > /mnt/out"
    )
    assert out == "from the host"
    assert (tmp_path / "out").read_text() == "x\n"
    done = engine.run("run", "--rm", "-v", f"{tmp_path}:/mnt:ro", "busybox", "touch", "/mnt/no")
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_binds_make_the_host_directory_and_mounts_do_not(engine: EngineProcess, tmp_path: Path) -> None:
    engine.docker("run", "--rm", "-v", f"{tmp_path}/new:/mnt", "busybox", "true")
    assert (tmp_path / "new").is_dir()
    done = engine.run("run", "--rm", "--mount", f"type=bind,src={tmp_path}/none,dst=/mnt", "busybox", "true")
    assert done.returncode == 125
    assert "bind source path does not exist" in done.stderr


def test_volumes(engine: EngineProcess) -> None:
    engine.docker("run", "--rm", "-v", "vol1:/data", "busybox", "sh", "-c", "echo kept > /data/f")
    assert engine.docker("run", "--rm", "-v", "vol1:/data", "busybox", "cat", "/data/f") == "kept\n"
    engine.docker("volume", "rm", "vol1")


def test_a_new_volume_gets_what_the_image_has_there(engine: EngineProcess) -> None:
    assert "passwd" in engine.docker("run", "--rm", "-v", "vol2:/etc", "busybox", "ls", "/etc")
    engine.docker("volume", "rm", "vol2")


def test_anonymous_volumes_go_with_rm(engine: EngineProcess) -> None:
    engine.docker("run", "--rm", "-v", "/anon", "busybox", "touch", "/anon/f")
    assert engine.docker("volume", "ls", "-q") == ""


def test_volumes_from(engine: EngineProcess) -> None:
    engine.docker("run", "--name", "owner", "-v", "/shared", "busybox", "sh", "-c", "echo s > /shared/f")
    assert engine.docker("run", "--rm", "--volumes-from", "owner", "busybox", "cat", "/shared/f") == "s\n"
    done = engine.run("run", "--rm", "--volumes-from", "owner:ro", "busybox", "touch", "/shared/g")
    assert done.returncode == 1
    engine.docker("rm", "-v", "owner")
    for option in ("--volumes-from=nobody", "--net=container:nobody", "--pid=container:nobody", "--link=nobody:x"):
        # Not "not found", which the CLI would take for a missing image, and pull.
        refused = engine.run("create", option, "busybox", "true")
        assert refused.stderr == "Error response from daemon: No such container: nobody\n"


def test_published_ports(engine: EngineProcess) -> None:
    engine.docker(
        "run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "nc", "-ll", "-p", "80", "-e", "echo", "hi"
    )
    port = int(engine.docker("port", "web", "80").rpartition(":")[2])

    def answer() -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as client:
                return client.recv(100)
        except OSError:
            return b""

    eventually(lambda: answer() == b"hi\n")
    done = engine.run("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")
    assert done.returncode == 125
    assert "port is already allocated" in done.stderr
    engine.docker("rm", "-f", "web")
    engine.docker("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")
    engine.docker("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")


def test_a_range_of_host_ports(engine: EngineProcess) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        last = min(port + 20, 65535)
        engine.docker("run", "-d", "--name", "some", "-p", f"127.0.0.1:{port}-{last}:80", "busybox", "sleep", "100")
        assert port < int(engine.docker("port", "some", "80").rpartition(":")[2]) <= last


def test_names(engine: EngineProcess) -> None:
    engine.docker("create", "--name", "taken", "busybox", "true")
    done = engine.run("create", "--name", "taken", "busybox", "true")
    assert 'The container name "/taken" is already in use by container "' in done.stderr
    assert "Invalid container name" in engine.run("create", "--name", "no good", "busybox").stderr
    made = engine.docker("create", "busybox", "true").strip()
    assert "_" in inspect(engine, made)["Name"]


def test_network_modes(engine: EngineProcess) -> None:
    links = ("ls", "/sys/class/net")
    assert engine.docker("run", "--rm", "--net", "none", "busybox", *links).split() == ["lo"]
    assert set(engine.docker("run", "--rm", "busybox", *links).split()) == {"lo", "eth0"}
    assert engine.name in engine.docker("run", "--rm", "--net", "host", "busybox", *links).split()
    engine.docker("run", "-d", "--name", "first", "busybox", "sleep", "100")
    address = inspect(engine, "first")["NetworkSettings"]["IPAddress"]
    out = engine.docker("run", "--rm", "--net", "container:first", "busybox", "ip", "-4", "addr", "show", "eth0")
    assert address in out
    assert engine.docker("run", "--rm", "busybox", "ping", "-c", "1", "-W", "2", address)


def test_memory_and_cpus(engine: EngineProcess) -> None:
    done = engine.run("run", "--name", "eater", "--memory", "16m", "--memory-swap", "16m", "busybox", "sh", "-c",
                      "dd if=/dev/zero of=/dev/null bs=64M count=1")  # fmt: skip
    assert done.returncode == 137
    assert inspect(engine, "eater")["State"]["OOMKilled"] is True
    assert "Minimum memory limit allowed is 6MB" in engine.run("create", "--memory", "4m", "busybox").stderr
    assert "Range of CPUs is from 0.01 to" in engine.run("create", "--cpus", "1000", "busybox").stderr
    engine.docker("run", "-d", "--name", "half", "--cpus", "0.5", "--pids-limit", "50", "busybox", "sleep", "100")
    groups = Path(f"/proc/{inspect(engine, 'half')['State']['Pid']}/cgroup").read_text()
    folder = next(line.split(":")[2] for line in groups.splitlines() if line.split(":")[1] == "cpu")
    assert Path(f"/sys/fs/cgroup/cpu{folder}/cpu.cfs_quota_us").read_text() == "50000\n"
    engine.docker("update", "--cpus", "0.25", "half")
    assert Path(f"/sys/fs/cgroup/cpu{folder}/cpu.cfs_quota_us").read_text() == "25000\n"


def test_a_read_only_root(engine: EngineProcess) -> None:
    done = engine.run("run", "--rm", "--read-only", "--tmpfs", "/tmp:size=1m", "busybox", "sh", "-c",
                      "touch /tmp/yes && touch /no")  # fmt: skip
    assert done.returncode == 1
    assert "/no: Read-only file system" in done.stderr


def test_capabilities_and_privileges(engine: EngineProcess) -> None:
    def effective(*options: str) -> int:
        out = engine.docker("run", "--rm", "--net", "none", *options, "busybox", "grep", "CapEff", "/proc/self/status")
        return int(out.split()[1], 16)

    usual = effective()
    assert usual == 0xA80425FB
    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "ALL", "--cap-add", "chown") == 1
    assert effective("--cap-drop", "CHOWN") == usual & ~1
    assert effective("--privileged") > effective("--cap-add", "SYS_ADMIN") > usual
    assert engine.run("create", "--cap-add", "NONSENSE", "busybox").returncode == 1
    flags = ("grep", "NoNewPrivs", "/proc/self/status")
    assert engine.docker("run", "--rm", "--security-opt", "no-new-privileges", "busybox", *flags).split()[1] == "1"


def test_init_reaps(engine: EngineProcess) -> None:
    out = engine.docker("run", "--rm", "--init", "busybox", "sh", "-c", "echo $$; exit 5", check=False)
    assert out.strip() != "1"
    assert engine.run("run", "--rm", "--init", "busybox", "sh", "-c", "exit 5").returncode == 5


def test_limits_and_kernel_settings(engine: EngineProcess) -> None:
    assert engine.docker("run", "--rm", "--ulimit", "nofile=100:200", "busybox", "sh", "-c", "ulimit -n") == "100\n"
    out = engine.docker(
        "run", "--rm", "--sysctl", "net.ipv4.ip_forward=0", "busybox", "cat", "/proc/sys/net/ipv4/ip_forward"
    )
    assert out == "0\n"
    assert engine.docker("run", "--rm", "--shm-size", "1m", "busybox", "df", "-k", "/dev/shm").split()[8] == "1024"


def test_devices(engine: EngineProcess) -> None:
    assert (
        engine.docker("run", "--rm", "--device", "/dev/zero:/dev/mine", "busybox", "head", "-c", "1", "/dev/mine")
        == "\0"
    )
    assert engine.run("create", "--device", "/dev/nonsense", "busybox").returncode == 1


def test_namespaces_of_the_host_and_of_others(engine: EngineProcess) -> None:
    own = os.readlink("/proc/self/ns/pid")
    assert engine.docker("run", "--rm", "--pid", "host", "busybox", "readlink", "/proc/self/ns/pid").strip() == own
    assert engine.docker("run", "--rm", "--uts", "host", "busybox", "hostname").strip() == socket.gethostname()
    own = os.readlink("/proc/self/ns/ipc")
    assert engine.docker("run", "--rm", "--ipc", "host", "busybox", "readlink", "/proc/self/ns/ipc").strip() == own
    engine.docker("run", "-d", "--name", "peer", "--ipc", "shareable", "busybox", "sleep", "100")
    engine.docker("exec", "peer", "sh", "-c", "echo s > /dev/shm/f")
    assert engine.docker("run", "--rm", "--ipc", "container:peer", "busybox", "cat", "/dev/shm/f") == "s\n"
    assert "sleep" in engine.docker("run", "--rm", "--pid", "container:peer", "busybox", "ps")
    engine.docker("run", "-d", "--name", "closed", "busybox", "sleep", "100")
    refused = engine.run("run", "--rm", "--ipc", "container:closed", "busybox", "true")
    assert refused.returncode == 125
    assert "non-shareable IPC" in refused.stderr


def test_restart_policies(engine: EngineProcess) -> None:
    engine.docker("run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 3")
    eventually(lambda: inspect(engine, "again")["State"]["Status"] == "exited")
    assert inspect(engine, "again")["RestartCount"] == 2
    assert inspect(engine, "again")["State"]["ExitCode"] == 3
    engine.docker("run", "-d", "--name", "ever", "--restart", "always", "busybox", "sleep", "0.01")
    eventually(lambda: inspect(engine, "ever")["RestartCount"] >= 2)
    engine.docker("stop", "ever")
    assert inspect(engine, "ever")["State"]["Status"] == "exited"


def test_every_problem_is_named_at_once(engine: EngineProcess) -> None:
    import http.client

    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.folder / "docker.sock"))
    host = {"Memory": 1, "CapAdd": ["x"], "Binds": ["a:b"], "Sysctls": {"kernel.panic": "1"},
            "AutoRemove": True, "RestartPolicy": {"Name": "always"}}  # fmt: skip
    body = {"Image": "busybox", "Cmd": 5, "HostConfig": host}
    connection.request("POST", "/v1.47/containers/create", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = json.loads(answer.read())["message"]
    connection.close()
    assert answer.status == 400
    for part in ("Config.Cmd", "6MB", 'invalid capability: "x"', "absolute", "kernel namespace", "AutoRemove"):
        assert part in text


def test_links(engine: EngineProcess) -> None:
    engine.docker("run", "-d", "--name", "peer1", "busybox", "sleep", "1000")
    address = inspect(engine, "peer1")["NetworkSettings"]["IPAddress"]
    out = engine.docker("run", "--rm", "--link", "peer1:db", "busybox", "cat", "/etc/hosts").split("\n")
    assert f"{address}\tdb" in out
    engine.docker("stop", "-t", "0", "peer1")
    assert "non running container" in engine.run("run", "--rm", "--link", "peer1:db", "busybox", "true").stderr


def test_hosts_and_resolver(engine: EngineProcess) -> None:
    out = engine.docker(
        "run", "--rm", "--add-host", "other:10.1.2.3", "--dns", "10.9.9.9", "--dns-search", "example.org",
        "busybox", "cat", "/etc/hosts", "/etc/resolv.conf",
    )  # fmt: skip
    assert "10.1.2.3\tother" in out
    assert "nameserver 10.9.9.9" in out
    assert "search example.org" in out


def test_a_restarted_container_is_not_removed(engine: EngineProcess) -> None:
    engine.docker("run", "-d", "--rm", "--name", "stays", "busybox", "sleep", "1000")
    engine.docker("restart", "-t", "0", "stays")
    assert inspect(engine, "stays")["State"]["Running"] is True
