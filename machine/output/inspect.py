"""A machine as docker-machine's ``inspect`` shows it: the shape of its config.json, version 3.

What docker-machine has no place for stands under ``Pymachine``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.machine import Machine

CONFIG_VERSION = 3


def document(machine: Machine) -> dict[str, Any]:
    """Plain JSON data, from the record alone: no machine is asked."""
    return {
        "ConfigVersion": CONFIG_VERSION,
        "Driver": _driver(machine),
        "DriverName": machine.record.driver,
        "HostOptions": {
            "Driver": "",
            "Memory": 0,
            "Disk": 0,
            "EngineOptions": engine_options(machine.engine),
            "SwarmOptions": swarm_options(machine.swarm, machine.engine),
            "AuthOptions": _auth(machine),
        },
        "Name": machine.name,
        "Pymachine": _ours(machine),
    }


def _driver(machine: Machine) -> dict[str, Any]:
    record, swarm = machine.record, machine.swarm
    resources = record.resources
    key = machine.directory / str(resources.get("ssh_key", "id_ed25519"))
    found = {
        "IPAddress": str(resources.get("address", "")),
        "MachineName": machine.name,
        "SSHUser": str(resources.get("ssh_user", "root" if key.exists() else "")),
        "SSHPort": int(resources.get("ssh_port", 22 if key.exists() else 0)),
        "SSHKeyPath": str(key) if key.exists() else "",
        "StorePath": str(_root(machine)),
        "SwarmMaster": swarm.master,
        "SwarmHost": swarm.host if swarm.wanted else "",
        "SwarmDiscovery": swarm.discovery,
    }
    # What the driver found out counts more than what was asked for: an SSH user may come from ssh_config.
    return found | {_camel(name): value for name, value in record.options.items() if not found.get(_camel(name))}


def engine_options(engine: EngineOptions) -> dict[str, Any]:
    """As docker-machine's EngineOptions."""
    return {
        "ArbitraryFlags": list(engine.opts),
        "Dns": None,
        "GraphDir": "",
        "Env": list(engine.env),
        "Ipv6": False,
        "InsecureRegistry": list(engine.insecure_registries),
        "Labels": list(engine.labels),
        "LogLevel": "",
        "StorageDriver": engine.storage_driver,
        "SelinuxEnabled": False,
        "TlsVerify": True,
        "RegistryMirror": list(engine.registry_mirrors),
        "InstallURL": engine.install_url,
    }


def swarm_options(swarm: SwarmOptions, engine: EngineOptions) -> dict[str, Any]:
    """As docker-machine's SwarmOptions."""
    return {
        "IsSwarm": swarm.wanted,
        "Address": swarm.addr,
        "Discovery": swarm.discovery,
        "Agent": swarm.agent,
        "Master": swarm.master,
        "Host": swarm.host,
        "Image": swarm.image,
        "Strategy": swarm.strategy,
        "Heartbeat": 0,
        "Overcommit": 0,
        "ArbitraryFlags": list(swarm.opts),
        "ArbitraryJoinFlags": list(swarm.join_opts),
        "Env": list(engine.env),
        "IsExperimental": swarm.experimental,
    }


def _auth(machine: Machine) -> dict[str, Any]:
    certs, own = _root(machine) / "certs", machine.directory
    return {
        "CertDir": str(certs),
        "CaCertPath": str(certs / "ca.pem"),
        "CaPrivateKeyPath": str(certs / "ca-key.pem"),
        "CaCertRemotePath": "",
        "ServerCertPath": str(own / "server.pem"),
        "ServerKeyPath": str(own / "server-key.pem"),
        "ClientKeyPath": str(certs / "key.pem"),
        "ServerCertRemotePath": "",
        "ServerKeyRemotePath": "",
        "ClientCertPath": str(certs / "cert.pem"),
        "ServerCertSANs": list(machine.record.tls_san),
        "StorePath": str(own),
    }


def _ours(machine: Machine) -> dict[str, Any]:
    record = machine.record
    return {
        "Id": record.id,
        "CreatedAt": record.created_at,
        "Phase": record.phase,
        "Resources": record.resources,
        "Provisioned": record.provisioned,
        "ExpiresAt": record.expires_at,
        "Fleet": str(record.fleet.get("name", "")),
    }


def _root(machine: Machine) -> Path:
    return machine.store.certs_dir().parent


def _camel(field: str) -> str:
    """``ssh_user`` → ``SSHUser``: the names that docker-machine's fields have."""
    capitals = {"ssh": "SSH", "url": "URL", "ip": "IP", "id": "ID", "vpc": "VPC", "ami": "AMI"}
    return "".join(capitals.get(part, part.capitalize()) for part in field.split("_"))
