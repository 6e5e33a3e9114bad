"""Layers only look down: who may import what, read from the source files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CONTRACTS = {"machine.errors", "machine.ssh.base", "machine.ssh.keys", "machine.config", "machine.terminal"}
"""The client's public contracts, which drivers, provisioners and stores may use."""

ALLOWED: dict[str, set[str]] = {
    "dockerapi": {"dockerapi"},
    "engine": {"engine", "dockerapi"},
    "swarm": {"swarm", "dockerapi"},
    "store": {"store", "machine.errors"},
    "drivers": {"drivers", "store.base", "templates", "machine.ssh"} | CONTRACTS,
    "provisioners": {"provisioners", "templates"} | CONTRACTS,
    "machine": {"machine", "drivers", "provisioners", "store", "templates", "dockerapi"},
}

LIBRARIES: dict[str, set[str]] = {
    "dockerapi": {"h11"},
    "engine": {"h11"},
    "swarm": {"h11"},
}
"""What goes to hosts uses nothing beyond the standard library and what the release bundles."""


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("layer", ALLOWED)
def test_a_layer_imports_only_what_is_below_it(layer: str) -> None:
    wrong = []
    for path in (ROOT / layer).rglob("*.py"):
        for name in _imports(path):
            if not name.startswith("pymachine."):
                continue
            inner = name.removeprefix("pymachine.")
            if not any(inner == allowed or inner.startswith(f"{allowed}.") for allowed in ALLOWED[layer]):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")

    assert wrong == []


@pytest.mark.parametrize("layer", LIBRARIES)
def test_what_goes_to_hosts_needs_no_other_library(layer: str) -> None:
    wrong = []
    for path in (ROOT / layer).rglob("*.py"):
        for name in _imports(path):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names | LIBRARIES[layer] | {"pymachine"}:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")

    assert wrong == []
