"""The dialects of ``env``: what they look like, and that real shells read back what was meant."""

import shutil
import subprocess
from pathlib import Path

import pytest
import shellingham

from pymachine.machine.bundle.shells import DIALECTS, detect, dialect
from pymachine.machine.errors import MachineError
from support.program import PROGRAM, environment

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
    "elvish": ("set-env DOCKER_HOST 'tcp://1.2.3.4:2376'", "unset-env DOCKER_HOST"),
    "emacs": ('(setenv "DOCKER_HOST" "tcp://1.2.3.4:2376")', '(setenv "DOCKER_HOST" nil)'),
}

USAGE = {
    "sh": "# eval $(pymachine env m)",
    "fish": "# eval (pymachine env m)",
    "powershell": "# & pymachine env m | Invoke-Expression",
    "cmd": "REM \t@FOR /f \"tokens=*\" %i IN ('pymachine env m') DO @%i",
    "tcsh": ": eval `pymachine env m`",
    "elvish": "# eval (pymachine env m | slurp)",
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


@pytest.mark.parametrize(
    ("found", "spoken"),
    [
        *[(name, name) for name in ("cmd", "powershell", "fish", "tcsh", "elvish")],
        *[("pwsh", "powershell"), ("csh", "tcsh"), ("bash", "sh"), ("zsh", "sh"), ("nu", "sh")],
    ],
)
def test_without_a_shell_variable_it_is_the_shell_that_started_us(
    found: str, spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where there is no SHELL."""
    monkeypatch.setattr(shellingham, "detect_shell", lambda: (found, f"/somewhere/{found}"))

    assert dialect(detect({})) is DIALECTS[spoken]
    assert detect({"SHELL": "/bin/ksh"}) == "ksh"


def test_a_program_of_windows_may_be_named_as_it_is() -> None:
    assert dialect("PowerShell.exe") is dialect("pwsh") is DIALECTS["powershell"]


@pytest.mark.parametrize("error", [shellingham.ShellDetectionFailure(), RuntimeError("not on this system")])
def test_without_any_shell_the_user_is_asked_to_name_one(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(shellingham, "detect_shell", fails)
    with pytest.raises(MachineError, match="Error: Unknown shell") as caught:
        detect({})
    assert "--shell" in caught.value.hint


@pytest.mark.parametrize(("shell", "line"), [("bash", "sh"), ("fish", "fish"), ("tcsh", "tcsh"), ("zsh", "sh")])
def test_a_real_shell_is_seen_by_the_program_it_starts(shell: str, line: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    assert program is not None, f"{shell} is not installed"
    # More than one command, so that no shell gives way to the program instead of starting it.
    (tmp_path / "script").write_text(f"{PROGRAM} env -u\necho done\n")
    bare = {name: value for name, value in environment().items() if name != "SHELL"}
    flags = {"tcsh": ["-f"], "zsh": ["-f"], "fish": ["--no-config"]}.get(shell, [])
    # tcsh sets SHELL itself, so it is taken away again by the program that starts ours.
    if shell == "tcsh":
        (tmp_path / "script").write_text(f"env -u SHELL {PROGRAM} env -u\necho done\n")
    done = subprocess.run(
        [program, *flags, str(tmp_path / "script")], env=bare, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.splitlines()[0] == DIALECTS[line].unset("DOCKER_TLS_VERIFY"), done.stderr
