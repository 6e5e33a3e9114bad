"""What the spawner's rehearsal plays is what shims get: one that lacks a field of theirs stops half-way, unseen."""

from __future__ import annotations

from dataclasses import fields

from pymachine.engine.runtime import rehearsal
from pymachine.engine.runtime.spec import Namespaces, Process, Resources


def test_it_has_every_limit_and_namespace() -> None:
    document = rehearsal._document("/bundle", "group")

    assert set(document["resources"]) == {field.name for field in fields(Resources)}
    assert set(document["namespaces"]) == {field.name for field in fields(Namespaces)}


def test_its_exec_has_all_of_a_process() -> None:
    """But the seccomp profile, which the daemon sends as a program of its own."""
    process = rehearsal._EXEC["process"]
    assert isinstance(process, dict)
    assert set(process) == {field.name for field in fields(Process)} - {"seccomp"}
