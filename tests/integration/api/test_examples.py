"""The documentation of the Python interface does what it says: its code is run, on real local machines."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.localprogram import image_root, left_of, local_program
from support.program import Program, environment

pytestmark = pytest.mark.root

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """An empty store and local root, which are the examples' by the environment."""
    with local_program(image_root()) as made:
        yield made


def run(program: Program, path: Path) -> str:
    """The output of a Python program that must succeed."""
    variables = {**program.env, "MACHINE_STORAGE_PATH": str(program.store)}
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=200,
            env=without_others_ca(environment({**variables, "HOME": home})),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_others_ca(env: dict[str, str]) -> dict[str, str]:
    """Requests, which docker-py uses, would trust these more than the machine's CA."""
    return {name: value for name, value in env.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}


def test_the_guide(program: Program, tmp_path: Path) -> None:
    """All blocks of docs/api.md, one after the other as they stand there."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / "api.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    script = tmp_path / "guide.py"
    script.write_text("\n".join(blocks))

    shown = run(program, script)

    assert "web Running tcp://" in shown
    assert 'web: Stopping "web"...' in shown
    assert 'Message Machine "web" was started.' in shown
    assert "Linux" in shown
    assert "web is there already" in shown
    assert left_of(program) == []


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example(path: Path, program: Program) -> None:
    """Each of docs/examples/ ends well and leaves nothing."""
    assert run(program, path)
    assert program.ok("ls", "-q") == ""
    assert left_of(program) == []
