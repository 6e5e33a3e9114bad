"""Which proxy is for which server."""

import pytest

from pymachine.dockerapi.proxies import Proxy, from_environment

BOTH = {"HTTP_PROXY": "http://plain.test:3128", "https_proxy": "me:p%40ss@secure.test"}


def test_each_scheme_has_its_proxy() -> None:
    proxies = from_environment(BOTH)
    assert proxies.find("r.test", 80, secure=False) == Proxy("plain.test", 3128)
    found = proxies.find("r.test", 443, secure=True)
    assert found == Proxy("secure.test", 80, "Basic bWU6cEBzcw==")
    assert "Basic" not in repr(found)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_reached_directly(host: str) -> None:
    assert from_environment(BOTH).find(host, 443, secure=True) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "direct"),
    [
        ("*", "r.test", 443, True),
        ("r.test", "r.test", 443, True),
        ("r.test", "a.r.test", 443, True),
        ("r.test", "bar.test", 443, False),
        (".r.test", "a.r.test", 443, True),
        (".r.test", "r.test", 443, False),
        ("*.r.test", "a.r.test", 443, True),
        ("r.test:5000", "r.test", 5000, True),
        ("r.test:5000", "r.test", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("fd00::/8", "10.1.2.3", 443, False),
        ("x.test, R.test", "r.TEST", 443, True),
    ],
)
def test_exceptions_are_names_addresses_and_networks(entry: str, host: str, port: int, direct: bool) -> None:
    proxies = from_environment({**BOTH, "NO_PROXY": entry})
    assert (proxies.find(host, port, secure=True) is None) is direct


@pytest.mark.parametrize("url", ["", "socks5://p.test:1", "http://", "http://p.test:port"])
def test_what_is_no_http_proxy_counts_as_none(url: str) -> None:
    assert from_environment({"https_proxy": url}).find("r.test", 443, secure=True) is None
