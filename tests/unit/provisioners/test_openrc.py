"""The OpenRC service script is one that a shell reads as meant."""

from __future__ import annotations

import subprocess

from pymachine.provisioners.facts import Facts
from pymachine.provisioners.osrelease import OSRelease
from pymachine.provisioners.services import manager_of, service_text

FACTS = Facts(
    OSRelease("alpine"),
    pid1="init",
    python="/usr/bin/python3.12",
    programs={"rc-service": "/sbin/rc-service", "openrc-run": "/sbin/openrc-run"},
)


def test_variables_arrive_whatever_is_in_them() -> None:
    value = "HTTP_PROXY=http://u:p$x@h/'\" `id`;"
    script = service_text(FACTS, (value,)).decode()
    show = 'printf "%s\\n" "$command" "$command_args" "$supervisor" "$HTTP_PROXY"'
    done = subprocess.run(["sh", "-c", f"{script}\n{show}"], capture_output=True, text=True, env={})

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "/usr/bin/python3.12",
        "-I -S /opt/pymachine/current/bin/pyengine --config /etc/pymachine/engine.json",
        "supervise-daemon",
        value.removeprefix("HTTP_PROXY="),
    ]
    assert script.startswith("#!/sbin/openrc-run\n")


def test_the_service_is_spoken_to_by_its_manager() -> None:
    manager = manager_of(FACTS)

    restart = "run rc-service --ifstarted pyengine stop && rc-service pyengine start && "
    assert manager.restart().describe().startswith(restart)
    assert manager.reload().describe() == "run rc-service pyengine reload"
