"""The engine's configuration file from a machine's ``--engine-*`` options."""

from __future__ import annotations

import json
from typing import Any

from pymachine.machine.errors import InvalidOption
from pymachine.provisioners import paths
from pymachine.provisioners.base import ProvisionPlan
from pymachine.provisioners.neighbours import BRIDGE_BESIDE, SOCKET_BESIDE, UNIX_SOCKET

_LISTS = {
    "add-runtime", "default-address-pool", "default-ulimit", "dns", "dns-opt", "dns-search", "exec-opt", "host",
    "insecure-registry", "label", "log-opt", "registry-mirror", "storage-opt",
}  # fmt: skip
"""Flags of dockerd that may be given several times; in the file their keys are plural."""


def engine_config(plan: ProvisionPlan, *, beside_docker: bool = False) -> dict[str, Any]:
    """The file's content: keys of dockerd's ``daemon.json``, which the engine reads.

    With *beside_docker* it keeps clear of a Docker on the same host.
    Raises `InvalidOption` naming every ``--engine-opt`` that is malformed.
    """
    engine = plan.engine
    config: dict[str, Any] = {
        "hosts": [SOCKET_BESIDE if beside_docker else UNIX_SOCKET, f"tcp://0.0.0.0:{plan.engine_port}"],
        "tlsverify": True,
        "tlscacert": paths.CA,
        "tlscert": paths.SERVER_CERT,
        "tlskey": paths.SERVER_KEY,
        "labels": [*engine.labels, f"provider={plan.driver_name}"],
    }
    if beside_docker:
        config["bridge"] = BRIDGE_BESIDE
    if engine.insecure_registries:
        config["insecure-registries"] = list(engine.insecure_registries)
    if engine.registry_mirrors:
        config["registry-mirrors"] = list(engine.registry_mirrors)
    if engine.storage_driver:
        config["storage-driver"] = engine.storage_driver
    problems: list[str] = []
    for text in engine.opts:
        _apply(config, text, problems)
    if problems:
        raise InvalidOption("; ".join(problems))
    return config


def render_config(plan: ProvisionPlan, *, beside_docker: bool = False) -> bytes:
    """The file as bytes; the same options give the same bytes."""
    return json.dumps(engine_config(plan, beside_docker=beside_docker), indent=2, sort_keys=True).encode() + b"\n"


def _apply(config: dict[str, Any], text: str, problems: list[str]) -> None:
    """Adds one ``--engine-opt``: a flag of dockerd, with or without its dashes and its value."""
    name, separator, value = text.lstrip("-").partition("=")
    if not name:
        problems.append(f"--engine-opt {text!r}: expected key or key=value")
    elif name.startswith("tls") or name in ("host", "H", "hosts"):
        problems.append(f"--engine-opt {text!r}: pymachine itself sets {name}")
    elif name == "log-opt":
        key, _, setting = value.partition("=")
        config.setdefault("log-opts", {})[key] = setting
    elif name in _LISTS:
        config.setdefault(_plural(name), []).append(value)
    else:
        config[name] = _value(value) if separator else True


def _plural(name: str) -> str:
    if name == "dns":
        return name
    return f"{name[:-1]}ies" if name.endswith("y") else name if name == "dns-search" else f"{name}s"


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else text
