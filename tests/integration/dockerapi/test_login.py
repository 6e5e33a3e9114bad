"""Checking registry credentials: against Debian's registry, and against a token server of our own."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError, InvalidArgument, Unauthorized, Unavailable
from pymachine.dockerapi.messages import Answer, Request, Response, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.images.registry.endpoints import Registries
from pymachine.engine.registry_login import login
from support.apiserver import serving_tcp
from support.registry import Registry, available

needs_registry = pytest.mark.skipif(not available(), reason="docker-registry is not installed")


def _login(address: str, **fields: str) -> dict[str, str]:
    return asyncio.run(login({"serveraddress": address, **fields}, Registries()))


@needs_registry
def test_a_registrys_own_password_check_decides(tmp_path: Path) -> None:
    with Registry(tmp_path, users={"me": "right"}) as registry:
        assert _login(registry.address, username="me", password="right")["Status"] == "Login Succeeded"
        assert _login(f"http://{registry.address}/v1/", username="me", password="right")["Status"]
        with pytest.raises(Unauthorized, match="incorrect username or password"):
            _login(registry.address, username="me", password="wrong")


@needs_registry
def test_a_registry_that_asks_nobody_lets_everyone_in(tmp_path: Path) -> None:
    with Registry(tmp_path) as registry:
        assert _login(registry.address, username="me", password="any")["Status"] == "Login Succeeded"


def test_a_token_server_gives_an_identity_token() -> None:
    port = 0
    asked: list[dict[str, Any]] = []

    async def registry(request: Request) -> Answer:
        realm = f'Bearer realm="http://127.0.0.1:{port}/token",service="it"'
        return Response(401, b"{}", headers={"WWW-Authenticate": realm})

    async def token(request: Request) -> Answer:
        asked.append({"service": request.query.text("service"), "account": request.query.text("account")})
        expected = "Basic " + base64.b64encode(b"me:right").decode()
        if request.headers.get("authorization") != expected:
            return Response(401, b"{}")
        return json_response({"token": "t", "refresh_token": "identity"})

    async def by_refresh(request: Request) -> Answer:
        form = (await request.body.read(4096)).decode()
        assert "grant_type=refresh_token" in form
        return json_response({"access_token": "t"} if "refresh_token=identity" in form else {})

    async def run() -> None:
        nonlocal port
        routes = Route("GET", "/v2/", registry), Route("GET", "/token", token), Route("POST", "/token", by_refresh)
        async with serving_tcp(None, *routes) as port:
            address = f"127.0.0.1:{port}"
            good = {"serveraddress": address, "username": "me", "password": "right"}
            assert await login(good, Registries()) == {"Status": "Login Succeeded", "IdentityToken": "identity"}
            assert asked == [{"service": "it", "account": "me"}]
            with pytest.raises(Unauthorized):
                await login({**good, "password": "wrong"}, Registries())
            again = await login({"serveraddress": address, "identitytoken": "identity"}, Registries())
            assert again["IdentityToken"] == "identity"
            with pytest.raises(Unauthorized):
                await login({"serveraddress": address, "identitytoken": "forged"}, Registries())

    asyncio.run(run())


def test_a_password_goes_to_no_token_server_without_tls() -> None:
    async def registry(request: Request) -> Answer:
        return Response(401, b"{}", headers={"WWW-Authenticate": 'Bearer realm="ftp://127.0.0.1/token"'})

    async def run() -> None:
        async with serving_tcp(None, Route("GET", "/v2/", registry)) as port:
            body = {"serveraddress": f"127.0.0.1:{port}", "username": "me", "password": "secret"}
            with pytest.raises(EngineError, match="not reached by https") as caught:
                await login(body, Registries())
            assert "secret" not in json.dumps(str(caught.value))

    asyncio.run(run())


def test_a_registry_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match=r"cannot reach registry 127\.0\.0\.1:1: "):
        _login("127.0.0.1:1", username="me", password="x")


def test_without_a_user_nothing_is_asked() -> None:
    with pytest.raises(InvalidArgument):
        _login("127.0.0.1:1")
