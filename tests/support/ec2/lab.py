"""The server as tests use it."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.ec2.netns import Namespace
from support.localroot import local_root

TESTS = Path(__file__).resolve().parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}  # fmt: skip
OBSERVER = "pymachine-test-observer"
"""Who calls himself so is spared all faults, and not logged."""
MOUNTS = """
set -e
mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sysfs /sys
mount --rbind "$1" /sys/fs/cgroup
mkdir -p /run/pymachine
mount -t tmpfs tmpfs /run/pymachine
echo 1 >/proc/sys/net/ipv4/ip_forward
shift
exec "$@"
"""
"""/sys shows the network interfaces of the namespace in which it was mounted (sysfs(5))."""


class Lab:
    """EC2 at an endpoint of loopback, in a network namespace of its own."""

    def __init__(self, port: int, namespace: Namespace) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.namespace = namespace

    def set(self, *, reset: bool = False, **faults: Any) -> None:
        """Want these faults and no others; what was called is forgotten. With *reset* also all that was made."""
        self._post("/_control", {"faults": faults, "reset": reset})

    def log(self) -> list[str]:
        """Actions called since `set`."""
        with urllib.request.urlopen(f"{self.endpoint}/_log", timeout=30) as answer:
            return list(json.loads(answer.read()))

    def callers(self) -> dict[str, str]:
        """Actions called since the account was made, each with the access key id of who called it last."""
        with urllib.request.urlopen(f"{self.endpoint}/_callers", timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def tagged(self) -> list[str]:
        """Ids of all that carries a machine's tag and is still there, as moto itself knows it."""
        with urllib.request.urlopen(f"{self.endpoint}/_tagged", timeout=30) as answer:
            return list(json.loads(answer.read()))

    def asked(self, action: str) -> dict[str, str]:
        """The parameters with which *action* was called last since `set`."""
        with urllib.request.urlopen(f"{self.endpoint}/_asked?{action}", timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def change_images(self, *images: dict[str, str]) -> None:
        """Give images owners, dates, states (`support.ec2.images`)."""
        self._post("/_images", list(images))

    def expire_keys(self) -> None:
        """The minute of keys that were pushed is over."""
        self._post("/_expire_keys", {})

    def environment(self) -> dict[str, str]:
        """For the program: keys that moto takes, the endpoint, and the service that tells addresses."""
        return {
            **KEYS,
            "AWS_ENDPOINT": self.endpoint,
            "AWS_CHECKIP": f"{self.endpoint}/checkip",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @functools.cache  # noqa: B019 (a lab lives as long as the tests; making a client takes 0.2 s)
    def client(self, service: Any = "ec2", *, region: str = "us-east-1") -> Any:
        """boto3's own client, to look and to meddle."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=region)
        return session.client(service, endpoint_url=self.endpoint, config=Config(user_agent_extra=OBSERVER))

    def _post(self, path: str, document: Any) -> None:
        request = urllib.request.Request(f"{self.endpoint}{path}", data=json.dumps(document).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """A running server; it and its namespace end with the block."""
    namespace = Namespace()
    with tempfile.TemporaryDirectory(prefix="pymachine-ec2-") as place, local_root():
        inner = ["sh", "-c", MOUNTS, "sh", place, sys.executable, "-m", "support.ec2.server"]
        with namespace.entered():  # for the start alone: who waits at the yield may be anywhere
            server = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", *inner], cwd=TESTS, stdout=subprocess.PIPE, text=True
            )
        try:
            assert server.stdout is not None
            yield Lab(int(server.stdout.readline()), namespace)
        finally:
            server.terminate()
            server.wait(30)
            namespace.close()
