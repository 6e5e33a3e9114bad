"""What the engine says about itself, and what it says it does not serve."""

import asyncio
import json
from typing import Any

import pytest

from pymachine.dockerapi.errors import InvalidArgument, NotFound, NotServed, Unavailable
from pymachine.dockerapi.messages import Answer, Query, Request, Response
from pymachine.dockerapi.routing import Route, Router
from pymachine.engine.api.system import system_routes
from pymachine.engine.api.unserved import ENDPOINTS, SWARM_ENDPOINTS, unserved_routes
from pymachine.engine.config import EngineConfig
from pymachine.engine.info import Census, EngineInfo


class _NoBody:
    def __aiter__(self) -> Any:
        raise AssertionError("nobody reads it")

    async def read(self, limit: int) -> bytes:
        return b""


def _ask(router: Router, method: str, path: str, query: str = "") -> Response:
    found = router.find(method, path)
    assert found is not None
    route, params = found
    answer = asyncio.run(
        _run(route, Request(method, path, Query(query), {}, _NoBody(), (1, 47), params)),
    )
    assert isinstance(answer, Response)
    return answer


async def _run(route: Route, request: Request) -> Answer:
    return await route.handler(request)


def _info(config: EngineConfig | None = None) -> EngineInfo:
    chosen = config or EngineConfig()
    census = Census(running=2, paused=1, stopped=3, images=4)
    return EngineInfo(lambda: chosen, lambda: census, engine_id="the-id", driver="overlay2")


@pytest.fixture
def router() -> Router:
    async def usage(wanted: frozenset[str]) -> dict[str, Any]:
        return {"wanted": sorted(wanted)}

    async def login(body: dict[str, Any]) -> dict[str, str]:
        return {"Status": "Login Succeeded"}

    made = Router()
    made.add(*system_routes(_info(), usage, login), *unserved_routes())
    return made


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_ping_has_the_headers_that_clients_negotiate_by(router: Router, method: str) -> None:
    answer = _ask(router, method, "/_ping")
    assert answer.body == b"OK"
    assert answer.headers["Builder-Version"] == "1"
    assert answer.headers["Swarm"] == "inactive"
    assert "no-cache" in answer.headers["Cache-Control"]


def test_version_says_which_apis_are_served(router: Router) -> None:
    version = json.loads(_ask(router, "GET", "/version").body)
    assert (version["ApiVersion"], version["MinAPIVersion"]) == ("1.47", "1.24")
    assert version["Components"][0]["Details"]["ApiVersion"] == "1.47"


def test_info_counts_and_describes() -> None:
    info = _info(EngineConfig(labels=("a=b",), registry_mirrors=("https://mirror.test",))).info()
    assert (info["Containers"], info["ContainersRunning"], info["Images"]) == (6, 2, 4)
    assert info["Labels"] == ["a=b"]
    assert info["RegistryConfig"]["Mirrors"] == ["https://mirror.test/"]
    assert info["Driver"] == "overlay2"
    assert info["MemTotal"] > 0
    assert info["CgroupVersion"] in ("1", "2")


def test_a_proxys_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy.test:3128")
    assert _info().info()["HttpsProxy"] == "http://xxxxx:xxxxx@proxy.test:3128"


def test_disk_usage_can_be_asked_for_by_type(router: Router) -> None:
    assert json.loads(_ask(router, "GET", "/system/df", "type=image&type=volume").body) == {
        "wanted": ["image", "volume"]
    }
    assert len(json.loads(_ask(router, "GET", "/system/df").body)["wanted"]) == 4
    with pytest.raises(InvalidArgument, match="socks"):
        _ask(router, "GET", "/system/df", "type=socks")


def test_the_rest_of_the_api_is_named_as_not_served(router: Router) -> None:
    with pytest.raises(NotServed, match=r"^POST /commit is not served by this engine yet$"):
        _ask(router, "POST", "/commit")
    with pytest.raises(NotServed, match=r"^POST /images/\{name\}/push is not served"):
        _ask(router, "POST", "/images/a/b/push")


def test_swarm_mode_answers_as_outside_of_a_swarm(router: Router) -> None:
    with pytest.raises(Unavailable, match="^This node is not a swarm manager"):
        _ask(router, "GET", "/services")


def test_there_is_no_plugin(router: Router) -> None:
    """``docker inspect`` asks this too, and takes "not found" for what it is."""
    assert json.loads(_ask(router, "GET", "/plugins").body) == []
    with pytest.raises(NotFound, match=r'^plugin "some/thing" not found$'):
        _ask(router, "GET", "/plugins/some/thing/json")


def test_the_table_covers_the_api() -> None:
    # 107 operations in API 1.47; the seven of ping, version, info, events, df and auth are always served.
    # Legacy endpoints of older versions may add to them.
    assert len({*ENDPOINTS, *SWARM_ENDPOINTS}) >= 100


def test_what_is_served_elsewhere_is_never_shadowed() -> None:
    async def mine(request: Request) -> Answer:
        return Response(200, b"mine")

    for method, pattern in ENDPOINTS:
        made = Router()
        made.add(Route(method, pattern, mine))
        made.add(*unserved_routes())
        path = pattern.replace("{name*}", "a").replace("{", "").replace("}", "")
        assert _ask(made, method, path).body == b"mine"
