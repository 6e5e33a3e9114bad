"""What can be completed is read from the commands themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pymachine.machine.cli.app import application
from pymachine.machine.cli.commands import COMMANDS
from pymachine.machine.completion import answers, scripts
from pymachine.machine.completion.scripts import script
from pymachine.machine.completion.shells import SHELLS
from pymachine.machine.completion.tree import Flag, Node, global_flags, nodes


@pytest.fixture(scope="module")
def tree() -> dict[str, Node]:
    return {node.path: node for node in nodes()}


def test_every_command_is_there_with_the_parts_of_groups(tree: dict[str, Node]) -> None:
    assert {path for path in tree if "/" not in path} == set(COMMANDS)
    assert {"context/create", "context/ls", "context/rm", "image/build"} <= set(tree)
    assert tree["context"].arguments == "subcommands"


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("machines", "stop start kill restart rm ssh env url ip status logs use context/create rename export"),
        ("none", "create ls active image/build"),
        ("places", "scp mount"),
        ("files", "import import-docker-machine"),
        ("commands", "help"),
        ("words", "completion"),
    ],
)
def test_kinds_of_arguments(kind: str, paths: str, tree: dict[str, Node]) -> None:
    assert {path: tree[path].arguments for path in paths.split()} == dict.fromkeys(paths.split(), kind)


def test_flags_with_their_values(tree: dict[str, Node]) -> None:
    flags = {name: flag for flag in tree["create"].flags for name in flag.names}

    assert flags["--driver"].values == "@drivers"
    assert flags["-d"].valued
    assert not flags["--swarm"].valued
    assert flags["--swarm"].help == "Join the machine to a cluster"
    assert "--none-url" not in flags


def test_hidden_flags_stay_hidden() -> None:
    names = [name for flag in global_flags(application) for name in flag.names]

    assert "--storage-path" in names
    assert "--bugsnag-api-token" not in names


@pytest.mark.parametrize("shell", SHELLS)
def test_help_texts_are_not_run_by_who_sources_the_script(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    text = f'it\'s "quoted" $(touch {tmp_path}/run) `touch {tmp_path}/run`; touch {tmp_path}/run \\'
    hostile = Node("ls", text, (Flag(("--x",), text, valued=True, values="a b"),), "words", "a")
    monkeypatch.setattr(scripts, "nodes", lambda: [hostile])
    made = tmp_path / "script"
    made.write_text(script(shell, application))
    zsh = ["-f", "-c", f"compdef() {{ :; }}; source {made}; words=(pymachine ls --x); CURRENT=3; _pymachine_command ls"]
    other = ["-c", f"source {made}"]
    done = subprocess.run([program, *(zsh if shell == "zsh" else other)], capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (["-s", "/x"], "/x"),
        (["--storage-path", "/x"], "/x"),
        (["--storage-path=/x"], "/x"),
        (["-s", "/x", "-s", "/y"], "/y"),
        (["-s"], None),
        ([], None),
    ],
)
def test_the_store_that_is_meant(args: list[str], path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def names(found: str | None) -> list[str]:
        asked.append(found)
        return []

    monkeypatch.setattr(answers, "machine_names", names)

    assert answers.answer([*args, "__complete", "names"]) == 0
    assert asked == [path]


def test_questions_that_nobody_understands_are_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert answers.answer(["__complete"]) == 0
    assert answers.answer(["__complete", "flags", "no-such-driver"]) == 1
    assert capsys.readouterr().out == ""


def test_a_drivers_flags_have_their_help(capsys: pytest.CaptureFixture[str]) -> None:
    answers.answer(["__complete", "flags", "none"])

    assert capsys.readouterr().out.startswith("--none-url\t")
