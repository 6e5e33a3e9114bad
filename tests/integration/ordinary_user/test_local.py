"""Local machines without being root: only the helper is root's, and the store stays the user's."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.local.privileged.client import MODULE
from support.localmachine import traces
from support.ordinaryuser import OrdinaryUser

pytestmark = pytest.mark.root


def request(user: OrdinaryUser, operation: str, **changes: Any) -> dict[str, Any]:
    """A message as the client writes it, changed."""
    roots = [user.env["PYMACHINE_LOCAL_ROOT"], user.env["PYMACHINE_IMAGE_ROOT"]]
    message = {"call": 1, "operation": operation, "roots": roots, "id": str(uuid.uuid4()), "name": "m"}
    return {**message, "options": {}, "resources": {}, "timeout": 30, **changes}


def error_of(messages: list[dict[str, Any]]) -> str:
    """What the helper's last message complains of; empty when it does not."""
    return str(messages[-1].get("error", {}).get("text", ""))


def wait_for_end(user: OrdinaryUser, message: dict[str, Any]) -> list[dict[str, Any]]:
    """Call the helper and keep its input open until it has answered."""
    process = user.start("sudo", "-n", user.python, "-I", "-m", MODULE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if "done" in seen[-1] or "error" in seen[-1]:
            break
    process.communicate(timeout=60)
    return seen


def test_a_machine_from_create_to_rm(user: OrdinaryUser, root: Path) -> None:
    """Created, provisioned, listed, stopped, started and removed by a user who is never root themselves."""
    mine = user.home / "shared"
    user.run("mkdir", str(mine))
    user.run("sh", "-c", f"echo hello > {mine}/note")
    created = user.ok("create", "--local-mount", f"{mine}:/mnt/shared:ro", "web")
    assert "Docker is up and running!" in created
    assert user.ok("status", "web") == "Running\n"
    assert "Running" in user.ok("ls")
    assert user.ok("ssh", "web", "id -u; cat /mnt/shared/note").split() == ["0", "hello"]
    user.ok("stop", "web")
    assert user.ok("status", "web") == "Stopped\n"
    user.ok("start", "web")
    assert "DOCKER_HOST" in user.ok("env", "web")
    machine_id = user.ok("inspect", "-f", "{{.Pymachine.Id}}", "web").strip()

    owners = {path.stat().st_uid for path in [user.store, *user.store.rglob("*")]}
    assert owners == {user.uid}
    for key in user.store.rglob("*key*"):
        assert stat.S_IMODE(key.lstat().st_mode) & 0o077 == 0 or key.suffix == ".pub" or key.is_dir(), key

    other = error_of(wait_for_end(user, request(user, "kill", id=machine_id, name="web")))
    assert other == ""  # it is the user's own, whatever wrote the request
    assert user.ok("status", "web") == "Stopped\n"
    user.ok("rm", "-y", "web")
    assert not (root / "machines" / machine_id).exists()
    assert [trace for trace in traces(root) if machine_id in trace] == []


def test_what_is_roots_stays_roots(user: OrdinaryUser, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that another user made can be neither removed nor started."""
    machine_id = str(uuid.uuid4())
    directory = root / "machines" / machine_id
    directory.mkdir(parents=True)
    (directory / "machine.json").write_text(f'{{"id": "{machine_id}", "name": "m", "owner": 0}}')
    for operation in ("start", "kill", "remove", "create"):
        said = error_of(wait_for_end(user, request(user, operation, id=machine_id)))
        assert "another user's" in said, operation
    assert directory.is_dir()
    (directory / "machine.json").unlink()
    directory.rmdir()


def test_mounts_are_of_what_the_user_owns(user: OrdinaryUser) -> None:
    """Neither root's folders, nor a link to one, nor another user's."""
    link = user.home / "link"
    user.run("ln", "-s", "/etc", str(link))
    for source in ("/etc", "/", "/root", str(link), "/usr/share"):
        done = user.pymachine("create", "--local-mount", f"{source}:/mnt:ro", "stolen")
        assert done.returncode != 0
        assert f"--local-mount: {source} is not a place that {user.name} owns" in done.stderr
    assert user.ok("ls", "-q") == ""


def test_other_roots_are_refused(user: OrdinaryUser, root: Path, tmp_path: Path) -> None:
    """Only what root has made for local machines: not a folder of the user's, nor any other of root's."""
    made = user.home / "root"
    user.run("mkdir", str(made))
    user.run("sh", "-c", f"echo {uuid.uuid4()} > {made}/id")
    for place in (str(made), "/etc", f"{root}/../{root.name}", str(user.home / "nothing")):
        said = error_of(wait_for_end(user, request(user, "pre_create_check", roots=[place, ""])))
        assert "is no folder that root has made for local machines" in said
    said = error_of(wait_for_end(user, request(user, "pre_create_check", roots=[str(root), "/etc"])))
    assert "is no folder that root has made" in said


def test_images_by_the_helper(user: OrdinaryUser) -> None:
    """An image that is up to date is found, and one that there is not is told."""
    assert "debian-12 is up to date" in user.ok("image", "build")
    assert "debian-12" in user.ok("image", "ls")
    done = user.pymachine("image", "rm", "nothing-like-it")
    assert done.returncode == 1
    assert 'there is no image "nothing-like-it"' in done.stderr


def test_without_a_terminal_the_remedy_is_told(with_password: OrdinaryUser) -> None:
    """Nobody to ask: one clear line, and the line that an administrator would add."""
    done = with_password.pymachine("create", "silent")

    assert done.returncode == 1
    assert "sudo wants a password, and there is no terminal to ask for it" in done.stderr
    assert "NOPASSWD: " in done.stderr
    assert with_password.ok("ls", "-q") == ""


def test_another_program_may_ask(with_password: OrdinaryUser) -> None:
    """The one that SUDO_ASKPASS names, where there is no terminal."""
    program = with_password.home / "askpass"
    program.write_text(f"#!/bin/sh\necho {with_password.password}\n")
    program.chmod(0o755)
    done = with_password.pymachine("image", "rm", "nothing", env={"SUDO_ASKPASS": str(program)})
    assert 'there is no image "nothing"' in done.stderr


def test_a_password_is_asked_for_once(with_password: OrdinaryUser, root: Path) -> None:
    """One question for a whole create, which calls the helper twice, though sudo itself remembers nothing."""
    code, shown = with_password.on_terminal(
        *with_password.argv("create", "asked"), answers=[("for local machines:", with_password.password)]
    )

    assert code == 0, shown
    assert shown.count("for local machines:") == 1
    assert with_password.password not in shown
    assert with_password.ok("status", "asked") == "Running\n"
    code, shown = with_password.on_terminal(
        *with_password.argv("rm", "-y", "asked"), answers=[("for local machines:", with_password.password)]
    )
    assert code == 0, shown
    assert traces(root) == []


def test_a_wrong_password_is_told(with_password: OrdinaryUser) -> None:
    """sudo's own words, then ours; nothing is made."""
    answers = [("for local machines:", "wrong")] * 3
    code, shown = with_password.on_terminal(*with_password.argv("create", "refused"), answers=answers)

    assert code == 1
    assert "sudo does not start pymachine's helper" in shown
    assert with_password.ok("ls", "-q") == ""


def test_a_user_whom_sudo_does_not_know(user: OrdinaryUser) -> None:
    user.allow("")
    try:
        done = user.pymachine("create", "unknown")
    finally:
        user.allow(user.rule("NOPASSWD: "))

    assert done.returncode == 1
    assert "local machines need root" in done.stderr


def test_the_helper_runs_for_sudo_only(user: OrdinaryUser) -> None:
    """Started by hand it knows no caller, and does nothing."""
    done = user.run(user.python, "-I", "-m", "pymachine.drivers.local.privileged.helper", stdin="not json\n")
    assert done.stdout == '{"hello": 1}\n'
    assert os.listdir(user.store) if user.store.exists() else True


def test_a_client_that_is_killed_takes_the_helper_with_it(user: OrdinaryUser, root: Path) -> None:
    """Half-way through create: nothing goes on behind its back, and rm removes what there is."""
    process = user.start(*user.argv("create", "killed"), stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert any("Booting at" in line for line in process.stdout)
    process.kill()
    process.communicate()

    user.ok("rm", "-y", "killed")

    assert traces(root) == []
    assert not any((root / "machines").glob("*"))
