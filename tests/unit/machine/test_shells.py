"""The dialects of ``env``: what they look like, and that real shells read back what was meant."""

import shutil
import subprocess

import pytest

from pymachine.machine.bundle.shells import DIALECTS, detect, dialect
from pymachine.machine.errors import MachineError

HOSTILE = [
    "plain",
    "with space",
    'double " quote',
    "single ' quote",
    "$HOME and `id` and $(id)",
    "back\\slash",
    "ends with \\",
    "a;b&c|d<e>f",
    "star * and ?",
    "mixed '\"$`\\ all",
]

LINES = {
    "sh": ('export DOCKER_HOST="tcp://1.2.3.4:2376"', "unset DOCKER_HOST"),
    "fish": ('set -gx DOCKER_HOST "tcp://1.2.3.4:2376";', "set -e DOCKER_HOST;"),
    "powershell": ('$Env:DOCKER_HOST = "tcp://1.2.3.4:2376"', "Remove-Item Env:\\\\DOCKER_HOST"),
    "cmd": ("SET DOCKER_HOST=tcp://1.2.3.4:2376", "SET DOCKER_HOST="),
    "tcsh": ('setenv DOCKER_HOST "tcp://1.2.3.4:2376";', "unsetenv DOCKER_HOST;"),
    "emacs": ('(setenv "DOCKER_HOST" "tcp://1.2.3.4:2376")', '(setenv "DOCKER_HOST" nil)'),
}

USAGE = {
    "sh": "# eval $(pymachine env m)",
    "fish": "# eval (pymachine env m)",
    "powershell": "# & pymachine env m | Invoke-Expression",
    "cmd": "REM \t@FOR /f \"tokens=*\" %i IN ('pymachine env m') DO @%i",
    "tcsh": ": eval `pymachine env m`",
    "emacs": ';; (with-temp-buffer (shell-command "pymachine env m" (current-buffer)) (eval-buffer))',
}


@pytest.mark.parametrize("name", LINES)
def test_lines_are_docker_machines(name: str) -> None:
    spoken = DIALECTS[name]
    lines = (spoken.set("DOCKER_HOST", "tcp://1.2.3.4:2376"), spoken.unset("DOCKER_HOST"))

    assert lines == LINES[name]


@pytest.mark.parametrize("name", USAGE)
def test_the_usage_says_how_to_evaluate(name: str) -> None:
    first, second = DIALECTS[name].usage(["pymachine", "env", "m"]).split("\n")

    assert first.endswith(" Run this command to configure your shell: ")
    assert second == USAGE[name]


def test_a_program_path_with_a_space_can_be_pasted() -> None:
    assert "'/my tools/pymachine' env m" in DIALECTS["sh"].usage(["/my tools/pymachine", "env", "m"])
    assert '"C:\\bin\\pymachine" env m' in DIALECTS["cmd"].usage(["C:\\bin\\pymachine", "env", "m"])


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "tcsh"])
def test_a_shell_reads_back_every_value(shell: str, value: str) -> None:
    """The value arrives unchanged, and nothing in it is run."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = f"{dialect(shell).set('PM_VALUE', value)}\nprintenv PM_VALUE\n"
    flags = ["-f"] if shell in ("tcsh", "zsh") else []
    done = subprocess.run([program, *flags, "-c", script], capture_output=True, text=True, timeout=30)

    assert done.stdout == f"{value}\n", done.stderr


@pytest.mark.parametrize("value", HOSTILE)
def test_emacs_reads_back_every_value(value: str) -> None:
    emacs = shutil.which("emacs")
    if emacs is None:
        pytest.skip("emacs is not installed")
    form = DIALECTS["emacs"].set("PM_VALUE", value)
    done = subprocess.run(
        [emacs, "-Q", "--batch", "--eval", f'(progn {form} (princ (getenv "PM_VALUE")))'],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == value


def test_powershell_hides_what_it_would_expand() -> None:
    line = DIALECTS["powershell"].set("X", 'a"b$c`d\u201ce')

    assert line == '$Env:X = "a`"b`$c``d`\u201ce"'


def test_an_unknown_shell_is_taken_for_sh() -> None:
    assert dialect("xonsh-or-so") is DIALECTS["sh"]


def test_the_shell_is_found_by_its_program_name() -> None:
    assert detect({"SHELL": "/usr/bin/fish"}) == "fish"


def test_without_a_shell_variable_the_user_is_asked_to_name_one() -> None:
    with pytest.raises(MachineError, match="Error: Unknown shell") as caught:
        detect({})
    assert "--shell" in caught.value.hint
