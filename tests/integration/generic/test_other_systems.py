"""A real host adopted from Windows and from macOS, as far as Linux can play them: over SSH, from create to rm."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from integration.generic.conftest import Host
from support.othersystem import Run, run_there
from support.program import environment

pytestmark = pytest.mark.root

TESTS = Path(__file__).parents[2]


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """PATH and PATHEXT with OpenSSH as Windows has it."""
    (folder := tmp_path / "OpenSSH").mkdir()
    for name in ("ssh", "scp", "sftp"):
        found = shutil.which(name)
        assert found
        (folder / f"{name}.exe").symlink_to(found)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_a_host_is_adopted_used_moved_and_let_go(
    system: str, bookworm: Host, trixie: Host, programs: str, tmp_path: Path
) -> None:
    """Directly, and through a jump host."""
    (config := tmp_path / "ssh_config").write_text(
        f"Host hop\n  HostName {trixie.address}\n  User root\n  IdentityFile {trixie.key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {tmp_path}/hop\n"
    )
    (tmp_path / "sent").write_bytes(b"line\r\nline\n")
    flags = (*bookworm.flags, "--generic-takeover", "--generic-ssh-config", str(config))
    runs = {
        "create": ("create", *flags, "direct"),
        "ls": ("ls", "--format", "json"),
        "cmd": ("env", "--shell", "cmd", "direct"),
        "powershell": ("env", "--shell", "powershell", "direct"),
        "ssh": ("ssh", "direct", "echo $SSH_CONNECTION; exit 7"),
        "scp": ("scp", "-q", str(tmp_path / "sent"), "direct:/root/from-elsewhere"),
        "scp back": ("scp", "-q", "direct:/root/from-elsewhere", str(tmp_path / "back")),
        "provision": ("provision", "direct"),
        "certificates": ("regenerate-certs", "-f", "direct"),
        "logs": ("logs", "-n", "3", "direct"),
        "export": ("export", "-o", str(tmp_path / "archive"), "direct"),
        "import": ("-s", str(tmp_path / "second"), "import", str(tmp_path / "archive")),
        "moved": ("-s", str(tmp_path / "second"), "status", "direct"),
        "rm": ("rm", "-f", "direct"),
        "jump": ("create", *flags, "--generic-proxy-jump", "hop", "behind"),
        "jump ssh": ("ssh", "behind", "echo $SSH_CONNECTION"),
        "rm behind": ("rm", "-f", "behind"),
    }
    argvs = [argv if argv[0] == "-s" else ("-s", str(tmp_path / "store"), *argv) for argv in runs.values()]
    env = environment({"PYTHONPATH": str(TESTS), "HOME": str(tmp_path), "PATH": programs, "PATHEXT": ".exe"})
    done: dict[str, Run] = dict(zip(runs, run_there(system, argvs, env, timeout=300), strict=True))

    wrong = [(name, run) for name, run in done.items() if run.code != (7 if name == "ssh" else 0)]
    assert wrong == [], wrong[0]
    assert "Installing the engine..." not in done["provision"].stdout
    assert json.loads(done["ls"].stdout)[0]["State"] == "Running"
    assert f"SET DOCKER_HOST=tcp://{bookworm.address}:2376" in done["cmd"].stdout
    assert f'$Env:DOCKER_HOST = "tcp://{bookworm.address}:2376"' in done["powershell"].stdout
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
    assert "Running" in done["moved"].stdout
    for path in ("/etc/hostname", "/etc/hosts", "/etc/pymachine/engine.json", "/etc/systemd/system/pyengine.service"):
        assert bookworm.run(f"grep -c '\r' {path}", check=False) == "0", "hosts have plain line ends"
