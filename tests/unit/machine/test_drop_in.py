"""Every command and flag of docker-machine 0.16 is one of ours, in both spellings of a long flag.

What they do is tested where they are; here that a script which uses one meets no usage error.
"""

import pytest

from pymachine.machine.cli import app
from pymachine.machine.cli.app import run

CREATE = (
    "--engine-install-url=u --engine-opt=o --engine-insecure-registry=r --engine-registry-mirror=m --engine-label=a=b "
    "--engine-storage-driver=s --engine-env=A=b --swarm --swarm-image=i --swarm-master --swarm-discovery=d "
    "--swarm-strategy=s --swarm-opt=o --swarm-join-opt=o --swarm-host=h --swarm-addr=a --swarm-experimental "
    "--tls-san=s"
)
COMMANDS = {
    "active": "-t=5 --timeout=5",
    "config": "--swarm",
    "create": CREATE,
    "create --driver=none": f"{CREATE} --url=tcp://x:1",
    "create -d generic": "--generic-engine-port=1 --generic-ip-address=a --generic-ssh-user=u --generic-ssh-key=k "
    "--generic-ssh-port=1",
    "create -d amazonec2": "--amazonec2-ami=a --amazonec2-region=r --amazonec2-vpc-id=v --amazonec2-zone=z "
    "--amazonec2-subnet-id=s --amazonec2-security-group=g --amazonec2-security-group-readonly --amazonec2-open-port=1 "
    "--amazonec2-tags=k,v --amazonec2-instance-type=t --amazonec2-device-name=d --amazonec2-root-size=16 "
    "--amazonec2-volume-type=gp2 --amazonec2-iam-instance-profile=p --amazonec2-ssh-port=22 --amazonec2-ssh-user=u "
    "--amazonec2-ssh-keypath=p --amazonec2-keypair-name=n --amazonec2-request-spot-instance --amazonec2-spot-price=1 "
    "--amazonec2-block-duration-minutes=0 --amazonec2-private-address-only --amazonec2-use-private-address "
    "--amazonec2-monitoring --amazonec2-use-ebs-optimized-instance --amazonec2-retries=5 --amazonec2-endpoint=e "
    "--amazonec2-insecure-transport --amazonec2-userdata=f",
    "env": "--swarm --shell=fish -u --unset --no-proxy",
    "help": "",
    "h": "",
    "inspect": "-f={{.Name}} --format={{.Name}}",
    "ip": "",
    "kill": "",
    "ls": "-q --quiet --filter=name=x --filter=state=y -t=1 --timeout=1 -f=t --format=t",
    "mount": "-u --unmount",
    "provision": "",
    "regenerate-certs": "-f --force --client-certs",
    "restart": "",
    "rm": "-f --force -y",
    "scp": "-r --recursive -d --delta -q --quiet",
    "start": "",
    "status": "",
    "stop": "",
    "upgrade": "",
    "url": "",
    "version": "",
}
GLOBAL = (
    "-D --debug -s=/s --storage-path=/s --tls-ca-cert=f --tls-ca-key=f --tls-client-cert=f --tls-client-key=f "
    "--github-api-token=t --native-ssh --bugsnag-api-token=t"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_flag_is_unknown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for help last: unknown flags come first."""
    flags = COMMANDS[command].split()
    for spelled in (flags, [flag.replace("--", "-", 1) for flag in flags], _apart(flags)):
        assert run([*command.split(), *spelled, "name", "--help"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.startswith("Usage: pymachine ")
    assert run([*command.split(), "--no-such-flag", "--help"]) == 2


def test_no_global_flag_is_unknown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(app, "_log", lambda: None)  # for the whole process
    for spelled in (GLOBAL.split(), GLOBAL.replace("--", "-").split(), _apart(GLOBAL.split())):
        assert run([*spelled, "url", "--help"]) == 0, capsys.readouterr().err
        assert capsys.readouterr().out.startswith("Usage: pymachine url ")


def _apart(flags: list[str]) -> list[str]:
    """The value as a word of its own."""
    return [word for flag in flags for word in flag.split("=", 1)]
