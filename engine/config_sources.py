"""Where the configuration comes from: the table of settings, the file, and the command line."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymachine
from pymachine.engine import config_values as kinds
from pymachine.engine.config import DEFAULT_FILE, ConfigError, EngineConfig, check
from pymachine.engine.config_values import Kind


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its daemon.json key, its flags (without dashes; dockerd's singular for lists), its help."""

    key: str
    kind: Kind
    flags: tuple[str, ...]
    help: str

    @property
    def field(self) -> str:
        return self.key.replace("-", "_")


SETTINGS = (
    Setting("hosts", kinds.TEXTS, ("H", "host"), "listen on unix:///path, tcp://address:port or fd:// (systemd)"),
    Setting("group", kinds.TEXT, ("G", "group"), "group of the unix sockets"),
    Setting("tls", kinds.FLAG, ("tls",), "serve TCP with TLS"),
    Setting("tlsverify", kinds.FLAG, ("tlsverify",), "serve TCP with TLS, to clients with a certificate of the CA"),
    Setting("tlscacert", kinds.PATH, ("tlscacert",), "the CA that client certificates must be signed by"),
    Setting("tlscert", kinds.PATH, ("tlscert",), "the server's certificate"),
    Setting("tlskey", kinds.PATH, ("tlskey",), "the certificate's key"),
    Setting("insecure-tcp", kinds.FLAG, ("insecure-tcp",), "serve TCP to clients that show no certificate"),
    Setting("data-root", kinds.PATH, ("data-root",), "images, containers and volumes"),
    Setting("exec-root", kinds.PATH, ("exec-root",), "run-time state, gone after a reboot"),
    Setting("pidfile", kinds.PATH, ("p", "pidfile"), "file with the engine's process id"),
    Setting("storage-driver", kinds.TEXT, ("s", "storage-driver"), "overlay2 or vfs"),
    Setting("labels", kinds.TEXTS, ("label",), "name=value, shown by info"),
    Setting("insecure-registries", kinds.TEXTS, ("insecure-registry",), "registry (host[:port] or subnet) without TLS"),
    Setting("registry-mirrors", kinds.TEXTS, ("registry-mirror",), "mirror of the hub, as a URL"),
    Setting("log-driver", kinds.TEXT, ("log-driver",), "log driver of containers that choose none"),
    Setting("log-opts", kinds.OPTIONS, ("log-opt",), "name=value for the log driver"),
    Setting("debug", kinds.FLAG, ("D", "debug"), "log everything"),
    Setting("log-level", kinds.TEXT, ("l", "log-level"), "debug, info, warn, error or fatal"),
    Setting("bip", kinds.TEXT, ("bip",), "address and prefix length of the default bridge"),
    Setting("fixed-cidr", kinds.TEXT, ("fixed-cidr",), "subnet of the default bridge that containers get addresses of"),
    Setting("default-address-pools", kinds.POOLS, ("default-address-pool",), "base=subnet,size=prefix length"),
    Setting("iptables", kinds.FLAG, ("iptables",), "add firewall rules"),
    Setting("ip-forward", kinds.FLAG, ("ip-forward",), "switch IP forwarding on"),
    Setting("userland-proxy", kinds.FLAG, ("userland-proxy",), "forward in user space what firewall rules cannot"),
    Setting("bridge", kinds.TEXT, ("b", "bridge"), "name of the default bridge, made when missing"),
    Setting("ip", kinds.TEXT, ("ip",), "host address that ports are published on by default"),
    Setting("mtu", kinds.NUMBER, ("mtu",), "of containers' interfaces, in bytes"),
    Setting("dns", kinds.TEXTS, ("dns",), "name server of containers"),
    Setting("dns-search", kinds.TEXTS, ("dns-search",), "search domain of containers"),
    Setting("dns-opts", kinds.TEXTS, ("dns-opt",), "resolver option of containers"),
    Setting("default-ulimits", kinds.ULIMITS, ("default-ulimit",), "name=soft[:hard] for containers"),
    Setting("cgroup-parent", kinds.TEXT, ("cgroup-parent",), "parent cgroup of containers"),
    Setting("init", kinds.FLAG, ("init",), "run an init process in containers that do not say"),
    Setting("shutdown-timeout", kinds.NUMBER, ("shutdown-timeout",), "seconds for requests to end at a stop"),
)

