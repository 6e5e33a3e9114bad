"""Sudo: found out once what it wants, passwords asked for once, and never where others can read them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from pymachine.machine.errors import MissingRequirement, RemoteCommandFailed
from pymachine.machine.ssh import sudo
from pymachine.machine.ssh.base import Result, SSHEndpoint
from pymachine.machine.ssh.sudo import Root, SudoPassword, refusal

OK = Result(0, "", "")
WANTS = Result(1, "", "sudo: a password is required\n")
WRONG = Result(1, "", "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n")


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not been told any password, and has no terminal."""
    monkeypatch.setattr(sudo, "_KNOWN", {})
    monkeypatch.setattr(sudo, "_GIVEN", {})
    monkeypatch.setattr(sudo, "ask_secret", lambda question: None)


def root(answers: list[Result], password: Callable[[int], str] | None, user: str = "ann") -> tuple[Root, list[bytes]]:
    """A session whose probes get *answers*; and what they were fed."""
    fed: list[bytes] = []

    def run(line: str, stdin: bytes, timeout: float) -> Result:
        assert b"secret" not in line.encode()
        fed.append(stdin)
        return answers.pop(0)

    return Root(SSHEndpoint("h", user, sudo_password=password), run), fed


def test_root_and_those_without_a_password_to_give_are_not_probed() -> None:
    assert root([], None, user="root")[0].wrap("x", 1) == ("exec x", b"")
    assert root([], None)[0].wrap("x", 1) == ("exec sudo -n -- x", b"")


def test_where_no_password_is_wanted_nobody_is_asked() -> None:
    become, fed = root([OK], lambda wrong: pytest.fail("asked"))

    assert [become.wrap("x", 1), become.wrap("y", 1)] == [("exec sudo -n -- x", b""), ("exec sudo -n -- y", b"")]
    assert fed == [b""]


def test_a_password_is_asked_for_until_it_is_right_and_then_sent_with_each_command() -> None:
    asked: list[int] = []

    def ask(wrong: int) -> str:
        asked.append(wrong)
        return f"secret{wrong}"

    become, fed = root([WANTS, WRONG, OK], ask)
    lines = [become.wrap("cat", 1) for _ in range(2)]

    assert asked == [0, 1]
    assert fed == [b"", b"secret0\n", b"secret1\n"]
    assert lines[0] == lines[1]
    assert lines[0][1].startswith(b"secret1\n")
    assert "secret" not in lines[0][0]


@pytest.mark.parametrize("reads", [True, False], ids=["wanted after all", "not wanted"])
def test_the_command_never_sees_the_password(reads: bool) -> None:
    """By a real shell: the first line is taken by sudo, or left to it by one that wanted none."""
    become, _ = root([WANTS, OK], lambda wrong: "(-secret' \\")
    line, head = become.wrap("/bin/sh -c 'cat; echo done'", 1)
    command = line.replace("exec sudo -k -S -p '' --", "IFS= read -r password; exec" if reads else "exec", 1)
    done = subprocess.run(["sh", "-c", command], input=head + b"the input\n", capture_output=True)

    assert (done.stdout, done.stderr) == (b"the input\ndone\n", b"")


def test_what_sudo_says_is_told_with_its_remedy() -> None:
    def told(stderr: str, status: int = 1) -> str:
        error = refusal(SSHEndpoint("h", "ann"), Result(status, "", stderr))
        return f"{error} | {error.hint}" if error else ""

    assert "may not use sudo without a password | on the host: echo 'ann ALL" in told("sudo: a password is required")
    assert "may not become root by sudo" in told("ann is not in the sudoers file.\n")
    assert "there is no sudo on h | install it, or log in as root" in told("sh: 1: exec: sudo: not found", 127)
    assert "requiretty" in told("sudo: sorry, you must have a tty to run sudo")
    assert told("grep: password: No such file") == ""


def test_trouble_of_sudo_itself_is_no_wrong_password() -> None:
    with pytest.raises(RemoteCommandFailed, match="unable to load"):
        root([Result(1, "", "sudo: unable to load plugin")], lambda wrong: "secret")[0].wrap("x", 1)
    with pytest.raises(MissingRequirement, match="may not become root"):
        root([WANTS, Result(1, "", "ann is not in the sudoers file.")], lambda wrong: "secret")[0].wrap("x", 1)


def test_one_question_serves_all_sessions_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return f"pw{len(questions)}"

    monkeypatch.setattr(sudo, "ask_secret", ask)

    assert [SudoPassword("ann", "h")(0) for _ in range(2)] == ["pw1", "pw1"]
    assert SudoPassword("ann", "other")(0) == "pw2"
    assert SudoPassword("ann", "h")(1) == "pw3"
    assert questions[-1] == "Sorry, try again. [sudo] password for ann on h: "
    with pytest.raises(MissingRequirement, match=r"\(3 tries\)"):
        SudoPassword("ann", "h")(3)


def test_the_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_PASSWORD", "secret")
    given = SudoPassword("ann", "h", variable="THE_PASSWORD")

    assert (given(0), SudoPassword("bob", "h", variable="THE_PASSWORD")(0)) == ("secret", "secret")
    assert "THE_PASSWORD" not in os.environ
    with pytest.raises(MissingRequirement, match="does not accept the password of user ann"):
        given(1)


def test_standard_input_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret \nrest"))

    assert [SudoPassword(user, "h", stdin=True)(0) for user in ("ann", "bob")] == ["secret ", "secret "]
    assert sys.stdin.read() == "rest"


def test_with_nobody_to_ask_the_ways_are_named() -> None:
    with pytest.raises(MissingRequirement, match="no terminal") as caught:
        SudoPassword("ann", "h", variable="THE_PASSWORD")(0)
    assert "set THE_PASSWORD; or " in caught.value.hint
