"""``env`` evaluated by real shells, as its last line says, with a store whose path is hostile to all of them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pymachine.machine.certs.server import issue_server
from pymachine.store.file import FileStore
from support.program import PROGRAM, Program, environment
from support.tls_engine import tls_engine

NAMES = ("DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME", "NO_PROXY")

EVALUATE = {
    "bash": "eval $({})",
    "dash": "eval $({})",
    "zsh": "eval $({})",
    "fish": "eval ({})",
    "tcsh": "eval `{}`",
}
"""As ``env`` itself says."""
FLAGS = {"zsh": ["-f"], "tcsh": ["-f"], "fish": ["--no-config"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Machine ``m``, at whose URL something answers with certificates of the store."""
    program = Program(tmp_path_factory.mktemp("env") / "we ird $HOME 'q' `id` \\b")
    program.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "m")
    directory = program.store / "machines" / "m"
    issue_server(FileStore(program.store), "m", ["127.0.0.1"], [])
    with tls_engine(directory) as url:
        record = json.loads((directory / "record.json").read_text())
        record["options"]["url"] = url
        (directory / "record.json").write_text(json.dumps(record))
        yield program


def variables(shell: str, script: str, env: dict[str, str]) -> dict[str, str]:
    """What the shell's children see of `NAMES` after *script*."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    words = [program, *FLAGS.get(shell, []), "-c", f"{script}\nenv -0"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pairs = (entry.partition("=") for entry in done.stdout.split("\0"))
    return {name: value for name, _, value in pairs if name in NAMES}


def command(shell: str, *args: str) -> str:
    return EVALUATE[shell].format(" ".join(["pymachine", "env", "--shell", shell, *args]))


@pytest.fixture
def env(served: Program) -> dict[str, str]:
    path = f"{Path(PROGRAM).parent}:/usr/bin:/bin"
    return environment({"PATH": path, "MACHINE_STORAGE_PATH": str(served.store), "NO_PROXY": "a.example"})


@pytest.mark.parametrize("shell", EVALUATE)
def test_setting(shell: str, served: Program, env: dict[str, str]) -> None:
    url = served.ok("url", "m").strip()

    assert variables(shell, command(shell, "--no-proxy", "m"), env) == {
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_HOST": url,
        "DOCKER_CERT_PATH": str(served.store / "machines" / "m"),
        "DOCKER_MACHINE_NAME": "m",
        "NO_PROXY": f"a.example,{urlsplit(url).hostname}",
    }


@pytest.mark.parametrize("shell", EVALUATE)
def test_unsetting(shell: str, served: Program, env: dict[str, str]) -> None:
    """All is as before, the proxy's exceptions too; without other exceptions there is no such variable."""
    both = f"{command(shell, '--no-proxy', 'm')}\n{command(shell, '-u', '--no-proxy')}"

    assert variables(shell, both, env) == {"NO_PROXY": "a.example"}
    assert variables(shell, both, {name: value for name, value in env.items() if name != "NO_PROXY"}) == {}


def test_emacs(served: Program, env: dict[str, str]) -> None:
    emacs = shutil.which("emacs")
    if emacs is None:
        pytest.skip("emacs is not installed")
    form = (
        '(progn (with-temp-buffer (shell-command "pymachine env --shell emacs m" (current-buffer)) (eval-buffer))'
        ' (princ (getenv "DOCKER_CERT_PATH")))'
    )
    done = subprocess.run([emacs, "-Q", "--batch", "--eval", form], env=env, capture_output=True, text=True, timeout=60)

    assert done.stdout == str(served.store / "machines" / "m")


@pytest.mark.parametrize(
    ("shell", "lines"),
    [
        ("powershell", ['$Env:DOCKER_TLS_VERIFY = "1"', "# & pymachine env --shell powershell m | Invoke-Expression"]),
        ("cmd", ["SET DOCKER_TLS_VERIFY=1", "REM \t@FOR /f \"tokens=*\" %i IN ('pymachine env --shell cmd m') DO @%i"]),
    ],
)
def test_shells_of_windows(shell: str, lines: list[str], served: Program, env: dict[str, str]) -> None:
    done = subprocess.run(["pymachine", "env", "--shell", shell, "m"], env=env, capture_output=True, text=True)
    out = done.stdout.splitlines()

    assert (out[0], out[-1]) == tuple(lines)
