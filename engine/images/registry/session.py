"""Requests to one repository of one registry: authentication, redirects, errors.

Tokens: distribution project, "Token Authentication Specification" and "OAuth2 token authentication". A password
is only sent to the registry itself and to the token server that it names, never along a redirect.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urljoin, urlsplit

from pymachine.dockerapi.client import Body, ClientResponse, HTTPClient, HTTPError
from pymachine.dockerapi.errors import EngineError, Unauthorized
from pymachine.engine.images.registry import challenge
from pymachine.engine.images.registry.credentials import Credentials
from pymachine.engine.images.registry.endpoints import Endpoint
from pymachine.engine.images.registry.errors import refusal

_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_DOCUMENT_LIMIT = 4 << 20
_CLIENT = "pymachine"


class Session:
    """One endpoint, one repository. Close it."""

    def __init__(self, endpoint: Endpoint, repository: str, credentials: Credentials, *, actions: str = "pull") -> None:
        self.endpoint = endpoint
        self._repository = repository
        self._credentials = credentials
        self._scope = f"repository:{repository}:{actions}"
        self._client = HTTPClient(tls=endpoint.tls, connect_timeout=15)
        self._authorization = f"Bearer {credentials.registry_token}" if credentials.registry_token else ""
        self._expires = float("inf")
        self._authorizing = asyncio.Lock()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ping(self) -> None:
        """Raises `HTTPError` when there is no registry by this endpoint."""
        response = await self._client.request("GET", f"{self.endpoint.url}/v2/")
        async with response:
            if response.status >= 400 and response.status not in (401, 403):
                raise refusal(response.status, await response.read(_DOCUMENT_LIMIT))
            if response.status == 401:
                await self._authorize(response.headers.get("www-authenticate", ""), "")

    def url(self, path: str) -> str:
        """The address of something in the repository."""
        return f"{self.endpoint.url}/v2/{self._repository}/{path}"

    async def put(self, url: str, body: Body, headers: Mapping[str, str]) -> None:
        """Send *body* to an address that the registry named. Raises `RegistryRefused`, `HTTPError`."""
        self._check_address(url)
        own = (urlsplit(url).scheme, urlsplit(url).netloc) == urlsplit(self.endpoint.url)[:2]
        authorization = await self._current()
        secret = {"Authorization": authorization} if authorization and own else {}
        response = await self._client.request("PUT", url, headers={**headers, **secret}, body=body)
        async with response:
            answer = await response.read(_DOCUMENT_LIMIT)
        if response.status >= 300:
            raise refusal(response.status, answer)

    async def get(self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> ClientResponse:
        """``/v2/<repository>/<path>``: the answer, which is a success. Raises `RegistryRefused`, `HTTPError`."""
        url = self.url(path)
        for _ in range(2):
            used = await self._current()
            response = await self._follow(method, url, headers or {}, used)
            if response.status < 400:
                return response
            async with response:
                body = await response.read(_DOCUMENT_LIMIT)
                offered = response.headers.get("www-authenticate", "")
                if response.status != 401 or not await self._authorize(offered, used):
                    break
        raise refusal(response.status, body)

    async def _current(self) -> str:
        if time.monotonic() > self._expires:
            self._authorization, self._expires = "", float("inf")
        return self._authorization

    async def _follow(self, method: str, url: str, headers: Mapping[str, str], authorization: str) -> ClientResponse:
        origin = urlsplit(url)
        for _ in range(_REDIRECTS + 1):
            here = urlsplit(url)
            secret = {"Authorization": authorization} if authorization else {}
            trusted = (here.scheme, here.netloc) == (origin.scheme, origin.netloc)
            try:
                response = await self._client.request(method, url, headers={**headers, **(secret if trusted else {})})
            except ValueError as error:
                raise EngineError(f"the registry redirects to an address that cannot be used: {error}") from None
            if response.status not in _REDIRECTED:
                return response
            async with response:
                url = urljoin(url, response.headers.get("location", ""))
            self._check_address(url)
        raise EngineError("the registry redirects too often")

    def _check_address(self, url: str) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https") or (scheme == "http" and not self.endpoint.insecure):
            raise EngineError("the registry redirects to an address that is not https")

    async def _authorize(self, offered: str, used: str) -> bool:
        """Answer a challenge; whether it is worth to ask again."""
        async with self._authorizing:
            if self._authorization and self._authorization != used:
                return True  # another request did it meanwhile
            asked = challenge.parse(offered)
            if asked is None:
                return False
            if asked.scheme == "basic":
                self._authorization = self._credentials.basic
            else:
                self._authorization = "Bearer " + await self._token(asked.parameters)
            return bool(self._authorization) and self._authorization != used

    async def _token(self, parameters: dict[str, str]) -> str:
        realm = parameters.get("realm", "")
        self._check_address(realm)
        scope = self._scope if self._repository else ""
        asked = {"service": parameters.get("service", ""), "scope": scope or parameters.get("scope", "")}
        asked = {name: value for name, value in asked.items() if value}
        try:
            if self._credentials.identity_token:
                response = await self._ask_by_identity(realm, asked)
            else:
                response = await self._ask_by_password(realm, asked)
            async with response:
                body = await response.read(_DOCUMENT_LIMIT)
        except HTTPError as error:
            raise EngineError(f"cannot get a token from {urlsplit(realm).netloc}: {error}") from None
        if response.status >= 400:
            raise refusal(response.status, body)
        return self._read_token(body)

    async def _ask_by_password(self, realm: str, asked: dict[str, str]) -> ClientResponse:
        if self._credentials.username:
            asked = {**asked, "account": self._credentials.username, "client_id": _CLIENT}
        basic = self._credentials.basic
        separator = "&" if urlsplit(realm).query else "?"
        url = f"{realm}{separator}{urlencode(asked)}"
        return await self._client.request("GET", url, headers={"Authorization": basic} if basic else {})

    async def _ask_by_identity(self, realm: str, asked: dict[str, str]) -> ClientResponse:
        form = {
            **asked,
            "grant_type": "refresh_token",
            "client_id": _CLIENT,
            "refresh_token": self._credentials.identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._client.request("POST", realm, headers=headers, body=urlencode(form).encode())

    def _read_token(self, body: bytes) -> str:
        try:
            document = json.loads(body)
            token = document.get("token") or document.get("access_token")
            seconds = float(document.get("expires_in") or 60)
        except (ValueError, TypeError, AttributeError, RecursionError):
            token, seconds = None, 60.0
        if not isinstance(token, str) or not token or any(ord(character) < 33 for character in token):
            raise Unauthorized("the token server's answer has no token")
        self._expires = time.monotonic() + max(seconds - 10, 5)
        return token
