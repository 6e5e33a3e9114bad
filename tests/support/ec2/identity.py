"""Whose calls are taken, and where credentials come from: the instance metadata service, the SSO portal, a container's
endpoint.

Sources: EC2 user guide, "Use the Instance Metadata Service" (IMDSv2); IAM Identity Center portal API,
GetRoleCredentials; "Container credential provider" (AWS SDKs and tools reference); "Common errors" of the APIs.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from support.ec2 import wire
from support.ec2.wire import Answer, Call

METADATA = "/latest/meta-data/iam/security-credentials/"
ROLE, METADATA_TOKEN, PORTAL_TOKEN = "builders", "imds-token", "portal-token"
BEARER = "HTTP_X_AMZ_SSO_BEARER_TOKEN"
CONTAINER_TOKEN = "container-token"
SOURCES = {"instance": "ASIAFROMINSTANCE", "portal": "ASIAFROMPORTAL", "container": "ASIAFROMCONTAINER"}
"""Access key ids of what these places give out."""
UNKNOWN = {"ec2": "AuthFailure", "sts": "InvalidClientTokenId"}
EXPIRED = {"ec2": "RequestExpired", "sts": "ExpiredToken"}
_KEY = re.compile(r"Credential=([^/]+)/")


class Identity:
    """Access keys that are known, each with its session token, and who asked what."""

    def __init__(self) -> None:
        self.callers: list[tuple[str, str]] = []
        """Action and access key id of each call."""
        self._issued = {key: f"token-{place}" for place, key in SOURCES.items()}

    def refused(self, call: Call, environ: Mapping[str, Any], keys: Mapping[str, str], expired: list[str]) -> str:
        """The error code for a caller; empty for one that may. With no *keys* everybody may."""
        found = _KEY.search(str(environ.get("HTTP_AUTHORIZATION", "")))
        key = found[1] if found else ""
        self.callers.append((call.action, key))
        if not keys or (not key and call.action == "AssumeRoleWithWebIdentity"):
            return ""
        known = {**self._issued, **keys}
        if key not in known or known[key] != environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""):
            return UNKNOWN.get(call.service, "UnrecognizedClientException")
        return EXPIRED.get(call.service, "ExpiredTokenException") if key in expired else ""

    def note_issued(self, answer: Answer) -> None:
        """Credentials in an answer of STS."""
        for element in wire.document(answer).iter("Credentials"):
            self._issued[element.findtext("AccessKeyId", "")] = element.findtext("SessionToken", "")


def answer(environ: Mapping[str, Any]) -> Answer | None:
    """As one of the places that give credentials; ``None`` for any other path."""
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/latest/api/token" and method == "PUT":
        return Answer("200 OK", "text/plain", METADATA_TOKEN.encode())
    if path.startswith("/latest/"):
        return _metadata(path, environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", ""))
    if path == "/federation/credentials":
        return _portal(environ)
    if path == "/container":
        if environ.get("HTTP_AUTHORIZATION") != CONTAINER_TOKEN:
            return Answer("401 Unauthorized", "application/json", b"{}")
        return _json(_credentials("container"))
    return None


def _metadata(path: str, token: str) -> Answer:
    """Version 2 only, as our own instances have it."""
    if token != METADATA_TOKEN:
        return Answer("401 Unauthorized", "text/plain", b"")
    if path == METADATA:
        return Answer("200 OK", "text/plain", ROLE.encode())
    if path == METADATA + ROLE:
        return _json({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": _moment(0), **_credentials("instance")})
    return Answer("404 Not Found", "text/plain", b"")


def _portal(environ: Mapping[str, Any]) -> Answer:
    query = parse_qs(environ["QUERY_STRING"])
    if environ.get(BEARER) != PORTAL_TOKEN:
        body = b'{"message": "Session token not found or invalid", "__type": "UnauthorizedException"}'
        return Answer("401 Unauthorized", "application/json", body)
    if (query.get("account_id"), query.get("role_name")) != (["123456789012"], [ROLE]):
        return Answer("403 Forbidden", "application/json", b'{"message": "No access", "__type": "ForbiddenException"}')
    given = {
        "accessKeyId": SOURCES["portal"],
        "secretAccessKey": "portal-secret",
        "sessionToken": "token-portal",
        "expiration": int((time.time() + 3600) * 1000),
    }
    return _json({"roleCredentials": given})


def _credentials(place: str) -> dict[str, str]:
    return {
        "AccessKeyId": SOURCES[place],
        "SecretAccessKey": f"{place}-secret",
        "Token": f"token-{place}",
        "Expiration": _moment(3600),
    }


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def _json(document: Any) -> Answer:
    return Answer("200 OK", "application/json", json.dumps(document).encode())
