"""``POST /auth``: are these credentials good for that registry?

Asked as the registry's own protocol has it: ``/v2/`` challenges, and is answered with a basic Authorization
header or with a token from the server that the challenge names (distribution project, "Token Authentication
Specification"). Credentials are never logged, and go nowhere but to the registry and its token server.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from pymachine.dockerapi.client import HTTPClient, HTTPError
from pymachine.dockerapi.errors import EngineError, InvalidArgument, Unauthorized, Unavailable
from pymachine.engine.images.reference import DEFAULT_DOMAIN
from pymachine.engine.images.registry import challenge
from pymachine.engine.images.registry.credentials import Credentials, from_document
from pymachine.engine.images.registry.endpoints import Endpoint, Registries

_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com"})
_DOCUMENT_LIMIT = 1 << 20
_CLIENT = "pymachine"


async def login(body: dict[str, Any], registries: Registries) -> dict[str, str]:
    """The answer to credentials that are good. Raises `Unauthorized`, or `Unavailable` for a silent registry."""
    credentials = from_document(body)
    if not credentials.username and not credentials.identity_token:
        raise InvalidArgument("no credentials given: a user name and a password are needed")
    domain = _domain(str(body.get("serveraddress") or ""))
    endpoints = [point for point in await asyncio.to_thread(registries.endpoints, domain) if not point.mirror]
    problem = "no way to reach it"
    for endpoint in endpoints:
        try:
            async with HTTPClient(tls=endpoint.tls, timeout=15, connect_timeout=15) as client:
                token = await _check(client, endpoint, credentials)
        except HTTPError as error:
            problem = str(error)
            continue
        return {"Status": "Login Succeeded", "IdentityToken": token}
    raise Unavailable(f"cannot reach registry {domain}: {problem}")


def _domain(address: str) -> str:
    """The registry's host and port in a server address, which may be a URL as ``docker login`` stores them."""
    host = (urlsplit(address).netloc if "://" in address else address.partition("/")[0]).strip()
    if "@" in host or any(character.isspace() for character in host):
        raise InvalidArgument("the server address is not that of a registry")
    return DEFAULT_DOMAIN if host in _HUB_NAMES else host


async def _check(client: HTTPClient, endpoint: Endpoint, credentials: Credentials) -> str:
    """The identity token that the registry's token server gave, if it did."""
    status, offered = await _ask(client, endpoint, "")
    if status == 200:
        return ""  # it asks nobody
    asked = challenge.parse(offered) if status == 401 else None
    if asked is None:
        raise EngineError(f"the registry at {endpoint.url} answered with status {status}, and asks for nothing")
    if asked.scheme == "basic":
        status, _ = await _ask(client, endpoint, credentials.basic)
        if status != 200:
            raise _refused(endpoint)
        return ""
    return await _token(client, endpoint, asked.parameters, credentials)


async def _ask(client: HTTPClient, endpoint: Endpoint, authorization: str) -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization else {}
    async with await client.request("GET", f"{endpoint.url}/v2/", headers=headers) as response:
        await response.read(_DOCUMENT_LIMIT)
        return response.status, response.headers.get("www-authenticate", "")


async def _token(client: HTTPClient, endpoint: Endpoint, parameters: dict[str, str], credentials: Credentials) -> str:
    realm = urlsplit(parameters.get("realm", ""))
    if realm.scheme != "https" and not (realm.scheme == "http" and endpoint.insecure):
        raise EngineError(f"the registry at {endpoint.url} names a token server that is not reached by https")
    form = {"service": parameters.get("service", ""), "client_id": _CLIENT}
    if credentials.identity_token:
        form |= {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        asked = client.request("POST", realm.geturl(), headers=headers, body=urlencode(form).encode())
    else:
        form |= {"account": credentials.username, "offline_token": "true"}
        url = realm.geturl() + ("&" if realm.query else "?") + urlencode(form)
        asked = client.request("GET", url, headers={"Authorization": credentials.basic})
    async with await asked as response:
        document = await response.read(_DOCUMENT_LIMIT)
        if response.status != 200:
            raise _refused(endpoint)
    return _refresh_token(document) or credentials.identity_token


def _refresh_token(document: bytes) -> str:
    try:
        answer = json.loads(document)
        if not isinstance(answer.get("token") or answer.get("access_token"), str):
            raise Unauthorized("the token server's answer has no token")
        given = answer.get("refresh_token")
    except (ValueError, AttributeError, RecursionError):
        raise Unauthorized("the token server's answer has no token") from None
    return given if isinstance(given, str) else ""


def _refused(endpoint: Endpoint) -> Unauthorized:
    host = urlsplit(endpoint.url).netloc
    return Unauthorized(f"login attempt to {host} failed: unauthorized: incorrect username or password")
