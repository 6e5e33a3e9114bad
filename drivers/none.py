"""Driver ``none``: an engine that is somebody else's, known by its URL only. Nothing is made or changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import SplitResult, urlsplit

from pymachine.drivers import options
from pymachine.drivers.base import Driver, Features, Finding, State
from pymachine.machine.errors import DriverError, InvalidOption

if TYPE_CHECKING:
    from pymachine.machine.ssh.base import SSHEndpoint

SCHEMES = ("tcp", "unix", "http", "https", "ssh", "npipe", "fd")
"""What Docker clients take in ``DOCKER_HOST``."""


def parse(url: str) -> SplitResult:
    """An engine's URL; raises `InvalidOption`."""
    if not url:
        raise InvalidOption("--url option is required when no driver is selected")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no port number
    except ValueError as error:
        raise InvalidOption(f"--url: {url!r} is not a URL: {error}") from None
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.path):
        raise InvalidOption(f"--url: {url!r} is not an engine's URL such as tcp://192.0.2.1:2376")
    return parts


@dataclass(frozen=True)
class Options:
    """Where the engine is."""

    url: str = options.option("", "URL of the engine, such as tcp://192.0.2.1:2376", metavar="URL")

    def problems(self) -> list[str]:
        """Why the URL is none of an engine."""
        try:
            parse(self.url)
        except InvalidOption as error:
            return [str(error)]
        return []


PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


def _without_password(proxy: str) -> str:
    return proxy.rpartition("@")[2] if "@" in proxy else proxy


class NoneDriver(Driver):
    """No host, only an engine's URL."""

    name = "none"
    description = "An engine that exists already, by its URL"
    Options = Options
    features = Features(provisions=False, lifecycle=False)

    def pre_create_check(self) -> None:
        """The URL must be given and be one that clients understand; nothing is contacted."""
        self._url()

    @classmethod
    def doctor(cls) -> list[Finding]:
        """Nothing is needed; but a proxy may stand between the docker command and engines."""
        environ = os.environ
        proxy = next((environ[name] for name in PROXIES if environ.get(name)), "")
        if proxy and not (environ.get("NO_PROXY") or environ.get("no_proxy")):
            text = f"docker asks the proxy {_without_password(proxy)} for engines, which may not know their addresses"
            return [Finding("warning", text, 'eval "$(pymachine env --no-proxy NAME)"')]
        return [Finding("ok", "nothing of this computer is needed")]

    def create(self) -> None:
        """Check the URL; there is nothing to make."""
        self._url()

    def start(self) -> None:
        self._refuse("started")

    def stop(self) -> None:
        self._refuse("stopped")

    def kill(self) -> None:
        self._refuse("killed")

    def restart(self) -> None:
        self._refuse("restarted")

    def remove(self) -> None:
        """Nothing to remove: the engine is not ours."""

    def state(self) -> State:
        """Taken to be running: there is nothing to ask but the engine itself."""
        return State.RUNNING

    def address(self) -> str:
        """``host[:port]`` of the URL, as docker-machine prints it."""
        address = self._url().netloc.rpartition("@")[2]
        if not address:
            raise DriverError(f'machine "{self.context.name}" has no address: its URL is {self.options.url}')
        return address

    def ssh_endpoint(self) -> SSHEndpoint:
        raise DriverError(f'machine "{self.context.name}" has no SSH: it is known by its engine\'s URL only')

    def engine_url(self) -> str:
        """The URL as it was given."""
        return str(self.options.url)

    def _url(self) -> SplitResult:
        return parse(str(self.options.url))

    def _refuse(self, what: str) -> NoReturn:
        raise DriverError(f"hosts without a driver cannot be {what}")
