"""Who asks: every way of boto3's chain gives the credentials that AWS sees, and a refusal names its action.

Keys are checked by the front as AWS does: an unknown one, or one without its session token, is refused.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.tokens
import pytest

from pymachine.drivers.amazonec2 import cloud
from pymachine.machine.errors import MachineError
from support.ec2.identity import CONTAINER_TOKEN, PORTAL_TOKEN, ROLE, SOURCES
from support.ec2.lab import Lab
from support.ec2.machines import Machine

pytestmark = pytest.mark.root
LONG, SESSION, TOKEN = "AKIALONGLIVEDLONGLIV", "ASIASESSIONSESSIONSE", "the-session-token"
KEYS = {LONG: "", SESSION: TOKEN}
ARN = f"arn:aws:iam::123456789012:role/{ROLE}"
ISSUED = "issued by STS"
ENV = {"AWS_ACCESS_KEY_ID": LONG, "AWS_SECRET_ACCESS_KEY": "long-secret"}
SESSION_ENV = {"AWS_ACCESS_KEY_ID": SESSION, "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": TOKEN}
METADATA = {"AWS_EC2_METADATA_DISABLED": "false"}
CREDENTIALS = f"""
[long]
aws_access_key_id = {LONG}
aws_secret_access_key = long-secret
[session]
aws_access_key_id = {SESSION}
aws_secret_access_key = session-secret
aws_session_token = {TOKEN}
[unknown]
aws_access_key_id = AKIANOBODY
aws_secret_access_key = x
[half]
aws_access_key_id = AKIAHALF
"""
CONFIG = f"""
[profile by-profile]
role_arn = {ARN}
source_profile = long
[profile by-environment]
role_arn = {ARN}
credential_source = Environment
[profile by-instance]
role_arn = {ARN}
credential_source = Ec2InstanceMetadata
[profile by-container]
role_arn = {ARN}
credential_source = EcsContainer
[profile chained]
role_arn = {ARN}
source_profile = by-profile
[profile by-unknown]
role_arn = {ARN}
source_profile = unknown
[profile by-nothing]
role_arn = {ARN}
credential_source = Nothing
[profile round]
role_arn = {ARN}
source_profile = round-again
[profile round-again]
role_arn = {ARN}
source_profile = round
[profile process]
credential_process = cat @/process.json
[profile broken-process]
credential_process = sh -c "echo no card in the reader >&2; exit 1"
[sso-session portal]
sso_region = us-east-1
sso_start_url = https://portal.invalid/start
[profile sso]
sso_session = portal
sso_account_id = 123456789012
sso_role_name = {ROLE}
[profile sso-of-old]
sso_region = us-east-1
sso_start_url = https://portal.invalid/start
sso_account_id = 123456789012
sso_role_name = {ROLE}
[profile sso-other-role]
sso_session = portal
sso_account_id = 123456789012
sso_role_name = administrators
"""


@pytest.fixture
def home(ec2: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with AWS's files, and an environment without credentials."""
    home = tmp_path / "home"
    (home / ".aws" / "sso" / "cache").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(CREDENTIALS)
    (home / ".aws" / "config").write_text(CONFIG.replace("@", str(home)))
    process = {"Version": 1, "AccessKeyId": SESSION, "SecretAccessKey": "s", "SessionToken": TOKEN}
    (home / "process.json").write_text(json.dumps(process))
    (home / "identity-token").write_text("a token of somebody else")
    for name in ENV | {"AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": "", "AWS_SESSION_TOKEN": ""}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO", "AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        monkeypatch.setenv(name, ec2.endpoint)
    for holder in (botocore.credentials.SSOProvider, botocore.tokens.SSOTokenProvider):  # found out when imported
        monkeypatch.setattr(holder, "_SSO_TOKEN_CACHE_DIR", str(home / ".aws" / "sso" / "cache"))
    ec2.set(keys=KEYS)
    forget()
    yield home
    forget()


def forget() -> None:
    """As a new process, which has read no file yet."""
    cloud._client.cache_clear()
    cloud._assumed.cache_clear()
    cloud._session.cache_clear()


def log_in(home: Path, name: str = "portal", *, seconds: float = 3600, token: str = PORTAL_TOKEN) -> None:
    """What ``aws sso login`` leaves behind."""
    path = home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(name.encode()).hexdigest()}.json"
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    start = "https://portal.invalid/start"
    path.write_text(json.dumps({"startUrl": start, "region": "us-east-1", "accessToken": token, "expiresAt": expires}))


WAYS: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "keys in the environment": (ENV, {}, LONG),
    "a session token in the environment": (SESSION_ENV, {}, SESSION),
    "a profile": ({}, {"profile": "long"}, LONG),
    "a profile named by the environment": ({"AWS_PROFILE": "long"}, {}, LONG),
    "a profile with a session token": ({}, {"profile": "session"}, SESSION),
    "a role by a profile": ({}, {"profile": "by-profile"}, ISSUED),
    "a role by a role": ({}, {"profile": "chained"}, ISSUED),
    "a role by the environment": (ENV, {"profile": "by-environment"}, ISSUED),
    "a role by the instance's role": (METADATA, {"profile": "by-instance"}, ISSUED),
    "a role by the container's role": ({"container": ""}, {"profile": "by-container"}, ISSUED),
    "a role by somebody else's token": ({"web": "", "AWS_ROLE_ARN": ARN}, {}, ISSUED),
    "a role by option": (ENV, {"role": ARN}, ISSUED),
    "a role by option, from a profile's role": ({}, {"role": ARN, "profile": "by-profile"}, ISSUED),
    "a process": ({}, {"profile": "process"}, SESSION),
    "SSO": ({"sso": "portal"}, {"profile": "sso"}, SOURCES["portal"]),
    "SSO without a session's name": (
        {"sso": "https://portal.invalid/start"}, {"profile": "sso-of-old"}, SOURCES["portal"],
    ),
    "the instance's role": (METADATA, {}, SOURCES["instance"]),
    "the container's role": ({"container": ""}, {}, SOURCES["container"]),
}  # fmt: skip


