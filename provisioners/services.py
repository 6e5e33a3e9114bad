"""Service managers: how the engine is made a service of the host, and told to start anew or to read its files again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from pymachine.machine.errors import InvalidOption, ProvisionError
from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put, Run
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.templating import render


class ServiceManager(Protocol):
    """One way to run services."""

    file: ClassVar[str]
    """Where the service is described."""
    template: ClassVar[str]
    log: ClassVar[str]
    """What to run on the host to see what the engine wrote."""
    last_words: ClassVar[str]
    """Prints the last line of that which is the engine's own."""

    def write(self, text: bytes) -> Action: ...

    def reread(self) -> Sequence[Action]:
        """After `write`: what else it takes for the manager to go by the new description."""
        ...

    def enable(self) -> Action: ...

    def restart(self) -> Action: ...

    def reload(self) -> Action: ...


class Systemd:
    """systemctl(1)."""

    file: ClassVar[str] = paths.ENGINE_UNIT
    template: ClassVar[str] = "systemd/pyengine.service.j2"
    log: ClassVar[str] = f"journalctl -u {paths.ENGINE_UNIT_NAME}"
    last_words: ClassVar[str] = f"journalctl _SYSTEMD_UNIT={paths.ENGINE_UNIT_NAME} -n 1 -o cat"

    def write(self, text: bytes) -> Action:
        return Put(self.file, text)

    def reread(self) -> Sequence[Action]:
        return (Run(("systemctl", "daemon-reload")),)

    def enable(self) -> Action:
        return Run(("systemctl", "enable", paths.ENGINE_UNIT_NAME))

    def restart(self) -> Action:
        return Run(("systemctl", "restart", paths.ENGINE_UNIT_NAME))

    def reload(self) -> Action:
        return Run(("systemctl", "reload", paths.ENGINE_UNIT_NAME))


_SERVING = (
    f"c=/run/openrc/options/{paths.ENGINE_SERVICE}/child_pid; first=$(cat $c); i=0; "
    f"""p=$(sed -n 's|.*"tcp://[^"]*:\\([0-9]*\\)".*|\\1|p' {paths.ENGINE_CONFIG}); p=$(printf %04X "$p"); """
    'until grep -qs "^ *[0-9]*: [0-9A-F]*:$p [0-9A-F:]* 0A " /proc/net/tcp /proc/net/tcp6; do '
    '[ "$(cat $c)" = "$first" ] && [ $((i += 1)) -lt 600 ] || exit 1; sleep 0.1; done'
)
"""Waits for a minute until the engine listens, as systemd does for its notice: supervise-daemon(8) itself says that a
service is started when its process is. Fails as soon as that was another process, which means that the first died; its
number is where service_set_value(3) puts it."""


class OpenRC:
    """rc-service(8), rc-update(8)."""

    file: ClassVar[str] = paths.ENGINE_SCRIPT
    template: ClassVar[str] = "openrc/pyengine.j2"
    log: ClassVar[str] = f"tail {paths.ENGINE_LOG}"
    last_words: ClassVar[str] = f"tail -n 1 {paths.ENGINE_LOG}"

    def write(self, text: bytes) -> Action:
        return Put(self.file, text, 0o755)

    def reread(self) -> Sequence[Action]:
        return ()

    def enable(self) -> Action:
        return Run(("rc-update", "add", paths.ENGINE_SERVICE, "default"))

    def restart(self) -> Action:
        """In two steps: some versions' own restart can lose the note that the service is started."""
        service = paths.ENGINE_SERVICE
        return Run(shell=f"rc-service --ifstarted {service} stop && rc-service {service} start && {_SERVING}")

    def reload(self) -> Action:
        return Run(("rc-service", paths.ENGINE_SERVICE, "reload"))


def manager_of(facts: Facts) -> ServiceManager:
    """The host's service manager; raises `ProvisionError` when it has none that is known."""
    if facts.pid1 == "systemd" and "systemctl" in facts.programs:
        return Systemd()
    if "rc-service" in facts.programs and "openrc-run" in facts.programs:
        return OpenRC()
    raise ProvisionError(
        f"the host runs neither systemd nor OpenRC (process 1 is {facts.pid1 or 'unknown'})",
        hint="The engine needs one of them to be started at boot.",
    )


def service_text(facts: Facts, env: Sequence[str]) -> bytes:
    """The service's description; raises `InvalidOption` for a variable that it cannot carry."""
    for assignment in env:
        if not assignment.partition("=")[0] or "=" not in assignment:
            raise InvalidOption(f"--engine-env {assignment!r}: expected NAME=value")
    try:
        text = render(
            manager_of(facts).template,
            python=facts.python or "/usr/bin/python3",
            current=paths.CURRENT,
            config=paths.ENGINE_CONFIG,
            log=paths.ENGINE_LOG,
            env=env,
        )
    except ValueError as error:
        raise InvalidOption(f"--engine-env: {error}") from None
    return text.encode()
