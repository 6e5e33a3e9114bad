"""Completion in the real shells: on a terminal where keys are pressed, or by the question a shell asks of scripts."""

import contextlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.program import PROGRAM, Program, environment
from support.typing_in import Terminal, on_terminal

LINES = {
    "st": {"start", "status", "stop"},
    "context ": {"create", "ls", "rm"},
    "context rm we": {"web-1", "web-2"},
    "stop web-1 ": {"db", "web-1", "web-2"},
    "env --un": {"--unset"},
    "env --shell ": {"sh", "fish", "powershell", "cmd", "tcsh", "emacs", "elvish"},
    "create --driver n": {"none"},
    "create -d none --none-u": {"--none-url"},
    "ssh d": {"db"},
    "completion ": {"bash", "fish", "zsh"},
    "help rege": {"regenerate-certs"},
    "scp web-": {"web-1:", "web-2:"},
    "-s /nowhere stop ": set(),
    "create x": set(),
}
"""What is offered after ``pymachine``."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with three machines, and the program on the path."""
    directory = tmp_path_factory.mktemp("completion")
    made = Program(directory / "store", {"HOME": str(directory)})
    for name in ("web-1", "web-2", "db"):
        made.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", name)
    for shell in ("bash", "zsh", "fish"):
        (directory / f"script.{shell}").write_text(made.ok("completion", shell))
    return made


@pytest.fixture(scope="module")
def env(program: Program) -> dict[str, str]:
    directory = Path(PROGRAM).parent
    home = program.env["HOME"]
    path = f"{directory}:/usr/bin:/bin"
    return environment({"HOME": home, "PATH": path, "MACHINE_STORAGE_PATH": str(program.store), "LC_ALL": "C.UTF-8"})


def need(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def ask_bash(line: str, env: dict[str, str]) -> set[str]:
    """Call the completion function as readline does (bash(1), "Programmable Completion")."""
    words = f"pymachine {line}".replace(":", " : ").replace("=", " = ").split() + ([""] if line.endswith(" ") else [])
    setup = (
        f"source {env['HOME']}/script.bash\nCOMP_LINE={shlex.quote(f'pymachine {line}')}\nCOMP_POINT=${{#COMP_LINE}}\n"
        f"COMP_WORDS=({' '.join(map(shlex.quote, words))})\nCOMP_CWORD={len(words) - 1}\n_pymachine pymachine\n"
        '[ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        [need("bash"), "--norc", "-c", setup], env=env, capture_output=True, text=True, timeout=30, cwd=env["HOME"]
    )
    assert done.stderr == ""
    return set(done.stdout.splitlines())


def ask_fish(line: str, env: dict[str, str]) -> set[str]:
    """fish answers what it would offer by ``complete -C``."""
    script = f"source {env['HOME']}/script.fish; complete -C {shlex.quote(f'pymachine {line}')}"
    done = subprocess.run(
        [need("fish"), "--no-config", "-c", script],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=env["HOME"],
    )
    assert done.stderr == ""
    return {offered.split("\t")[0] for offered in done.stdout.splitlines()}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("ask", [ask_bash, ask_fish])
def test_what_is_offered(
    ask: Callable[[str, dict[str, str]], set[str]], line: str, env: dict[str, str], program: Program
) -> None:
    offered = ask(line, env)
    if line.startswith("scp"):  # files of the directory are offered as well
        offered = {word for word in offered if word.endswith(":")}

    assert offered == LINES[line]


def test_bash_parts_words_at_equal_signs(env: dict[str, str], program: Program) -> None:
    assert ask_bash("env --shell=f", env) == {"fish"}
    assert ask_bash("ls --filter na", env) == {"name="}
    assert ask_bash("ls --filter name=", env) == set()
    assert ask_bash(f"--storage-path={program.store} stop d", env) == {"db"}


def test_the_rest_of_an_ssh_line_is_a_command_there(env: dict[str, str], program: Program) -> None:
    assert not {"web-1", "--timeout", "-h"} & (ask_bash("ssh db -", env) | ask_fish("ssh db -", env))


TERMINALS = {
    "bash": (["bash", "--rcfile", "RC", "-i"], "PS1='ready> '; source ~/script.bash"),
    "zsh": (
        ["zsh", "-d", "-i"],
        "PS1='ready> '; unsetopt prompt_sp; autoload -U compinit; compinit -u; source ~/script.zsh",
    ),
    "fish": (
        ["fish", "--no-config", "-i", "-C", "source RC"],
        "function fish_prompt; echo -n 'ready> '; end; source ~/script.fish",
    ),
}
"""How each is started for somebody who types, with the line of its start-up file ``RC``."""


@contextlib.contextmanager
def typing_in(shell: str, env: dict[str, str]) -> Iterator[Terminal]:
    need(shell)
    argv, setup = TERMINALS[shell]
    rc = Path(env["HOME"], ".zshrc" if shell == "zsh" else f"rc.{shell}")
    rc.write_text(f"{setup}\n")
    words = [word.replace("RC", str(rc)) for word in argv]
    with on_terminal(words, {**env, "ZDOTDIR": env["HOME"]}) as terminal:
        terminal.wait_for("ready> ")
        yield terminal


@pytest.mark.parametrize("shell", TERMINALS)
def test_keys_pressed_on_a_terminal(shell: str, env: dict[str, str], program: Program) -> None:
    """TAB completes a command, a flag and a machine's name on the line itself."""
    with typing_in(shell, env) as terminal:
        for keys, shown in (("pymachine regen\t", "regenerate-certs "), ("--cl\t", "client-certs "), ("d\t", "db ")):
            terminal.type(keys)
            terminal.wait_for(shown)
        terminal.type("\x01echo \n")
        terminal.wait_for(r"\npymachine regenerate-certs --client-certs db\s")


ZSH_OFFERS = {
    "st": ["start", "Start machines", "status", "stop"],
    "stop web-\t": ["web-1", "web-2"],
    "create -d none --none-u": ["--none-url"],
    "context ": ["create", "Make docker contexts", "ls", "rm"],
    "scp web-\t": ["web-1", "web-2"],
    "env --shell ": ["emacs", "tcsh"],
}


@pytest.mark.parametrize("line", ZSH_OFFERS)
def test_what_zsh_shows(line: str, env: dict[str, str], program: Program) -> None:
    with typing_in("zsh", env) as terminal:
        terminal.type(f"pymachine {line}\t")
        for word in ZSH_OFFERS[line]:
            terminal.wait_for(word)


def test_names_are_found_without_the_command_line_library(program: Program) -> None:
    """Every press of a key starts Python: nothing may be imported that the names do not need."""
    heavy = ("click", "jinja2", "paramiko", "cryptography", "filelock", "asyncio", "json.decoder.x")
    code = (
        "import sys; from pymachine.machine.completion.answers import answer; "
        f"answer(['-s', {str(program.store)!r}, '__complete', 'names']); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "db\nweb-1\nweb-2\n[]\n"


def test_a_machine_may_run_a_command_of_the_hidden_name(program: Program) -> None:
    """Only the first word is the hidden command: `ssh NAME __complete` is ssh's."""
    done = program.run("ssh", "nobody", "__complete")

    assert (done.returncode, done.stdout) == (1, "")
    assert 'Docker machine "nobody" does not exist' in done.stderr


def test_an_unreadable_store_is_silence(program: Program, tmp_path: Path) -> None:
    (tmp_path / "machines").write_text("not a directory")
    done = subprocess.run(
        [PROGRAM, "-s", str(tmp_path), "__complete", "names"], capture_output=True, text=True, timeout=30
    )

    assert (done.stdout, done.stderr) == ("", "")
