"""All commands: where each is, and its line in the overview, so that help and start-up import none of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, not yet imported."""

    module: str
    """Within `pymachine.machine.cli`."""
    attribute: str
    summary: str

    def load(self) -> click.Command:
        """Import it."""
        command = getattr(importlib.import_module(f"pymachine.machine.cli.{self.module}"), self.attribute)
        assert isinstance(command, click.Command)
        return command


COMMANDS: Mapping[str, Entry] = {
    "active": Entry("listing", "active", "Print which machine is active"),
    "apply": Entry("apply", "apply", "Make, change and remove machines as a fleet file says"),
    "clone": Entry("clone", "clone", "Make a machine with a copy of another's disk"),
    "completion": Entry("completion", "completion", "Print the completion script of a shell"),
    "config": Entry("environment", "config", "Print the connection flags for a machine"),
    "console": Entry("console", "console", "Attach to the serial console of a machine"),
    "context": Entry("context", "context", "Make, list and remove docker contexts of machines"),
    "create": Entry("create", "create", "Create a machine"),
    "doctor": Entry("doctor", "doctor", "Look for what is missing or amiss, with the remedies"),
    "env": Entry("environment", "env", "Print the commands that set up a shell for a machine"),
    "export": Entry("archive", "export", "Write machines to an archive"),
    "gc": Entry("gc", "gc", "Remove what is left outside of machines that no record knows"),
    "image": Entry("image", "image", "Build, fetch, list and remove images of machines"),
    "import": Entry("archive", "import_", "Add the machines of an archive"),
    "import-docker-machine": Entry("importing", "import_docker_machine", "Import the machines of docker-machine"),
    "inspect": Entry("inspecting", "inspect", "Print a machine's configuration as JSON"),
    "ip": Entry("inspecting", "ip", "Print the addresses of machines"),
    "kill": Entry("lifecycle", "kill", "Stop machines at once"),
    "logs": Entry("logs", "logs", "Print what was done to a machine's host, and its engine's journal"),
    "ls": Entry("listing", "ls", "List machines"),
    "mount": Entry("mount", "mount", "Mount a machine's directory by sshfs"),
    "provision": Entry("provisioning", "provision", "Provision machines again"),
    "regenerate-certs": Entry("provisioning", "regenerate_certs", "Renew the TLS certificates of machines"),
    "rename": Entry("rename", "rename", "Give a machine another name"),
    "restart": Entry("lifecycle", "restart", "Restart machines"),
    "rm": Entry("removing", "rm", "Remove machines"),
    "scp": Entry("scp", "scp", "Copy files between this computer and machines"),
    "set": Entry("set", "set_", "Change CPUs, memory or disk of a machine"),
    "snapshot": Entry("snapshot", "snapshot", "Keep a machine's state, and bring it back"),
    "ssh": Entry("shell", "ssh", "Log into a machine, or run a command on it"),
    "start": Entry("lifecycle", "start", "Start machines"),
    "status": Entry("inspecting", "status", "Print the state of a machine"),
    "stop": Entry("lifecycle", "stop", "Stop machines gracefully"),
    "upgrade": Entry("provisioning", "upgrade", "Upgrade machines to this program's engine"),
    "url": Entry("inspecting", "url", "Print the URL of a machine's engine"),
    "use": Entry("context", "use", "Make docker talk to a machine, by its docker context"),
    "version": Entry("version", "version", "Print the version of this program, or of a machine's engine"),
    "help": Entry("version", "help_command", "Show help for a command"),
}

ALIASES: Mapping[str, str] = {"h": "help"}