IGNORED = {
    "exec-opts": "cgroups are managed as cgroupfs",
    "live-restore": "containers always outlive the engine",
    "userland-proxy-path": "there is none",
    "experimental": "there is nothing experimental",
    "features": "there are none to switch",
    "max-concurrent-downloads": "downloads are bounded by the engine itself",
    "max-concurrent-uploads": "uploads are bounded by the engine itself",
    "max-download-attempts": "the engine retries by itself",
    "storage-opts": "the storage drivers have no options",
    "log-format": "the log is text",
    "raw-logs": "the log has no colours",
    "init-path": "the init process is built in",
    "containerd": "containerd is not used",
    "default-runtime": "there is one runtime",
    "builder": "the build cache is bounded by the engine itself",
    "default-shm-size": "containers ask for their own",
}
"""dockerd's keys without a meaning here, and why: harmless to leave out, so they are only warned about.
Any other key is an error, above all those that promise protection (``userns-remap``, ``icc``…)."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ConfigError([message])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pyengine", description="A container engine with the Docker Engine API.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"pyengine {pymachine.__version__}")
    parser.add_argument("--config-file", "--config", type=Path, default=None, help=f"default {DEFAULT_FILE}")
    for item in SETTINGS:
        names = [f"-{name}" if len(name) == 1 else f"--{name}" for name in item.flags]
        options: dict[str, Any] = {"dest": item.field, "help": item.help, "default": None, "metavar": "VALUE"}
        if item.kind.repeated:
            options["action"] = "append"
        elif item.kind is kinds.FLAG:
            options |= {"nargs": "?", "const": "true", "metavar": "true|false"}
        parser.add_argument(*names, **options)
    for key in IGNORED:
        parser.add_argument(
            f"--{key.removesuffix('s')}", f"--{key}", dest=f"ignored {key}", nargs="?", const="", help=argparse.SUPPRESS
        )
    return parser


def load(argv: list[str]) -> EngineConfig:
    """The configuration for a command line. Raises `ConfigError` with every problem."""
    return Sources(argv).load()


class Sources:
    """The command line, and the file that it names: can be read again when the file has changed."""

    def __init__(self, argv: list[str]) -> None:
        self._flags = vars(_parser().parse_args(argv))
        self.file: Path = self._flags["config_file"] or DEFAULT_FILE
        self._file_required = self._flags["config_file"] is not None

    def load(self) -> EngineConfig:
        """Read the file and put all sources together. Raises `ConfigError` with every problem."""
        problems: list[str] = []
        values, warnings = self._read_file(problems)
        values |= self._read_flags(problems, warnings)
        if not problems:
            config = EngineConfig(**values, warnings=tuple(warnings))
            problems = check(config)
        if problems:
            raise ConfigError(problems)
        return config

    def _read_file(self, problems: list[str]) -> tuple[dict[str, Any], list[str]]:
        try:
            document = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            if self._file_required:
                problems.append(f"{self.file}: no such file")
            return {}, []
        except OSError as error:
            problems.append(f"{self.file}: {error.strerror}")
            return {}, []
        except (ValueError, RecursionError) as error:
            problems.append(f"{self.file}: not valid JSON: {error}")
            return {}, []
        if not isinstance(document, dict):
            problems.append(f"{self.file}: expected a JSON object")
            return {}, []
        return self._read_document(document, problems)

    def _read_document(self, document: dict[str, Any], problems: list[str]) -> tuple[dict[str, Any], list[str]]:
        known = {item.key: item for item in SETTINGS}
        values: dict[str, Any] = {}
        warnings = []
        for key, value in document.items():
            if key in IGNORED:
                warnings.append(f"{key} is ignored: {IGNORED[key]}")
            elif key not in known:
                problems.append(f"{key}: unknown key in {self.file}")
            else:
                try:
                    values[known[key].field] = known[key].kind.from_json(value)
                except ValueError as error:
                    problems.append(f"{key}: {error} (in {self.file})")
        return values, warnings

    def _read_flags(self, problems: list[str], warnings: list[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for item in SETTINGS:
            given = self._flags[item.field]
            if given is None:
                continue
            try:
                if item.kind.repeated:
                    values[item.field] = item.kind.gather([item.kind.from_flag(text) for text in given])
                else:
                    values[item.field] = item.kind.from_flag(given)
            except ValueError as error:
                problems.append(f"--{item.flags[-1]}: {error}")
        for key, reason in IGNORED.items():
            if self._flags.get(f"ignored {key}") is not None:
                warnings.append(f"{key} is ignored: {reason}")
        return values
