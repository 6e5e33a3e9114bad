"""What the engine says about itself: the documents of ``GET /version`` and ``GET /info``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymachine.dockerapi import versions
from pymachine.engine import hostfacts, identity
from pymachine.engine.config import EngineConfig

_COMMIT_NONE = {"ID": "N/A", "Expected": "N/A"}
HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Census:
    """What an engine holds at the moment."""

    running: int = 0
    paused: int = 0
    stopped: int = 0
    images: int = 0
    listeners: int = 0
    """Of events."""
    tasks: int = 0
    """What stands where dockerd counts goroutines."""


class EngineInfo:
    """Makes the documents. *config* and *census* are asked each time: both change."""

    def __init__(
        self,
        config: Callable[[], EngineConfig],
        census: Callable[[], Census],
        *,
        engine_id: str,
        driver: str,
        log_drivers: tuple[str, ...] = ("json-file", "local", "none"),
    ) -> None:
        self._config = config
        self._census = census
        self._engine_id = engine_id
        self._driver = driver
        self._log_drivers = log_drivers
        self._cgroups = hostfacts.cgroups()
        self._security = hostfacts.security_options(self._cgroups.version)

    @property
    def engine_id(self) -> str:
        """The engine's id."""
        return self._engine_id

    def version(self) -> dict[str, Any]:
        """``GET /version``."""
        newest, oldest = versions.text(versions.MAXIMUM), versions.text(versions.MINIMUM)
        facts = {
            "ApiVersion": newest,
            "Arch": identity.architecture(),
            "BuildTime": identity.built(),
            "GitCommit": identity.release(),
            "GoVersion": identity.language(),
            "KernelVersion": os.uname().release,
            "MinAPIVersion": oldest,
            "Os": "linux",
        }
        engine = {"Name": "Engine", "Version": identity.version(), "Details": {**facts, "Experimental": "false"}}
        return {
            "Platform": {"Name": "pyengine (pymachine)"},
            "Components": [engine],
            "Version": identity.version(),
            **facts,
        }

    def info(self) -> dict[str, Any]:
        """``GET /info``."""
        config = self._config()
        return {
            **self._counts(),
            **self._host(),
            **self._capabilities(),
            **self._settings(config),
            "ID": self._engine_id,
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "none"],
                "Authorization": None,
                "Log": list(self._log_drivers),
            },
            "ServerVersion": identity.version(),
            "Runtimes": {"pyengine": {"path": "pyengine"}},
            "DefaultRuntime": "pyengine",
            "InitBinary": "built-in",
            "ContainerdCommit": _COMMIT_NONE,
            "RuncCommit": {"ID": identity.release(), "Expected": identity.release()},
            "InitCommit": {"ID": identity.release(), "Expected": identity.release()},
            "Swarm": _inactive_swarm(),
            "Isolation": "",
            "GenericResources": None,
            "ExperimentalBuild": False,
            "LiveRestoreEnabled": True,
            "CDISpecDirs": [],
            "Warnings": self._warnings(config) or None,
        }

    def _counts(self) -> dict[str, Any]:
        census = self._census()
        return {
            "Containers": census.running + census.paused + census.stopped,
            "ContainersRunning": census.running,
            "ContainersPaused": census.paused,
            "ContainersStopped": census.stopped,
            "Images": census.images,
            "NFd": hostfacts.open_files(),
            "NGoroutines": census.tasks,
            "NEventsListener": census.listeners,
        }

    def _host(self) -> dict[str, Any]:
        system, release = hostfacts.operating_system()
        return {
            "Name": os.uname().nodename,
            "KernelVersion": os.uname().release,
            "OperatingSystem": system,
            "OSVersion": release,
            "OSType": "linux",
            "Architecture": os.uname().machine,
            "NCPU": hostfacts.processors(),
            "MemTotal": hostfacts.memory_total(),
            "SystemTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "HttpProxy": _proxy("http_proxy"),
            "HttpsProxy": _proxy("https_proxy"),
            "NoProxy": _proxy("no_proxy"),
        }

    def _capabilities(self) -> dict[str, Any]:
        found = self._cgroups
        return {
            "MemoryLimit": found.memory,
            "SwapLimit": found.swap,
            "CpuCfsPeriod": found.cpu_quota,
            "CpuCfsQuota": found.cpu_quota,
            "CPUShares": found.cpu_shares,
            "CPUSet": found.cpuset,
            "PidsLimit": found.pids,
            "OomKillDisable": found.oom_kill_disable,
            "IPv4Forwarding": hostfacts.sysctl("net/ipv4/ip_forward"),
            "BridgeNfIptables": hostfacts.sysctl("net/bridge/bridge-nf-call-iptables"),
            "BridgeNfIp6tables": hostfacts.sysctl("net/bridge/bridge-nf-call-ip6tables"),
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": found.version,
            "SecurityOptions": list(self._security),
        }

    def _settings(self, config: EngineConfig) -> dict[str, Any]:
        return {
            "Driver": self._driver,
            "DriverStatus": [
                ["Backing Filesystem", hostfacts.file_system(config.data_root)],
                ["Supports d_type", "true"],
            ],
            "DockerRootDir": str(config.data_root),
            "Debug": config.level == "debug",
            "LoggingDriver": config.log_driver,
            "Labels": list(config.labels),
            "IndexServerAddress": HUB,
            "RegistryConfig": _registries(config),
            "DefaultAddressPools": [{"Base": pool.base, "Size": pool.size} for pool in config.default_address_pools],
        }

    def _warnings(self, config: EngineConfig) -> list[str]:
        warnings = self._cgroups.warnings()
        if config.insecure_tcp and any(not host.startswith(("unix://", "fd://")) for host in config.hosts):
            warnings.append("WARNING: API is accessible over TCP without client certificates: access is root access")
        if config.ip_forward and not hostfacts.sysctl("net/ipv4/ip_forward"):
            warnings.append("WARNING: IPv4 forwarding is disabled")
        return warnings


def _proxy(name: str) -> str:
    """A proxy of the engine's environment, without the password that may be in it."""
    value = os.environ.get(name.upper()) or os.environ.get(name) or ""
    scheme, found, rest = value.partition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}://xxxxx:xxxxx@{host}" if found and at and credentials else value


def _registries(config: EngineConfig) -> dict[str, Any]:
    ranges = [name for name in config.insecure_registries if "/" in name]
    mirrors = [mirror.rstrip("/") + "/" for mirror in config.registry_mirrors]
    named = {
        name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
        for name in config.insecure_registries
        if "/" not in name
    }
    return {
        "AllowNondistributableArtifactsCIDRs": None,
        "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": ["127.0.0.0/8", *ranges],
        "IndexConfigs": {
            **named,
            "docker.io": {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True},
        },
        "Mirrors": mirrors or None,
    }


def _inactive_swarm() -> dict[str, Any]:
    return {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    }