def prepare(ec2: Lab, home: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment, and what three words of ours stand for."""
    for name, value in environment.items():
        if name == "sso":
            log_in(home, value)
        elif name == "web":
            monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(home / "identity-token"))
        elif name == "container":
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{ec2.endpoint}/container")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN)
        else:
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("way", WAYS)
def test_aws_sees_the_credentials_of(
    ec2: Lab, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    environment, options, wanted = WAYS[way]
    prepare(ec2, home, environment, monkeypatch)
    Machine(ec2, tmp_path, **options).driver.pre_create_check()
    callers = ec2.callers()
    assert callers["GetParameter"] == callers["RunInstances"]
    caller = callers["RunInstances"]
    if wanted is ISSUED:
        assert caller.startswith("ASIA")
        assert caller not in {SESSION, *SOURCES.values()}
    else:
        assert caller == wanted


REFUSALS: dict[str, tuple[dict[str, str], dict[str, Any], dict[str, Any], str, str]] = {
    "none at all": ({}, {}, {}, "no AWS credentials for ec2:DescribeInstanceTypes", "aws sso login"),
    "half a pair": ({}, {"profile": "half"}, {}, "no AWS credentials for ec2:DescribeInstanceTypes", "AWS_PROFILE"),
    "no such profile": ({}, {"profile": "nobody"}, {}, "nobody", "~/.aws/config"),
    "an unknown key": (
        {}, {"profile": "unknown"}, {},
        "AWS does not accept the credentials (profile unknown); ec2:DescribeInstanceTypes was refused", "sts get-",
    ),
    "a wrong session token": (
        {**SESSION_ENV, "AWS_SESSION_TOKEN": "another"}, {}, {},
        "AWS does not accept the credentials (boto3's default chain); ec2:DescribeInstanceTypes was refused", "clock",
    ),
    "an expired session": (
        {}, {"profile": "session"}, {"expired": [SESSION]},
        "the AWS credentials (profile session) have expired; ec2:DescribeInstanceTypes was refused", "aws sso login",
    ),
    "an expired session on the way to a role": (
        SESSION_ENV, {"profile": "by-environment"}, {"expired": [SESSION]},
        "(profile by-environment) have expired; sts:AssumeRole was refused", "aws sso login",
    ),
    "an unknown key on the way to a role": (
        {}, {"profile": "by-unknown"}, {}, "(profile by-unknown); sts:AssumeRole was refused", "sts get-caller",
    ),
    "a role that may not be assumed": (
        {}, {"profile": "by-profile"}, {"denied": ["AssumeRole"]},
        "AWS denied sts:AssumeRole to the credentials (profile by-profile)", "allow sts:AssumeRole",
    ),
    "a role by option that may not be assumed": (
        ENV, {"role": ARN}, {"denied": ["AssumeRole"]},
        f"AWS denied sts:AssumeRole to the credentials (boto3's default chain, role {ARN})", "allow sts:AssumeRole",
    ),
    "a role by option and nobody to assume it": (
        {}, {"role": ARN}, {}, "no AWS credentials for ec2:DescribeInstanceTypes", "AWS_PROFILE",
    ),
    "a token of somebody else's that is not taken": (
        {"web": "", "AWS_ROLE_ARN": ARN}, {}, {"denied": ["AssumeRoleWithWebIdentity"]},
        "AWS denied sts:AssumeRoleWithWebIdentity", "allow sts:AssumeRoleWithWebIdentity",
    ),
    "a source that does not exist": ({}, {"profile": "by-nothing"}, {}, "no AWS credentials for", "~/.aws/config"),
    "roles in a circle": ({}, {"profile": "round"}, {}, "no AWS credentials for", "~/.aws/config"),
    "a process that fails": ({}, {"profile": "broken-process"}, {}, "no card in the reader", "~/.aws/config"),
    "SSO without a login": ({}, {"profile": "sso"}, {}, "no AWS credentials for", "aws sso login"),
    "SSO whose login has expired": ({"expired": ""}, {"profile": "sso"}, {}, "no AWS credentials for", "aws sso login"),
    "SSO whose login was ended": ({"ended": ""}, {"profile": "sso"}, {}, "no AWS credentials for", "aws sso login"),
    "SSO with a role of others": (
        {"sso": "portal"}, {"profile": "sso-other-role"}, {},
        "AWS denied sso:GetRoleCredentials to the credentials (profile sso-other-role)", "sso:GetRoleCredentials",
    ),
    "a denied action": (
        ENV, {}, {"denied": ["RunInstances"]}, "AWS denied ec2:RunInstances to the credentials", "allow ec2:Run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_the_action_that_was_refused_is_told_for(
    ec2: Lab, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    environment, options, faults, told, remedy = REFUSALS[what]
    if environment.pop("expired", None) is not None:
        log_in(home, seconds=-60)
    if environment.pop("ended", None) is not None:
        log_in(home, token="of-yesterday")
    prepare(ec2, home, environment, monkeypatch)
    ec2.set(keys=KEYS, **faults)
    with pytest.raises(MachineError) as refused:
        Machine(ec2, tmp_path, **options).driver.pre_create_check()
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert remedy in refused.value.hint
