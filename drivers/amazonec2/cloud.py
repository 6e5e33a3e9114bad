"""Calls to AWS: who we are there, which region, and retries within a deadline.

boto3 is imported here, when it is first needed. botocore's own retries are off: its number of attempts knows nothing
of an operation's deadline.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.amazonec2 import faults
from pymachine.drivers.amazonec2.faults import NoAnswer, Refused
from pymachine.drivers.amazonec2.options import DEFAULT_REGION, Options
from pymachine.drivers.amazonec2.waiting import Patience
from pymachine.machine.errors import MissingRequirement

EVENTUAL_SECONDS = 60.0
"""How long what was just made may not be found: EC2 is eventually consistent (EC2 API reference, "Ensuring
idempotency" and "Eventual consistency")."""
CONNECT_SECONDS, READ_SECONDS = 10, 60
MOST_ATTEMPTS_UNREACHABLE = 3
PAGE = 1000
_LOCK = threading.Lock()
"""Sessions are not safe for several threads; clients are."""


@functools.cache
def boto3() -> Any:
    """boto3's module."""
    try:
        import boto3 as module
    except ImportError as error:
        raise MissingRequirement(
            f"the amazonec2 driver needs boto3: {error}", hint="pip install 'pymachine[aws]'"
        ) from error
    return module


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks, where. Names only, never a key."""

    profile: str = ""
    role: str = ""
    region: str = ""
    endpoint: str = ""

    @property
    def who(self) -> str:
        """The identity's origin, for messages."""
        origin = f"profile {self.profile}" if self.profile else "boto3's default chain"
        return f"{origin}, role {self.role}" if self.role else origin


@functools.cache
def _session(profile: str) -> Any:
    return boto3().Session(profile_name=profile or None)


@functools.cache
def _client(account: Account, service: str) -> Any:
    from botocore.config import Config

    session = _assumed(account) if account.role else _session(account.profile)
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        user_agent_extra="pymachine",
        max_pool_connections=50,
    )
    return session.client(service, region_name=account.region, endpoint_url=account.endpoint or None, config=config)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_client.cache_clear)  # a child must not write into its parent's connections


@functools.cache
def _assumed(account: Account) -> Any:
    """A session of the assumed role, the same for all services; its credentials are renewed when they expire."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import NoCredentialsError
    from botocore.session import get_session

    session = _session(account.profile)
    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError

    def create_client(service: str, **options: Any) -> Any:
        given = {"region_name": account.region, "endpoint_url": account.endpoint or None, **options}
        return session.client(service, **given)

    fetcher = AssumeRoleCredentialFetcher(
        create_client, source, account.role, extra_args={"RoleSessionName": "pymachine"}
    )
    inner: Any = get_session()
    inner._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return boto3().Session(botocore_session=inner)


class Cloud:
    """One account and region, for one operation."""

    def __init__(self, account: Account, patience: Patience) -> None:
        self.account = account
        self.patience = patience

    @classmethod
    def of(cls, options: Options, patience: Patience, *, region: str = "") -> Cloud:
        """As the options say; *region* is the one on record."""
        found = region or options.region or _default_region(options.profile)
        return cls(Account(options.profile, options.role, found, options.endpoint), patience)

    def call(self, action: str, /, *, eventually: Collection[str] = (), **parameters: Any) -> dict[str, Any]:
        """One API action such as ``RunInstances`` or ``ssm:GetParameter``; retried while throttled, or without answer.

        Errors with a code of *eventually* are retried for a minute. Raises `Refused` with AWS's code, `NoAnswer`, and
        `MissingRequirement` when there are no credentials.
        """
        service, _, name = action.rpartition(":")
        return self._retried(service or "ec2", name, parameters, frozenset(eventually), repeatable=True)

    def call_once(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        """The same, but `NoAnswer` when there is none: for what has neither client token nor name, so that a call that
        is repeated would make a second one."""
        service, _, name = action.rpartition(":")
        return self._retried(service or "ec2", name, parameters, frozenset(), repeatable=False)

    def pages(self, action: str, key: str, /, **parameters: Any) -> Iterator[Any]:
        """The items of a ``Describe…`` action, page by page."""
        token: dict[str, str] = {}
        while True:
            answer = self.call(action, **parameters, **token)
            yield from answer.get(key) or ()
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _retried(
        self, service: str, name: str, parameters: dict[str, Any], eventually: frozenset[str], *, repeatable: bool
    ) -> dict[str, Any]:
        short, attempt = self.patience.at_most(EVENTUAL_SECONDS), 0
        while True:
            try:
                return self._once(service, name, parameters, attempts=MOST_ATTEMPTS_UNREACHABLE if repeatable else 1)
            except Refused as error:
                if error.code in faults.TRANSIENT and not repeatable:
                    raise NoAnswer(str(error)) from error
                if error.code in faults.THROTTLED | faults.TRANSIENT:
                    patience = self.patience
                elif error.code in eventually and short.left > 0:
                    patience = short
                else:
                    raise
                patience.pause(attempt, f"asking AWS for {error.action}", last_error=str(error))
                attempt += 1

    def _once(self, service: str, name: str, parameters: dict[str, Any], *, attempts: int) -> dict[str, Any]:
        action = f"{'ec2' if service == 'ec2' else service}:{name}"
        boto3()
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
        from botocore.parsers import ResponseParserError

        for attempt in range(attempts):
            try:
                with _LOCK:
                    client = _client(self.account, service)
                answer: dict[str, Any] = getattr(client, _snake(name))(**parameters)
                return answer
            except ClientError as error:
                raise faults.from_client_error(error, action, self.account.who) from error
            except (ConnectionError, HTTPClientError, ResponseParserError) as error:
                if attempt + 1 == attempts or "SSL" in type(error).__name__:
                    raise faults.no_answer(error, action, self.account.who) from error
                self.patience.pause(attempt, f"reaching AWS for {action}", last_error=str(error))
            except BotoCoreError as error:
                raise faults.from_botocore(error, action, self.account.who) from error
        raise AssertionError("the last attempt returns or raises")


def _default_region(profile: str) -> str:
    boto3()
    from botocore.exceptions import BotoCoreError

    try:
        with _LOCK:
            return _session(profile).region_name or DEFAULT_REGION
    except BotoCoreError as error:
        raise faults.from_botocore(error, "reading the AWS configuration", profile) from error


@functools.cache
def _snake(name: str) -> str:
    """The client's method of an API action: ``SendSSHPublicKey`` is ``send_ssh_public_key``."""
    boto3()
    from botocore import xform_name

    return str(xform_name(name))


def filters(**values: str | Collection[str]) -> list[dict[str, Any]]:
    """EC2's filters: ``vpc_id="vpc-1"``; a tag is ``tag_NAME``."""
    return [
        {"Name": re.sub("_", "-", name), "Values": [value] if isinstance(value, str) else list(value)}
        for name, value in values.items()
    ]
